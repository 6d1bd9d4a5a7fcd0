"""The encoder of params.yaml, from the Hugging Face hub to a trained model."""

import json
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from stages.align import align
from stages.contract.hashing import sha256
from stages.model.tagger import new_masked_lm, new_tagger
from stages.text.labels import Labels
from stages.train import train
from tests.invented import a_sentence
from tests.stages.conftest import Hub
from tests.stages.sources.bert_base_chinese import CONFIG, TAKEN
from tests.stages.sources.conftest import PARAMS, SOURCES
from tests.stages.tiny import bio
from tests.tiny import write_params

ENCODER = SOURCES["encoder"]


@pytest.fixture
def hub(chinese, mirror, mirror_2, work):
    work.section["encoder"] = dict(ENCODER)
    return Hub(mirror, chinese, ENCODER["hub_id"], ENCODER["revision"], cdn=mirror_2)


@pytest.fixture
def run(work, hub, tmp_path):
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
    return lambda: work.run(**env, HF_ENDPOINT=hub.mirror.url)


@pytest.mark.slow  # it trains; each step alone is tested elsewhere
def test_the_encoder_is_brought_aligned_with_and_trained(run, work, hub, chinese, tmp_path):
    random = Random(3)  # noqa: S311
    for split, count in (("train", 80), ("test", 20)):
        path = tmp_path / split
        path.write_text(bio(*(a_sentence(random) for _ in range(count))), encoding="utf-8")
        work.section[split] |= {"bytes": None, "sha256": sha256(path)}
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
    align(align_params, work.path / "data/corpus", encoder, aligned, reports / "align.json")
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
    source = json.loads((work.path / "data/corpus/source.json").read_text(encoding="utf-8"))
    assert source["encoder"]["from"] == {"hub_id": former, "revision": hub.revision}
