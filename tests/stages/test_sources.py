"""The default sources of params.yaml, rebuilt on loopback as GitHub and the hub serve them.

Paths, revision and checks are those of params.yaml. The corpus is that of `shared`; the encoder is
as the real one but for its sizes, its weights and most of its vocabulary.

- GitHub does not redirect raw files of a renamed branch: https://docs.github.com/en/repositories/
  configuring-branches-and-merges-in-your-repository/managing-branches-in-your-repository/renaming-a-branch
- The hub redirects small files to a path of its own, large ones to another host:
  https://github.com/huggingface/huggingface_hub/issues/4815
- The hub's rows of MSRA are what this script made of the text, with the sizes that it noted:
  https://github.com/huggingface/datasets/tree/1.18.0/datasets/msra_ner
"""

import json
import re
from collections import Counter
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertForPreTraining

from stages.align import align
from stages.download import download
from stages.fetching.file import digests
from stages.model.tagger import new_masked_lm, new_tagger
from stages.params.align import Align
from stages.text.labels import Labels
from stages.train import train
from tests.conftest import ROOT
from tests.invented import a_sentence
from tests.stages.conftest import REAL, Hub
from tests.stages.tiny import TAGS, bio
from tests.tiny import write_params

PARAMS = yaml.safe_load(REAL)
SOURCES = PARAMS["download"]
ENCODER = SOURCES["encoder"]
RAW, HUB = "https://raw.githubusercontent.com", "https://huggingface.co"
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
}
CONFIG = SMALL | {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "pad_token_id": 0,
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 21128,
}
TOKENIZER_CONFIG = '{"do_lower_case": false, "model_max_length": 512}'
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
TAKEN = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]

# ../shared/msra/README.md
SENTENCES = {"train": 45000, "test": 3442}
ENTITIES = {
    "train": {"LOC": 36860, "ORG": 20584, "PER": 17615},
    "test": {"LOC": 2886, "ORG": 1331, "PER": 1973},
}


def vocabulary() -> list[str]:
    """Special tokens where the real one has them, no capital letter, 21,128 in all."""
    words = [f"[unused{number}]" for number in range(104)]
    for token, number in SPECIAL.items():
        words[number] = token
    words += ["<S>", "<T>", *(chr(c) for c in range(33, 127) if not chr(c).isupper())]
    return words + [chr(0x4E00 + c) for c in range(21128 - len(words))]


def tokenizer_json(words: list[str]) -> dict[str, object]:
    """In the form of 2020: the model has no type, the template one order of keys."""

    def special(token: str) -> dict[str, object]:
        return {"SpecialToken": {"id": token, "type_id": 0}}

    single = [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "special": True, "content": token}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for token, number in SPECIAL.items()
        ],
        "normalizer": {
            "type": "BertNormalizer",
            **{"clean_text": True, "handle_chinese_chars": True},
            **{"strip_accents": None, "lowercase": False},
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, special("[SEP]")],
            "special_tokens": {
                token: {"id": token, "ids": [SPECIAL[token]], "tokens": [token]}
                for token in ("[SEP]", "[CLS]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(words)},
        },
    }


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    """The files of google-bert/bert-base-chinese."""
    folder = tmp_path_factory.mktemp("bert-base-chinese")
    words = vocabulary()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(words)))
    (folder / "tokenizer_config.json").write_text(TOKENIZER_CONFIG)
    torch.manual_seed(1)
    model = BertForPreTraining(BertConfig.from_pretrained(folder))
    for name, weights in model.named_parameters():
        if "LayerNorm" in name:  # all 1 or 0 otherwise: whether they were read would not be seen
            torch.nn.init.normal_(weights)
    # The names are those of TensorFlow, as they came.
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in model.state_dict().items()
        if "cls.predictions.decoder" not in name
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"):
        (folder / name).write_bytes(b"not to be fetched")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / "README.md").write_text("# Bert-base-chinese\n")
    return folder


@pytest.fixture
def hub(chinese, mirror, mirror_2, work):
    work.section["encoder"] = dict(ENCODER)
    return Hub(mirror, chinese, ENCODER["hub_id"], ENCODER["revision"], cdn=mirror_2)


@pytest.fixture
def run(work, hub, tmp_path):
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
    return lambda: work.run(**env, HF_ENDPOINT=hub.mirror.url)


def test_the_encoder_is_brought_aligned_with_and_trained(run, work, hub, chinese, tmp_path):
    random = Random(3)  # noqa: S311
    for split, count in (("train", 80), ("test", 20)):
        path = tmp_path / split
        path.write_text(bio(*(a_sentence(random) for _ in range(count))), encoding="utf-8")
        work.section[split] |= {"bytes": None, "sha256": digests(path)["sha256"]}
    assert run() == (0, "")
    encoder = work.path / "data/encoder"
    assert sorted(path.name for path in encoder.iterdir()) == TAKEN
    for name in TAKEN:
        assert (encoder / name).read_bytes() == (chinese / name).read_bytes()
    # None of the weights that are pickles or another library's; the token for the hub alone.
    asked = [path for path, _ in hub.mirror.requests]
    small = [name for name in TAKEN if name != "model.safetensors"]
    cached = [f"/api/resolve-cache/models/{hub.hub_id}/{hub.revision}/{name}" for name in small]
    assert sorted(asked) == sorted([hub.api, *map(hub.file, TAKEN), *cached])
    assert {headers["Authorization"] for headers in hub.mirror.headers} == {"Bearer hf_secret"}

    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    assert len(tokenizer) == CONFIG["vocab_size"] == 21128
    params = write_params(tmp_path, epochs=1, pretrain=PARAMS["train"]["pretrain"] | {"epochs": 1})
    aligned, models, reports = tmp_path / "aligned", tmp_path / "models", tmp_path / "reports"
    align_params = params.align.model_copy(update={"dev_sentences": 20})
    align(align_params, work.path / "data/msra", encoder, aligned, reports / "align.json")
    published = load_file(chinese / "model.safetensors")
    for model in (new_tagger(encoder, Labels.read(aligned)), new_masked_lm(encoder)):
        norm = model.bert.encoder.layer[0].output.LayerNorm
        name = "bert.encoder.layer.0.output.LayerNorm"
        assert torch.equal(norm.weight, published[f"{name}.gamma"])
        assert torch.equal(norm.bias, published[f"{name}.beta"])
    out = models / "ner", reports / "train.json", reports / "train.csv"
    train(params.train, aligned, encoder, *out, tmp_path / "checkpoints")
    assert json.loads(out[1].read_text())["steps_run"]


def test_the_cdn_sees_no_token(run, hub, mirror_2):
    assert run() == (0, "")
    [headers] = mirror_2.headers
    assert headers["Authorization"] is None


def test_the_encoder_under_its_former_name(run, work, hub):
    former = work.section["encoder"]["hub_id"] = "bert-base-chinese"
    moved = {hub.api: hub.api.replace(hub.hub_id, former)} | {
        hub.file(name): hub.file(name).replace(hub.hub_id, former) for name in TAKEN
    }
    for now, then in moved.items():
        hub.mirror.put(then, status=307, headers={"Location": now})
    assert run() == (0, "")
    source = json.loads((work.path / "data/msra/source.json").read_text(encoding="utf-8"))
    assert source["encoder"]["from"] == {"hub_id": former, "revision": hub.revision}


@pytest.fixture(scope="module")
def msra(shared):
    """The published text; that of `shared` has a tab and O where it has 0 and a tab."""
    text = (shared / "msra/msra_train_canonical.txt").read_bytes()
    test = (shared / "msra/msra_test_bio.txt").read_bytes()
    return {"train": text.replace(b"\n\tO\n", b"\n0\t\n"), "test": test}


@pytest.fixture
def brought(work, msra, mirror, chinese):
    """`brought(**changes)`: data/msra as `download` brings it, with the sources so changed."""

    def brought(**changes):
        for split in msra:
            work.section[split] = SOURCES[split] | {
                "sources": [a.replace(RAW, mirror.url) for a in SOURCES[split]["sources"]]
            }
            work.section[split] |= changes.get(split, {})
        work.section["encoder"]["folder"] = str(chinese)
        raw = work.path / "data/msra"
        return raw, download(work.params(), raw, work.path / "data/encoder")["files"]

    return brought


def aligned(raw, tmp_path, **changes):
    """What `align` reports, train and dev taken together."""
    report = tmp_path / "align.json"
    params = Align.model_validate(PARAMS["align"] | changes)
    align(params, raw, raw.parent / "encoder", tmp_path / "aligned", report)
    found = json.loads(report.read_text(encoding="utf-8"))
    for split in ("train", "dev", "test"):
        assert found[split]["entities_in"] == found[split]["entities_kept"]
    held = found["train"], found["dev"]
    sentences = {"train": sum(s["sentences"] for s in held), "test": found["test"]["sentences"]}
    entities = {
        "train": dict(sum((Counter(s["entities"]) for s in held), Counter())),
        "test": found["test"]["entities"],
    }
    return sentences, entities, found["repaired"]


def test_the_second_mirror_where_the_first_lost_the_file(brought, msra, mirror):
    lost, second = SOURCES["train"]["sources"]
    mirror.put(second.removeprefix(RAW), msra["train"], headers=PLAIN, cuts=[9_000_000])
    mirror.put(SOURCES["test"]["sources"][0].removeprefix(RAW), msra["test"], headers=PLAIN)
    raw, files = brought()
    assert files["train.txt"]["mirror"] == second.replace(RAW, mirror.url)
    assert files["train.txt"]["bytes_fetched"] == SOURCES["train"]["bytes"]
    assert mirror.requests[0] == (lost.removeprefix(RAW), None)
    source = json.loads((raw / "source.json").read_text(encoding="utf-8"))
    for split in msra:
        assert source[split]["sentences"] == SENTENCES[split]
        assert source[split]["entities"] == ENTITIES[split]


def rows(text):
    """As the script makes them: a line without a tag has O, and the last row is empty."""
    found, tokens, tags = [], [], []
    for line in text.decode().split("\n")[:-1]:
        columns = line.strip().split("\t")
        if columns != [""]:
            tokens.append(columns[0])
            tags.append(TAGS.index(columns[1] if len(columns) > 1 else "O"))
        elif tokens:
            found.append((str(len(found)), tokens, tags))
            tokens, tags = [], []
    return [*found, (str(len(found)), tokens, tags)]


def write_parquet(rows, path):
    """With the features as `datasets` wrote them before it had List; gives the rows' size."""
    features = {
        "id": {"dtype": "string", "_type": "Value"},
        "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
        "ner_tags": {"feature": {"names": TAGS, "_type": "ClassLabel"}, "_type": "Sequence"},
    }
    schema = pa.schema(
        {
            "id": pa.string(),
            "tokens": pa.list_(pa.string()),
            "ner_tags": pa.list_(pa.int64()),
        },
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    size = 0
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, len(rows), 10_000):
            columns = zip(*rows[start : start + 10_000], strict=True)
            table = pa.table(
                [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
            )
            size += table.get_total_buffer_size()
            file.write_table(table)
    return size


def test_parquet_of_the_hub(brought, msra, mirror, mirror_2, tmp_path):
    noted = {"train": (45001, 33323074), "test": (3443, 2642934)}  # in dataset_infos.json
    page = (ROOT / "docs/your-own-corpus.md").read_text(encoding="utf-8")
    [overlay] = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    overlay = yaml.safe_load(overlay.replace(HUB, mirror.url))
    for split, text in msra.items():
        found = rows(text)
        path = tmp_path / split
        assert (len(found), write_parquet(found, path)) == noted[split]
        there = mirror_2.put(f"/xet-bridge-us/{split}", path.read_bytes())
        branch = "/datasets/levow/msra_ner/resolve/refs%2Fconvert%2Fparquet/msra_ner"
        at = f"{branch}/{split}/0000.parquet"
        mirror.put(at, status=302, headers=PLAIN | {"Location": there})
    raw, _ = brought(**overlay["download"])
    sentences, entities, repaired = aligned(raw, tmp_path, **overlay["align"])
    assert sentences == SENTENCES
    assert entities == ENTITIES
    assert repaired == {"train": {"empty": 1}, "test": {"empty": 1}}


def test_the_text_is_aligned(brought, msra, mirror, tmp_path):
    for split, text in msra.items():
        mirror.put(SOURCES[split]["sources"][0].removeprefix(RAW), text, headers=PLAIN)
    raw, _ = brought()
    sentences, entities, repaired = aligned(raw, tmp_path)
    assert sentences == SENTENCES
    assert entities == ENTITIES
    assert repaired == {"train": {"empty_tag": 57}, "test": {}}
