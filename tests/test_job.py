"""The sample job with the real stages: by `dvc repro`, by the flow, and what they leave."""

import json
import os
import pickle  # noqa: TID251 - to know one
import shutil
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import yaml

from pipelines.tracking import connection
from tests.support.clone import clone, commit

STAGES = ["download", "align", "train", "evaluate", "export"]
OUTS = {
    "data/corpus": ["source.json", "test.txt", "train.txt"],
    "data/encoder": ["config.json", "tokenizer_config.json", "vocab.txt"],
    "data/aligned": ["dev.parquet", "labels.json", "test.parquet", "train.parquet"],
    "models/ner": [
        "config.json",
        "labels.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "transitions.json",
    ],
    "models/onnx": [
        "README.md",
        "calibration.json",
        "labels.json",
        "model.onnx",
        "tokenizer.json",
        "transitions.json",
    ],
    ".measured": [f"{stage}.json" for stage in sorted(STAGES)],
}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW", "PREF"))
        }
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with params.yaml set to a short sample job and committed, after `dvc repro`."""
    folder = clone(tmp_path_factory.mktemp("job") / "clone")
    run(folder, "dvc", "repro")
    commit(folder, "add", "-A")
    commit(folder, "commit", "-qm", "Run the job")
    return folder


def test_repro_leaves_these_files_and_no_other(job):
    for out, files in OUTS.items():
        assert sorted(p.name for p in (job / out).iterdir()) == files, out
    declared = yaml.safe_load((job / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    outs = {out["path"] for stage in declared.values() for out in stage["outs"]}
    reports = {out for out in outs if out.startswith("reports/")}
    assert reports == {f"reports/{path.name}" for path in (job / "reports").iterdir()} - {
        "reports/.gitignore"
    }
    assert outs - reports == set(OUTS) - {".measured"}


def test_repro_again_does_nothing(job):
    assert run(job, "dvc", "status").strip() == "Data and pipelines are up to date."
    said = run(job, "dvc", "repro")
    assert [f"Stage '{stage}' didn't change, skipping" in said for stage in STAGES] == [True] * 5
    assert "Running stage" not in said


@pytest.mark.slow  # tests/test_wiring.py knows what reads what
def test_a_learning_rate_runs_train_evaluate_export(job, tmp_path):
    folder = shutil.copytree(job, tmp_path / "copy", symlinks=True)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["train"]["learning_rate"] /= 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    diff = json.loads(run(folder, "dvc", "params", "diff", "--json"))
    assert [*diff["params.yaml"]] == ["train.learning_rate"]
    said = run(folder, "dvc", "repro")
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in said] == STAGES[2:]


@pytest.mark.slow  # docs/your-own-corpus.md says so; `run` needs no such line
def test_repro_sees_a_changed_corpus_that_is_a_dependency(job, tmp_path):
    folder = shutil.copytree(job, tmp_path / "copy", symlinks=True)
    corpus = folder / "samples/corpus/train.txt"
    stages = (folder / "dvc.yaml").read_text(encoding="utf-8")
    stages = stages.replace("    deps:\n", "    deps:\n      - samples/corpus/train.txt\n", 1)
    (folder / "dvc.yaml").write_text(stages, encoding="utf-8")
    run(folder, "dvc", "repro", "download")
    corpus.write_text(corpus.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"train\.txt could not be fetched: .* bytes"):
        run(folder, "dvc", "repro", "download")


def test_dvc_shows_what_its_users_expect(job):
    metrics = json.loads(run(job, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert {*metrics} == {
        "reports/align.json",
        "reports/train.json",
        "reports/calibration.json",
        "reports/metrics.json",
        "reports/export.json",
    }
    scores = metrics["reports/metrics.json"]["data"]["test"]
    assert 0.3 < scores["f1"] == pytest.approx(metrics["reports/export.json"]["data"]["f1"])
    figures = {"f1", "f1_low", "f1_high", "precision", "recall", "support"}
    figures |= {"ece", "ece_uncalibrated"}
    assert {"types", *figures} == {*scores}
    assert {"PER", "ORG", "LOC"} == {*scores["types"]}
    align = metrics["reports/align.json"]["data"]
    assert [align[s]["entities_in"] for s in ("train", "dev", "test")] == [
        align[s]["entities_kept"] for s in ("train", "dev", "test")
    ]
    page = Path(run(job, "dvc", "plots", "show").strip().removeprefix("file://"))
    html = page.read_text(encoding="utf-8")
    shutil.rmtree(page.parent)
    for title in ("Dev F1 by step", "Tags, gold against predicted", "F1 by entity length"):
        assert title in html
    dag = run(job, "dvc", "dag", "--mermaid")
    assert all(stage in dag for stage in STAGES)


@pytest.fixture(scope="module")
def flow(job: Path) -> Path:
    """The same clone after `python -m pipelines run`."""
    run(job, "pipelines", "run")
    return job


def test_the_flow_gives_the_lock_that_repro_gave(flow):
    [workspace] = [path for path in (flow / ".runs").glob("2*") if (path / "dvc.yaml").exists()]
    assert (workspace / "dvc.lock").read_bytes() == (flow / "dvc.lock").read_bytes()
    changed = subprocess.run(
        ["git", "status", "--short"], cwd=flow, capture_output=True, text=True, check=True
    )
    assert changed.stdout == ""


def test_the_registered_model_finds_entities_in_the_callers_own_text(flow, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    connection.connect(
        flow
    )  # set_tracking_uri alone would set the variable for later tests as well
    model = mlflow.pyfunc.load_model("models:/msra-ner@challenger")
    plain = "李明在北京市会见了王芳。"
    texts = [
        plain,
        "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in "ABC123 ") + plain,
        "e\u0301\u200b\u3000" + plain,
        "\U0001f468\u200d\U0001f469 ㎞½" + plain,
        plain * 200,
    ]
    rows = model.predict(pd.DataFrame({"text": texts}))
    found = [[(e["type"], e["text"]) for e in row["entities"]] for row in rows]
    assert found[0], "a sentence with three names"
    for text, row in zip(texts, rows, strict=True):
        assert row["error"] is None
        for entity in row["entities"]:
            assert entity["text"] == text[entity["start"] : entity["end"]]
            assert 0 <= entity["score"] <= 1
    assert len(rows[-1]["entities"]) > 100
    assert unicodedata.normalize("NFKC", texts[1]) != texts[1]


def test_nothing_that_the_job_leaves_is_a_pickle(flow):
    """Of the outs, the registered model, the workspace and DVC's cache."""
    found = [path for path in flow.rglob("*") if path.is_file() and ".git" not in path.parts]
    names = {path.name for path in found}
    assert {"model.safetensors", "model.onnx", "MLmodel", "mlflow.db", "python_env.yaml"} <= names
    assert [path for path in found if holds_a_pickle(path)] == []


def test_a_pickle_would_be_found(tmp_path):
    for number in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / f"{number}.bin").write_bytes(pickle.dumps({"a": [1]}, protocol=number))
    torch.save({"a": torch.zeros(1)}, tmp_path / "checkpoint.pt")
    assert all(map(holds_a_pickle, tmp_path.iterdir()))


def holds_a_pickle(path: Path) -> bool:
    """Whether it begins as one of protocol 2 or later, or is a zip file with one, as torch's."""
    with path.open("rb") as file:
        head = file.read(2)
    if zipfile.is_zipfile(path):
        return any(name.endswith(".pkl") for name in zipfile.ZipFile(path).namelist())
    return head[:1] == b"\x80" and 2 <= head[1] <= pickle.HIGHEST_PROTOCOL
