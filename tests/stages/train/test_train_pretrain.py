"""Masked language modelling on the training text, before the encoder learns to tag."""

import json
import shutil
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import stages.training.masked_lm
from stages.contract.errors import StageError
from stages.text.labels import IGNORED, Labels
from stages.text.windows_table import read_aligned
from stages.train import train
from stages.training.batches import make_batches
from stages.training.masked_lm import hide
from stages.training.plan import Plan
from tests.stage_process import files
from tests.tiny import write_params

pytestmark = pytest.mark.usefixtures("one_thread")
PRETRAIN = {"epochs": 3, "learning_rate": 0.005, "tokens_per_step": 1024, "mask_fraction": 0.15}
MASK = 4


@pytest.fixture
def learn(tiny, tmp_path):
    """Trains for one epoch in this process; gives what was measured and the files."""

    def learn(name, encoder=tiny.encoder, aligned=tiny.aligned, **pretrain):
        folder = tmp_path / name
        folder.mkdir()
        params = write_params(folder, epochs=1, pretrain=PRETRAIN | pretrain)
        out = folder / "models", folder / "train.json", folder / "train.csv"
        measured = train(params.train, aligned, encoder, *out, tmp_path / "shared")
        return measured, files(folder / "models")

    return learn


def test_hidden_tokens_are_the_labels(tiny):
    data, labels = read_aligned(tiny.aligned / "train.parquet"), Labels.read(tiny.aligned)
    lengths = [len(ids) for ids in data.input_ids]
    rows = Plan(lengths, 1, 64 * 500, 64, seed=1)[0]
    [batch] = make_batches(data, rows, len(rows), 64, first_position=0)
    ids, positions, member, _ = batch.clone().unbind()
    hidden = hide(batch.clone(), labels, MASK, 0.15, np.random.default_rng(1))
    chosen = hidden[3] != IGNORED
    assert torch.equal(hidden[3][chosen], ids[chosen])
    assert torch.equal(hidden[0][~chosen], ids[~chosen])
    assert torch.equal(hidden[1:3], torch.stack([positions, member]))
    words = (member > 0) & (ids != labels.cls_id) & (ids != labels.sep_id)
    assert not (chosen & ~words).any()
    assert chosen.sum(dim=1).tolist() == [round(0.15 * n) for n in words.sum(dim=1).tolist()]
    shown = hidden[0][chosen]
    assert (shown == MASK).float().mean() == pytest.approx(0.8, abs=0.05)
    assert (shown == ids[chosen]).float().mean() == pytest.approx(0.1, abs=0.05)
    assert {*shown[shown != MASK].tolist()} <= {*ids[words].tolist()}


def test_the_encoder_learns_the_text_and_the_same_again(learn):
    measured, once = learn("once")
    assert measured["pretrain_steps_planned"] == 3 * 5
    untrained, without = learn("without", epochs=0)
    assert not [name for name in untrained if name.startswith("pretrain")]
    assert once["model.safetensors"] != without["model.safetensors"]
    short, _ = learn("short", learning_rate=1e-9)
    assert measured["pretrain_last_loss"] < short["pretrain_last_loss"] - 0.3
    assert learn("again")[1] == once


@pytest.mark.slow  # trains twice
def test_plain_text_is_learnt_besides(learn, tiny, tmp_path, capsys):
    aligned = shutil.copytree(tiny.aligned, tmp_path / "aligned")
    before, _ = learn("before")
    train_ids = pq.read_table(aligned / "train.parquet")["input_ids"]
    text = pa.table({"input_ids": pa.chunked_array([*train_ids.chunks, *train_ids.chunks])})
    pq.write_table(text, aligned / "text.parquet")
    measured, ours = learn("ours", aligned=aligned)
    ratio = measured["pretrain_steps_planned"] / before["pretrain_steps_planned"]
    assert ratio == pytest.approx(3, abs=0.4)
    report = json.loads((tmp_path / "ours" / "train.json").read_text())
    tokens = sum(map(len, train_ids.to_pylist()))
    assert (report["text_windows"], report["text_tokens"]) == (len(text), 2 * tokens)
    assert "text_windows" not in json.loads((tmp_path / "before" / "train.json").read_text())
    assert learn("again", aligned=aligned)[1] == ours
    capsys.readouterr()
    learn("unread", aligned=aligned, epochs=0)
    assert "download.text is not read, as train.pretrain.epochs is 0" in capsys.readouterr().err


def test_ended_meanwhile_it_goes_on_to_the_same_bytes(learn, tmp_path, monkeypatch, capsys):
    _, undisturbed = learn("undisturbed")
    calls = []

    def terminating(*arguments):
        calls.append(arguments)
        if len(calls) == 9:
            signal.raise_signal(signal.SIGTERM)
        return hide(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stages.training.masked_lm, "hide", terminating)
        with pytest.raises(SystemExit) as end:
            learn("ended")
    assert end.value.code == 128 + signal.SIGTERM
    [kept] = (tmp_path / "shared").glob("*/pretrain/*.pt")
    capsys.readouterr()
    measured, ours = learn("on")
    assert measured["pretrain_resumed_after_step"] == int(kept.name[:8]) > 0
    assert capsys.readouterr().err.startswith(f"resuming after step {int(kept.name[:8])}")
    assert ours == undisturbed
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_tokenizer_without_mask_is_said(learn, tiny, tmp_path):
    encoder = shutil.copytree(tiny.encoder, tmp_path / "encoder")
    for path in encoder.glob("tokenizer*"):
        path.unlink()
    config = {"tokenizer_class": "BertTokenizer", "mask_token": None}
    (encoder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(StageError) as error:
        learn("no", encoder)
    assert str(error.value) == (
        f"the tokenizer of {encoder} has no [MASK]: set train.pretrain.epochs to 0"
    )
