"""A curve grows while the training runs."""

import csv
from pathlib import Path

from stages.training.runtime import LiveCurve


def test_each_row_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "live" / "train.csv"
    curve = LiveCurve(path, lambda start, stop: sum([100, 200, 300, 400][start:stop]), after=1)
    curve.loss(3, 0.5, 0.001)
    [row] = csv.DictReader(path.open())
    assert (row["step"], row["loss"], row["lr"], row["dev_f1"]) == ("3", "0.5", "0.001", "")
    assert int(row["tokens_per_s"]) > 500
    curve.dev_f1(3, 0.25)
    *_, row = csv.DictReader(path.open())
    assert list(row.values()) == ["3", "", "", "", "0.25"]
    curve.loss(4, 0.25, 0.0)
    *_, row = csv.DictReader(path.open())
    assert (row["step"], int(row["tokens_per_s"]) > 400) == ("4", True)


def test_a_new_training_begins_a_new_file_and_without_a_folder_there_is_none(
    tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "train.csv"
    for _ in range(2):
        LiveCurve(path, lambda *_: 1, after=0).loss(1, 0.5, 0.1)
    assert len(path.read_text().splitlines()) == 2
    monkeypatch.chdir(tmp_path)
    LiveCurve(None, lambda *_: 1, after=0).loss(1, 0.5, 0.1)
    assert list(tmp_path.iterdir()) == [path]
