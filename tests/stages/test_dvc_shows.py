import csv
import json
import shutil
import subprocess
import sys

from tests.conftest import ROOT


def test_dvc_shows_its_metrics_and_plots(tiny, tmp_path):
    def dvc(*arguments):
        return subprocess.check_output([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path)

    dvc("init", "--no-scm", "--quiet")
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    shutil.copytree(tiny.path / "reports", tmp_path / "reports")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(tiny.path / "params.yaml", tmp_path)

    metrics = json.loads(dvc("metrics", "show", "--json"))[""]["data"]
    assert metrics["reports/metrics.json"]["data"] == tiny.json("metrics.json")
    plots = json.loads(dvc("plots", "show", "--json"))
    assert not plots.get("errors")
    shown = {name: plot[0]["content"] for name, plot in plots["data"].items()}
    names = ("confusion", "f1_by_length", "reliability", "train")
    assert set(shown) == {f"reports/{name}.csv" for name in names}
    for name, content in shown.items():
        values = content["data"]["values"]
        with (tiny.path / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [{key: row[key] for key in rows[0]} for row in values] == rows
    # Cells without a dev F1 are empty, which Vega would draw as 0.
    assert shown["reports/train.csv"]["transform"] == [{"filter": "datum['dev_f1'] !== ''"}]
