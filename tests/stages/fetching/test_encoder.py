import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel, WordPiece

from stages.contract.errors import StageError
from stages.fetching.encoder import fetch_encoder
from tests.support.families import FAMILIES

TAKEN = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"}


@pytest.fixture
def bring(work, tmp_path):
    def bring(**section):
        work.section["encoder"] |= section
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        measured = fetch_encoder(work.params(), out)
        assert set(measured) == {path.name for path in out.iterdir()}
        return out

    return bring


@pytest.fixture
def refused(bring):
    def refused(*says, **section):
        with pytest.raises(StageError) as error:
            bring(**section)
        assert "\n" not in str(error.value)
        for part in says:
            assert part in str(error.value)

    return refused


def test_takes_what_is_needed(bring, encoder):
    out = bring()
    assert {path.name for path in out.iterdir()} == TAKEN
    for name in TAKEN:
        assert (out / name).read_bytes() == (encoder / name).read_bytes()


def test_takes_links(bring, encoder, tmp_path):
    vocabulary = (encoder / "vocab.txt").read_bytes()
    (encoder / "vocab.txt").rename(tmp_path / "blob")
    (encoder / "vocab.txt").symlink_to(tmp_path / "blob")
    copy = bring() / "vocab.txt"
    assert copy.read_bytes() == vocabulary
    assert not copy.is_symlink()


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "Longformer"])
def test_takes_the_files_of_a_family(bring, refused, family, tmp_path, name):
    """All of them, and knows by how many rows the embedding is too small."""
    folder = family(name)
    out = bring(folder=str(folder))
    assert {path.name for path in out.iterdir()} == {path.name for path in folder.iterdir()}
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    rows = config["vocab_size"]
    (copy / "config.json").write_text(json.dumps(config | {"vocab_size": rows + 1}))
    refused(f"has {rows} rows, but vocab_size in config.json is {rows + 1}", folder=str(copy))
    (copy / "model.safetensors").unlink()
    # Of CamemBERT, transformers adds three tokens that only it knows of.
    known = rows - 3 if name == "CamemBERT" else rows
    for size in (known, known - 1):
        (copy / "config.json").write_text(json.dumps(config | {"vocab_size": size}))
        if size == known:
            assert bring(folder=str(copy), from_scratch=True)
    refused(f"its tokenizer has {known} tokens, more than vocab_size {known - 1}")


@pytest.mark.parametrize(
    ("name", "file", "says"),
    [
        ("RoBERTa", "vocab.json", "its tokenizer cannot be read"),
        ("RoBERTa", "merges.txt", "its tokenizer cannot be read"),
        ("ALBERT", "spiece.model", "its tokenizer cannot be read"),
        ("EuroBERT", "tokenizer.json", "its tokenizer cannot be read"),
    ],
)
def test_a_broken_tokenizer(refused, family, tmp_path, name, file, says):
    """As git leaves it without git-lfs."""
    copy = shutil.copytree(family(name), tmp_path / "copy")
    (copy / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    refused(f"{copy}: {says}", folder=str(copy))
    (copy / file).unlink()
    refused(f"{copy} has no tokenizer: none of tokenizer.json, vocab.txt, vocab.json with merges")


def test_a_vocabulary_of_roberta_without_its_special_tokens(refused, family, tmp_path):
    copy = shutil.copytree(family("RoBERTa"), tmp_path / "copy")
    ids = json.loads((copy / "vocab.json").read_text())
    ids = {{"<s>": "[CLS]", "<unk>": "[UNK]"}.get(token, token): id_ for token, id_ in ids.items()}
    (copy / "vocab.json").write_text(json.dumps(ids))
    refused("vocab.json has no <unk>, <s>, which every text needs", folder=str(copy))


def test_variable_in_folder(bring, refused, encoder, monkeypatch):
    monkeypatch.setenv("MODELS", str(encoder.parent))
    assert (bring(folder="$MODELS/tiny-bert") / "vocab.txt").is_file()
    refused("$MODELS/none", f"{encoder.parent}/none is not a folder", folder="$MODELS/none")
    refused("$MODELLE/x: that environment variable is not set", folder="$MODELLE/x")


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_missing_empty_half(refused, encoder, name):
    whole = (encoder / name).read_bytes()
    (encoder / "pytorch_model.bin").unlink()
    (encoder / name).write_bytes(b"")
    refused(f"{encoder}: {name} is empty")
    if name != "vocab.txt":
        (encoder / name).write_bytes(whole[:-1])
        refused(f"{encoder}: {name} is n")
    (encoder / name).unlink()
    refused(f"{encoder} has no ", "tokenizer" if name == "vocab.txt" else name)


def test_git_lfs_pointer(refused, encoder):
    (encoder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    refused("model.safetensors is not a complete safetensors file", "git-lfs")


def test_from_scratch(bring, refused, encoder):
    refused("has weights, but download.encoder.from_scratch is true", from_scratch=True)
    (encoder / "model.safetensors").unlink()
    refused("has weights, but")  # the pickle
    (encoder / "pytorch_model.bin").unlink()
    assert {path.name for path in bring().iterdir()} == TAKEN - {"model.safetensors"}
    refused("has no model.safetensors", "set download.encoder.from_scratch", from_scratch=False)


def test_sha256(bring, refused, encoder):
    refused(
        "download.encoder.sha256 names tf_model.h5, which",
        "it has config.json, model.safetensors, tokenizer_config.json, vocab.txt",
        sha256={"tf_model.h5": "0" * 64},
    )
    refused("vocab.txt has sha256 ", f"expects {'0' * 64}", sha256={"vocab.txt": "0" * 64})
    right = hashlib.sha256((encoder / "vocab.txt").read_bytes()).hexdigest()
    assert bring(sha256={"vocab.txt": right})


@pytest.mark.parametrize("config", ["{", "[]", "{}", '{"vocab_size": "many"}', "null"])
def test_config(refused, encoder, config):
    (encoder / "config.json").write_text(config)
    refused("config.json is not JSON with a number vocab_size")


def test_vocabulary_fits(bring, refused, encoder):
    too_many = "its tokenizer has 8 tokens, more than vocab_size 7 in config.json"
    (encoder / "added_tokens.json").write_text('{"<new>": 7}')
    refused(too_many)
    (encoder / "added_tokens.json").unlink()
    assert bring()
    with (encoder / "vocab.txt").open("a") as file:
        file.write("沪")
    refused(too_many)

    # Where there is a tokenizer.json, it is the tokenizer.
    tokenizer = encoder / "tokenizer.json"
    Tokenizer(WordLevel({"[UNK]": 0, "京": 6}, unk_token="[UNK]")).save(str(tokenizer))  # noqa: S106
    assert bring()
    Tokenizer(WordLevel({"[UNK]": 0, "京": 7}, unk_token="[UNK]")).save(str(tokenizer))  # noqa: S106
    refused(too_many)
    tokenizer.write_text(json.dumps({"version": "1.0"}))
    refused("its tokenizer cannot be read")


def test_two_tokenizers_that_differ(bring, refused, encoder):
    others = {"[CLS]": 4, "[SEP]": 5, "[MASK]": 6}
    rest = "".join(f"{token}\n" for token in others)
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "京": 2, "\u2028": 3} | others
    Tokenizer(WordPiece(vocabulary)).save(str(encoder / "tokenizer.json"))
    assert bring()
    (encoder / "vocab.txt").write_text("[PAD]\n[UNK]\n沪\n\u2028\n" + rest)
    refused(
        "tokenizer.json and vocab.txt differ: '京' is 2 in the first and not in the second; take",
        "download.encoder.folder",
    )
    (encoder / "vocab.txt").write_text("[PAD]\n[UNK]\n\u2028\n京\n" + rest)
    refused("differ: '\\u2028' is 3 in the first and 2 in the second")
    (encoder / "vocab.txt").unlink()
    assert bring()


def test_a_vocabulary_with_ids(refused, encoder):
    """As some exports have it; transformers would take "京 and a tab and 2" for a token."""
    tokens = (encoder / "vocab.txt").read_text().split("\n")[:-1]
    (encoder / "vocab.txt").write_text("".join(f"{t}\t{n}\n" for n, t in enumerate(tokens)))
    refused(f"{encoder}: vocab.txt line 1 is '[PAD]\\t0', but a line is one token", "`cut -f1`")


def test_every_special_token_has_a_row(bring, refused, encoder):
    tokens = (encoder / "vocab.txt").read_text()
    (encoder / "vocab.txt").write_text(tokens.replace("[CLS]", "<s>").replace("[SEP]", "</s>"))
    refused("vocab.txt has no [CLS], [SEP], which every text needs", "tokenizer_config.json")
    map_ = '{"cls_token": {"content": "<s>"}, "sep_token": "</s>", "pad_token": null}'
    (encoder / "special_tokens_map.json").write_text(map_)
    assert bring()
    # One that is not listed gets the next number.
    (encoder / "tokenizer_config.json").write_text('{"mask_token": "<mask>"}')
    refused("its tokenizer has 8 tokens, more than vocab_size 7")


def test_the_embedding_has_as_many_rows_as_the_config_says(refused, encoder):
    name = "bert.embeddings.word_embeddings.weight"
    save_file({name: np.zeros((4, 8), np.float32)}, encoder / "model.safetensors")
    refused(f"{name} in model.safetensors has 4 rows, but vocab_size in config.json is 7: take")
