import re

import pytest

import stages.contract.progress
from stages.text.windows_table import read_aligned

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_a_log_shows(fit, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("NER_LIVE", str(tmp_path / "live"))
    monkeypatch.setattr(stages.contract.progress, "LINE_EVERY_S", 0.02)
    _, report, rows = fit(patience_evals=99, epochs=4)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    said = [line for line in lines if line.startswith("step ")]
    assert said == [
        f"step {row['step']:.0f} of {report['steps_planned']}: dev F1 {row['dev_f1']:.4f}"
        for row in rows
        if row["dev_f1"] is not None
    ]
    bar = [line for line in lines if line not in said]
    shown = r"train on cpu: +\d+% \S+/\S+ \[\d\d:\d\d<(\d\d:\d\d|\?), +\S+ tokens/s(, loss=\d.*)?\]"
    assert len(bar) > 2
    assert [line for line in bar if not re.fullmatch(shown, line)] == []
    assert "100%" in bar[-1]
    assert "loss=" in bar[-1]
    # What grew beside it has the same curve, an evaluation in a row of its own.
    lines = (tmp_path / "live" / "train.csv").read_text().splitlines()
    grew = [[float(cell or 0) for cell in line.split(",")] for line in lines[1:]]
    assert lines[0] == "step,loss,lr,tokens_per_s,dev_f1"
    assert [[step, loss, lr] for step, loss, lr, speed, _ in grew if speed] == [
        [row["step"], row["loss"], row["lr"]] for row in rows
    ]
    assert [[step, f1] for step, _, _, speed, f1 in grew if not speed] == [
        [row["step"], row["dev_f1"]] for row in rows if row["dev_f1"] is not None
    ]


def test_tokens_are_counted(tiny, fit):
    split = read_aligned(tiny.aligned / "train.parquet")
    measured, _, _ = fit(epochs=8, patience_evals=99)
    tokens = 8 * sum(map(len, split.input_ids))
    assert measured["tokens_per_s"] * measured["fit_seconds"] == pytest.approx(tokens, rel=0.02)
