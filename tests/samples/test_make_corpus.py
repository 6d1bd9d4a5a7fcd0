import hashlib
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from dvc.config import merge
from transformers import AutoTokenizer

from stages.contract.section import read
from stages.params.params import Params

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
WRITTEN = [
    "corpus/test.txt",
    "corpus/train.txt",
    "encoder/config.json",
    "encoder/tokenizer_config.json",
    "encoder/vocab.txt",
]


@pytest.fixture(scope="module")
def rerun(tmp_path_factory):
    out = tmp_path_factory.mktemp("samples")
    run = _script("--out", str(out), cwd=out)
    return out, run.stdout


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    merged = tmp_path_factory.mktemp("merged") / "params.yaml"
    values = _yaml(ROOT / "params.yaml")
    merge(values, _yaml(SAMPLES / "params.yaml"))
    merged.write_text(yaml.safe_dump(values), encoding="utf-8")
    return read(Params, merged, whole=True)


def test_a_run_anywhere_writes_the_committed_bytes_and_nothing_else(rerun):
    out, _ = rerun
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == WRITTEN
    for name in WRITTEN:
        assert (out / name).read_bytes() == (SAMPLES / name).read_bytes(), name


def test_help_says_where_it_writes(tmp_path):
    assert "--out" in _script("--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(("name", "at_least"), [("train", 1500), ("test", 300)])
def test_counts_lengths_and_types(name, at_least):
    sentences = _sentences(name)
    assert len(sentences) >= at_least
    assert len({"".join(c for c, _ in s) for s in sentences}) == len(sentences)
    assert sum(len(s) > 150 for s in sentences) >= 10
    assert any(not _entities(s) for s in sentences)
    kinds = [kind for s in sentences for kind, _ in _entities(s)]
    assert min(kinds.count(kind) for kind in ("PER", "ORG", "LOC")) >= 300


@pytest.mark.parametrize("name", ["train", "test"])
def test_iob2_one_character_a_line_lf(name):
    data = (SAMPLES / "corpus" / f"{name}.txt").read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert not data.endswith(b"\n\n")
    allowed = {"O"} | {f"{p}-{kind}" for p in "BI" for kind in ("PER", "ORG", "LOC")}
    for sentence in _sentences(name):
        before = "O"
        for character, tag in sentence:
            assert len(character) == 1
            assert not character.isspace()
            assert tag in allowed
            if tag.startswith("I-"):
                assert before[1:] == tag[1:], sentence
            before = tag


def test_no_test_sentence_is_in_train_and_most_entities_are_new(rerun):
    train, test = _sentences("train"), _sentences("test")
    assert not {_text(s) for s in train} & {_text(s) for s in test}
    known = {entity for s in train for entity in _entities(s)}
    mentions = [entity for s in test for entity in _entities(s)]
    share = sum(entity not in known for entity in mentions) / len(mentions)
    assert share >= 0.6
    assert f"{len(mentions)} entities of test" in rerun[1]


def test_full_width_forms_stand_in_test_alone():
    def full_width(sentences):
        return sum(any(c.isalnum() and "！" <= c <= "～" for c, _ in s) for s in sentences)

    assert full_width(_sentences("train")) == 0
    assert full_width(_sentences("test")) >= 30


def test_overlay_names_the_files_that_are_there(params):
    for name, source in (("train", params.download.train), ("test", params.download.test)):
        assert source.sources == [f"samples/corpus/{name}.txt"]
        data = (ROOT / source.sources[0]).read_bytes()
        assert source.bytes == len(data)
        assert source.sha256 == hashlib.sha256(data).hexdigest()
        assert source.git_blob is None


def test_overlay_merges_into_a_job_for_the_cpu(params):
    encoder = params.download.encoder
    assert (encoder.hub_id, encoder.revision, encoder.from_scratch) == (None, None, True)
    assert (params.train.device, params.evaluate.device) == ("cpu", "cpu")
    assert params.export.require_cuda is False
    assert params.align.dev_sentences < len(_sentences("train")) / 10


def test_overlay_holds_only_what_differs():
    real = dict(_leaves(_yaml(ROOT / "params.yaml")))
    same = [key for key, value in _leaves(_yaml(SAMPLES / "params.yaml")) if real[key] == value]
    assert same == []


def test_tokenizer_is_as_long_as_the_config_says_and_knows_all_of_train(params):
    folder = ROOT / params.download.encoder.folder
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == config["vocab_size"]
    assert config["hidden_size"] == 32 * config["num_attention_heads"]
    assert config["max_position_embeddings"] >= params.align.window_tokens
    assert _unknown(tokenizer, "train") == 0
    assert 0 < _unknown(tokenizer, "test") < 0.02  # some, so that [UNK] is met


def _script(*arguments, cwd):
    command = [sys.executable, str(SAMPLES / "make_corpus.py"), *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)


def _sentences(name):
    text = (SAMPLES / "corpus" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = text.removesuffix("\n").split("\n\n")
    return [[tuple(line.split("\t")) for line in block.split("\n")] for block in blocks]


def _text(sentence):
    return "".join(character for character, _ in sentence)


def _entities(sentence):
    entities = []
    for character, tag in sentence:
        if tag[0] == "B":
            entities.append((tag[2:], character))
        elif tag[0] == "I":
            entities[-1] = (entities[-1][0], entities[-1][1] + character)
    return entities


def _leaves(tree, path=""):
    for key, value in tree.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from _leaves(value, name)
        else:
            yield name, value


def _unknown(tokenizer, name):
    """Share of [UNK] among the NFKC characters; one without its own token is a fault."""
    cells = [list(unicodedata.normalize("NFKC", _text(s))) for s in _sentences(name)]
    encoded = tokenizer(cells, is_split_into_words=True, add_special_tokens=False)
    for i, sentence in enumerate(cells):
        assert encoded.word_ids(i) == list(range(len(sentence))), sentence
    ids = [i for row in encoded["input_ids"] for i in row]
    return ids.count(tokenizer.unk_token_id) / len(ids)


def _yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))
