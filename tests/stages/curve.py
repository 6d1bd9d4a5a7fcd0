"""What a training wrote of its course."""

import csv


def curve(folder):
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        assert file.readline() == "step,loss,lr,dev_f1\n"
        rows = csv.DictReader(file, ["step", "loss", "lr", "dev_f1"])
        return [{k: float(v) if v else None for k, v in row.items()} for row in rows]
