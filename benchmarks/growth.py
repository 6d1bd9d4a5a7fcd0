"""Measures how time and memory grow with the corpus: `make bench-growth`.

Makes corpora of 1, 10 and 100 times MSRA, train and test: in each copy the characters that are not
among the most frequent stand for one another, so that most sentences and names are new. Runs
`download`, `align` and `evaluate` on each as DVC would, and what `train` does before its first
step, each in a process of its own on two cores. It writes benchmarks/results/growth.json, where
rows that were not measured again stay.

The model is as small as the sample's and trained on 5,000 sentences: what a model keeps in memory
does not depend on the corpus, and BERT would take days for 100 times the test file on two cores.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.spent import spent

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "growth.json"
FILES = {"train": "msra_train_canonical.txt", "test": "msra_test_bio.txt"}
CORES = 2
COLUMNS = 7  # that are printed of a row; the others are the machine
FREQUENT = 500  # characters, which are the same in each copy
SENTENCES = {"train": 45_000, "test": 3_442}  # of MSRA
FIRST_STEP = """
from pathlib import Path
from stages.training.data import Data
from stages.training.plan import Plan
data = Data.read(Path("data/aligned"), Path("data"))
Plan(data.train.lengths, 10, 8192, data.labels.window_tokens, 42)[0]
"""
STAGES = {
    "download": ["-m", "stages.download"],
    "align": ["-m", "stages.align"],
    "first step": ["-c", FIRST_STEP],
    "evaluate": ["-m", "stages.evaluate"],
}


def main() -> None:
    """Measures, prints and writes the figures, each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = os.environ.get("NER_SHARED", ROOT.parent / "shared")
    parser.add_argument("--shared", type=Path, default=beside, help="folder of msra/ and encoders/")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--folder", type=Path, help="for the corpora: 4 GB at 100; kept")
    also = "those of DVC before the first are in --folder"
    parser.add_argument("--stages", nargs="+", default=[*STAGES], choices=STAGES, help=also)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        model = _model(folder, arguments.shared.resolve())
        for factor in arguments.factors:
            work = _project(folder / f"x{factor}", arguments.shared.resolve(), factor)
            if not (work / "models").exists():
                shutil.copytree(model, work / "models")
            for stage in arguments.stages:
                _write(_row(work, factor, stage))
            if not arguments.folder:
                shutil.rmtree(work)


def _row(work: Path, factor: int, stage: str) -> dict[str, Any]:
    """Runs the stage in the folder `work`."""
    on, figures = machine(), _spent(work, STAGES[stage])
    files = {"first step": ["train"], "evaluate": ["test"]}.get(stage, FILES)
    count = factor * sum(SENTENCES[split] for split in files)
    row = {"factor": factor, "stage": stage, "sentences": count, **figures}
    rate = round(count / figures["cpu_seconds"])
    return row | {"sentences_per_cpu_second": rate, **on}


def _write(row: dict[str, Any]) -> None:
    """Prints the row, and puts it in the place of an earlier one."""
    shown = Table(*list(row)[:COLUMNS])
    shown.add_row(*map(str, [*row.values()][:COLUMNS]))
    Console().print(shown)
    rows = json.loads(RESULT.read_text(encoding="utf-8"))["rows"] if RESULT.is_file() else []
    kept = {(each["factor"], each["stage"]): each for each in [*rows, row]}
    order = [*STAGES]
    rows = sorted(kept.values(), key=lambda each: (each["factor"], order.index(each["stage"])))
    RESULT.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")


def _model(folder: Path, shared: Path) -> Path:
    """Trains the model, unless it is in the folder."""
    work = _project(folder / "model", shared, 1)
    if not (work / "models").exists():
        params = yaml.safe_load((work / "params.yaml").read_text(encoding="utf-8"))
        params["align"]["train_sentences"] = 5000
        (work / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        for stage in ("download", "align", "train"):
            _spent(work, ["-m", f"stages.{stage}"])
    return work / "models"


def _project(work: Path, shared: Path, factor: int) -> Path:
    """A folder with params.yaml, a corpus and an encoder to download, and reports/train.csv."""
    source = work / "source"
    if source.exists():
        return work
    (source / "encoder").mkdir(parents=True)
    vocabulary = shared / "encoders" / "minilm-zh-char" / "vocab.txt"
    shutil.copy(vocabulary, source / "encoder")
    sample = ROOT / "samples" / "encoder"
    shutil.copy(sample / "tokenizer_config.json", source / "encoder")
    config = json.loads((sample / "config.json").read_text(encoding="utf-8"))
    config["vocab_size"] = len(vocabulary.read_bytes().splitlines())
    (source / "encoder" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    own: dict[str, Any] = {"encoder": {"folder": str(source / "encoder")}}
    for split, name in FILES.items():
        file = source / f"{split}.txt"
        _write_copies((shared / "msra" / name).read_text(encoding="utf-8"), file, factor)
        pinned = {"bytes": None, "git_blob": None, "sha256": "unpinned"}
        own[split] = {"sources": [str(file)], **pinned}
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    overlay = yaml.safe_load((ROOT / "samples" / "params.yaml").read_text(encoding="utf-8"))
    small = {"train": {"epochs": 2, "tokens_per_step": 2048, "tokens_per_batch": 2048}}
    small |= {"evaluate": {"tokens_per_batch": 4096}, "align": {"dev_sentences": 2500}}
    for layer in (overlay, {"download": own}, small):
        params = _merged(params, layer)
    (work / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    (work / "reports").mkdir()
    (work / "reports" / "train.csv").write_text("step,loss,lr,dev_f1\n1,1.0,0.1,0.5\n")
    return work


def _write_copies(text: str, path: Path, factor: int) -> None:
    ranked = [character for character, _ in Counter(text).most_common()]
    rare = [c for c in ranked[FREQUENT:] if "\u4e00" <= c <= "\u9fff"]
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        for copy in range(1, factor):
            others = random.Random(copy).sample(rare, len(rare))  # noqa: S311
            file.write("\n" + text.translate(dict(zip(map(ord, rare), others, strict=True))))


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merged(one[k], v) for k, v in other.items() if isinstance(one.get(k), dict)}
    return one | other | {k: v for k, v in both.items() if isinstance(other[k], dict)}


def _spent(work: Path, command: list[str]) -> dict[str, float]:
    figures = spent(
        [sys.executable, *command], cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return {name: round(figure, 1) for name, figure in figures.items()}


if __name__ == "__main__":
    main()
