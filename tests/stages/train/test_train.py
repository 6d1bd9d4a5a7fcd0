import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer
from transformers.models.bert.modeling_bert import BertAttention

import stages.contract.progress
import stages.training.objective
from stages.model.decode import Decoder
from stages.model.device import choose_device
from stages.model.tagger import forward_of, load_tagger, new_tagger
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from tests.invented import write_encoder
from tests.stage_process import files
from tests.stages.curve import curve

pytestmark = pytest.mark.usefixtures("one_thread")
MODEL = ["config.json", "labels.json", "model.safetensors", "tokenizer.json"]


def test_the_command_leaves_these_files(tiny):
    assert sorted(files(tiny.ner)) == [*MODEL, "tokenizer_config.json"]
    assert {path.stat().st_mode & 0o777 for path in tiny.ner.iterdir()} == {0o644}
    assert (tiny.ner / "labels.json").read_bytes() == (tiny.aligned / "labels.json").read_bytes()
    assert set(tiny.json("train.json")) == {
        *("best_dev_f1", "best_step", "steps_run", "steps_planned", "parameters")
    }
    measured = json.loads((tiny.path / ".measured/train.json").read_text())
    assert measured["precision"] == "fp32"
    assert measured["device"] == "cpu"
    assert measured["tokens_per_s"] > 0


def test_the_tokenizer_goes_with_it(tiny):
    ours, theirs = (AutoTokenizer.from_pretrained(path) for path in (tiny.ner, tiny.encoder))
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours("赵明，☆").input_ids == theirs("赵明，☆").input_ids


def test_the_same_bytes_in_another_process_and_place(tiny, fit, tmp_path):
    fit(encoder=write_encoder(tmp_path / "copied encoder"))
    ours = files(fit.folder)
    for name, content in files(tiny.ner).items():
        assert ours[f"ner/{name}"] == content, name
    assert ours["train.json"] == tiny.report("train.json").read_bytes()
    assert ours["train.csv"] == tiny.report("train.csv").read_bytes()


def test_other_parameters_give_other_weights(fit):
    weights = []
    for seed, r_drop in ((1, 0.0), (1, 0.0), (2, 0.0), (1, 1.0), (1, 1.0)):
        fit(seed=seed, r_drop=r_drop, epochs=1)
        weights.append((fit.folder / "ner/model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[3] == weights[4]
    assert len({*weights}) == 3


def test_it_learned_and_kept_the_best(tiny):
    report, rows = tiny.json("train.json"), curve(tiny.path / "reports")
    evaluations = {row["step"]: row["dev_f1"] for row in rows if row["dev_f1"] is not None}
    assert report["best_dev_f1"] == max(evaluations.values()) > 0.5
    assert evaluations[report["best_step"]] == report["best_dev_f1"]
    assert rows[0]["loss"] > 4 * rows[-1]["loss"]
    assert dev_f1(tiny, tiny.ner) == report["best_dev_f1"]


def test_the_best_are_kept_though_the_last_are_worse(tiny, fit):
    # All warm-up: the rate rises to 60 times the good one, which wrecks what had been learnt.
    _, report, rows = fit(warmup_fraction=1.0, learning_rate=0.3, epochs=16, patience_evals=99)
    assert report["steps_run"] == report["steps_planned"] > report["best_step"]
    assert rows[-1]["dev_f1"] < report["best_dev_f1"] - 0.2
    assert dev_f1(tiny, fit.folder / "ner") == report["best_dev_f1"]


def dev_f1(tiny, model):
    dev, tags = read_aligned(tiny.aligned / "dev.parquet"), Labels.read(tiny.aligned).tags
    forward = forward_of(load_tagger(model, choose_device("cpu", "")))
    found = predict(dev, forward, Decoder.read(model, tags), 1024)[1]
    return score(dev, found, tags)["f1"]


def test_the_curve(tiny):
    rows, report = curve(tiny.path / "reports"), tiny.json("train.json")
    params = tiny.params.train
    assert [row["step"] for row in rows] == list(range(1, report["steps_run"] + 1))
    every = -(-report["steps_planned"] // (params.epochs * params.evals_per_epoch))
    assert [r["step"] for r in rows if r["dev_f1"] is not None] == [
        *range(every, report["steps_run"] + 1, every)
    ]
    warm_up = -(-report["steps_planned"] // 10)
    assert params.warmup_fraction == 0.1
    for row in rows:
        done = row["step"] - 1
        left = (report["steps_planned"] - done) / (report["steps_planned"] - warm_up)
        assert row["lr"] == pytest.approx(params.learning_rate * min(done / warm_up, left))


def test_patience_ends_it(fit, monkeypatch):
    monkeypatch.setattr(stages.training.objective, "LOSS_ROWS", 10)
    # So small a rate changes no tag: the first evaluation stays the best.
    _, report, rows = fit(learning_rate=1e-9, patience_evals=2, evals_per_epoch=2)
    assert report["steps_planned"] == 90
    assert (report["best_step"], report["steps_run"]) == (5, 15)
    assert [row["step"] for row in rows] == [
        5,
        9,
        10,
        15,
    ]  # 9: only the loss
    assert [row["dev_f1"] is None for row in rows] == [False, True, False, False]
    assert all(before["step"] < after["step"] for before, after in pairwise(rows))


def test_pretrained_weights_are_what_it_starts_from(tiny, fit, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    labels = Labels.read(tiny.aligned)
    new_tagger(encoder, labels).base_model.save_pretrained(encoder)
    fit(encoder=encoder, learning_rate=1e-9, epochs=1)
    before, after = (load_file(f / "model.safetensors") for f in (encoder, fit.folder / "ner"))
    assert {f"bert.{name}" for name in before} == {n for n in after if n.startswith("bert.")}
    for name, weights in before.items():
        np.testing.assert_allclose(after[f"bert.{name}"], weights, atol=1e-6, err_msg=name)


def test_accumulating_changes_nothing_but_rounding(fit, tmp_path):
    encoder = write_encoder(
        tmp_path / "encoder", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    curves, weights = [], []
    for tokens_per_batch in (512, 64):
        curves.append(fit(encoder=encoder, epochs=1, tokens_per_batch=tokens_per_batch)[2])
        weights.append(load_file(fit.folder / "ner/model.safetensors"))
    assert [row["step"] for row in curves[0]] == [row["step"] for row in curves[1]]
    for row, other in zip(*curves, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, atol=1e-3, err_msg=name)


def test_checkpointing_computes_layers_twice_and_changes_nothing(tiny, fit, monkeypatch):
    forward, calls = BertAttention.forward, Counter()

    def counted(layer, *arguments, **options):
        calls[layer.training] += 1
        return forward(layer, *arguments, **options)

    monkeypatch.setattr(BertAttention, "forward", counted)
    _, report, _ = fit(gradient_checkpointing=True)
    batches = 2 * report["steps_run"]
    assert calls[True] == 2 * batches
    for name, content in files(tiny.ner).items():
        assert (fit.folder / "ner" / name).read_bytes() == content, name


def test_half_precision_is_stored_and_loads(tiny, fit):
    fit(save_dtype="float16", epochs=1)
    stored = load_file(fit.folder / "ner/model.safetensors")
    assert {str(tensor.dtype) for tensor in stored.values()} == {"float16"}
    assert json.loads((fit.folder / "ner/config.json").read_text())["dtype"] == "float16"
    loaded = load_tagger(fit.folder / "ner", choose_device("cpu", ""))
    for name, tensor in loaded.state_dict().items():
        assert str(tensor.dtype) == "torch.float32"
        np.testing.assert_array_equal(tensor.numpy(), stored[name].astype("float32"), name)
