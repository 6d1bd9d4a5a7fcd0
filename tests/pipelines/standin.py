"""A small DVC project whose stages write the same report files as the real ones, in no time.

Its stages are one file, stage.py, of which each runs one function; its params.yaml is the real one,
but that it needs no GPU and no network.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CORPUS = b"nobody reads it\n"
PYFUNC = "pipelines/registry/pyfunc_model.py"

DVC_YAML = """\
stages:
  download:
    cmd: python stage.py download
    params: [download]
    deps: [stage.py]
    outs: [data/raw.txt]
  align:
    cmd: python stage.py align
    params: [align]
    deps: [stage.py, data/raw.txt]
    outs: [data/aligned.txt]
    metrics: [reports/align.json]
  train:
    cmd: python stage.py train
    params: [train]
    deps: [stage.py, data/aligned.txt]
    outs: [models/ner]
    metrics: [reports/train.json]
    plots: [reports/train.csv: {x: step, y: dev_f1}]
  evaluate:
    cmd: python stage.py evaluate
    params: [evaluate]
    deps: [stage.py, data/aligned.txt, models/ner]
    outs: [reports/errors.jsonl, reports/index.html, reports/slices.jsonl]
    metrics: [reports/metrics.json]
    plots: [reports/confusion.csv: {template: confusion, x: predicted, y: gold}]
  export:
    cmd: python stage.py export
    params: [export]
    deps: [stage.py, data/aligned.txt, models/ner]
    outs: [models/onnx, reports/predictions.jsonl]
    metrics: [reports/export.json]
"""

ARTIFACTS = """\
artifacts:
  msra-ner: {path: models/onnx, type: model}
"""

STAGE_PY = """\
import json, os, sys
from pathlib import Path

import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
for folder in ("data", "reports", "models/ner", "models/onnx", ".measured"):
    Path(folder).mkdir(parents=True, exist_ok=True)


def put(path, value):
    Path(path).write_text(value if isinstance(value, str) else json.dumps(value))


def download():
    put("data/raw.txt", "raw")


def align():
    put("data/aligned.txt", "aligned")
    put("reports/align.json", {
        "entities_in": 7, "entities_kept": 7, "unknown_rate": 0.25,
        "warnings": [{"message": "2 texts of test are empty", "remedy": "delete them"}],
    })


def train():
    rate = params["train"]["learning_rate"]
    if rate > 1:
        sys.exit(f"train: the loss is not a number at step 3, learning_rate is {rate}")
    put("models/ner/weights", str(rate))
    put("reports/train.json", {"best_dev_f1": 0.75, "best_step": 2})
    put("reports/train.csv", f"step,loss,lr,dev_f1\\n1,0.5,{rate},\\n2,0.25,{rate},0.75\\n")
    put(".measured/train.json", {"seconds": 1.5, "device": "cpu", "host": "here"})


def evaluate():
    score = {"precision": 0.5, "recall": 1.0, "f1": 0.625, "support": 4}
    put("reports/metrics.json", {
        "test": {**score, "ece": 0.02, "types": {"PER": score, "ORG": score, "LOC": score}},
        "slices": {"long": {**score, "sentences": 2}},
    })
    put("reports/confusion.csv", "gold,predicted\\nO,O\\n")
    put("reports/errors.jsonl", "")
    put("reports/slices.jsonl", '{"slice": "long", "type": null, "sentences": [0, 2]}\\n')
    put("reports/index.html", "<!doctype html><title>Report</title>")


def export():
    put("models/onnx/model.onnx", "onnx")
    put("models/onnx/README.md", "# A title\\n\\n## The card")
    asked = ["CPUExecutionProvider"]
    put("models/onnx/labels.json", {"tags": ["O", "B-LOC", "I-LOC"]})
    gold, found = [[0, 2, "LOC"], [3, 5, "LOC"]], [[0, 2, "LOC"], [3, 4, "LOC"]]
    row = {"gold": gold, "predicted": found, "text": "北京和上海。"}
    rows = (row, *[{"gold": [], "predicted": []}] * 2)
    put("reports/predictions.jsonl", "".join(json.dumps(each) + "\\n" for each in rows))
    put("reports/export.json", {
        "cuda_validated": False, "f1": 0.5, "providers_asked": asked,
        "types": {"PER": {"f1": 0.5}, "ORG": {"f1": 0.5}, "LOC": {"f1": 0.5}},
        "logit_difference_max": 0.00001, "test_sentences": 3, "test_sha256": "7e57",
    })


print(f"{sys.argv[1]}: at work")
globals()[sys.argv[1]]()
"""

# A stage that tells its process id; what it does then is to be appended.
SLOW = "from pathlib import Path; import os, time; Path('pid').write_text(str(os.getpid()))\n"

TAGGER_PY = '''\
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Entity:
    text: str
    type: str
    start: int
    end: int
    score: float


class Tagger:
    """Finds 北京, by the same interface as the real one."""

    def __init__(self, folder, cpu_threads=None):
        assert (folder / "model.onnx").read_text() == "onnx"
        print("a library says something")
        self.provider = "CPUExecutionProvider"

    def __call__(self, texts):
        return [
            [Entity(m[0], "LOC", *m.span(), 0.5) for m in re.finditer("北京", text)]
            for text in texts
        ]
'''


def project(folder: Path) -> Path:
    """Makes the project in `folder`, committed to Git, its DVC cache empty."""
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").write_text(ARTIFACTS + DVC_YAML)
    (folder / "stage.py").write_text(STAGE_PY)
    (folder / "params.yaml").write_text(params(CORPUS), encoding="utf-8")
    (folder / "corpus.txt").write_bytes(CORPUS)
    shutil.copy(ROOT / ".gitignore", folder)
    shutil.copy(ROOT / ".dvcignore", folder)
    shutil.copytree(
        ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "stages" / "serving" / "tagger.py").write_text(TAGGER_PY)
    (folder / PYFUNC).parent.mkdir(parents=True)
    shutil.copy(ROOT / PYFUNC, folder / PYFUNC)
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder)
    return folder


def params(corpus: bytes) -> str:
    """The real params.yaml, for the CPU, with `corpus.txt` of this content as train and test."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("device: cuda", "device: auto")
    text = re.sub(r"(?s)(\nexport:.*?require_cuda): true", r"\1: false", text, count=1)
    local = "sources: [corpus.txt]\n    bytes: null\n    git_blob: null\n    sha256: "
    local += hashlib.sha256(corpus).hexdigest()
    text = re.sub(
        r"sources:\n(?:      - .*\n)+    bytes: .*\n    git_blob: .*\n    sha256: .*", local, text
    )
    return re.sub(
        r"hub_id: .*\n    revision: .*\n    folder: .*",
        "hub_id: null\n    revision: null\n    folder: stages",
        text,
    )


def in_one_stage(folder: Path) -> None:
    """Lets `download` do the work of all five, in a fifth of DVC's time."""
    five = list(yaml.safe_load(DVC_YAML)["stages"].values())
    every = ("params", "outs", "metrics", "plots")
    one = {key: [item for stage in five for item in stage.get(key, ())] for key in every}
    one |= {"cmd": [stage["cmd"] for stage in five], "deps": ["stage.py"]}
    (folder / "dvc.yaml").write_text(ARTIFACTS + yaml.safe_dump({"stages": {"download": one}}))


def commit(folder: Path) -> str:
    """Commits all there is; returns the commit's id."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "All of it")
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """Runs Git there and returns what it printed."""
    names = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER")
             for what in ("NAME", "EMAIL")}  # fmt: skip
    return subprocess.run(
        ["git", *arguments], cwd=folder, env={**clean_environment(), **names},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def clean_environment() -> dict[str, str]:
    """This process's, with nothing that names a repository, a server or a home of theirs."""
    prefixes = ("GIT_", "MLFLOW_", "PREFECT_", "DVC_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def pipelines(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs `python -m pipelines` in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], cwd=folder,
        env={**clean_environment(), **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def closed_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
