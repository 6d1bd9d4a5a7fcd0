"""The whole job in small: an invented corpus, an encoder without weights, a model of a second."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from stages.align import align
from stages.contract.section import read
from stages.download import describe
from stages.params.params import Params
from tests.conftest import ROOT
from tests.invented import Tagged, a_sentence, write_encoder
from tests.support.forks import Forks
from tests.support.once import once

PARAMS = {
    "align": {
        "dev_sentences": 60,
        "dev_block_sentences": 1,
        "window_tokens": 64,
        "window_overlap_tokens": 24,
    },
    "train": {
        "device": "cpu",
        "cpu_threads": 1,
        "pretrain": {
            "epochs": 0,
            "learning_rate": 0.001,
            "tokens_per_step": 512,
            "mask_fraction": 0.15,
        },
        "epochs": 10,
        "learning_rate": 0.005,
        "layer_decay": 1.0,
        "head": "linear",  # what a CRF changes has tests of its own, and test_job.py
        "r_drop": 0.0,
        "tokens_per_step": 512,
        "tokens_per_batch": 256,
        "patience_evals": 4,
        "compile": False,
        "try_export": False,  # it takes longer than all else
    },
    "evaluate": {
        "device": "cpu",
        "cpu_threads": 1,
        "tokens_per_batch": 2048,
        "errors": 3,
        "length_bins": [1, 2, 3, 10],
        "calibration": {
            "target_precision": 0.9,
            "threshold_entities": 20,
            "own_entities": 40,
            "folds": 3,
        },
        "bootstrap": {"samples": 200, "confidence": 0.95, "seed": 17},
        "slices": {
            "long": {"min_characters": 600},
            "stars": {"pattern": "[☆★]"},
            "places_near_digits": {"pattern": "[0-9]", "type": "LOC", "max_characters": 599},
        },
        "robustness": {"sentences": 40, "document_characters": 700},
    },
    "export": {"require_cuda": False, "cpu_threads": 1, "tokens_per_batch": 2048},
}


@dataclass(frozen=True)
class Tiny:
    """A workspace in which every stage but download has run."""

    path: Path
    params: Params
    test: list[Tagged]
    """The first has 600 characters, the second 2,500."""

    @property
    def encoder(self) -> Path:
        return self.path / "data/encoder"

    @property
    def aligned(self) -> Path:
        return self.path / "data/aligned"

    @property
    def ner(self) -> Path:
        return self.path / "models/ner"

    @property
    def onnx(self) -> Path:
        return self.path / "models/onnx"

    def report(self, name: str) -> Path:
        return self.path / "reports" / name

    def json(self, name: str) -> Any:
        return json.loads(self.report(name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Tiny:
    """Aligned, trained, scored and exported once; tests read it and change nothing."""
    random = Random(7)  # noqa: S311
    train = [a_sentence(random) for _ in range(400)]
    test = [a_sentence(random, of=n) for n in (600, 2500, *[0] * 150)]

    def make(path: Path) -> None:
        write_encoder(path / "data/encoder")
        write_aligned(path, write_params(path), train, test)
        for stage in ("train", "evaluate", "export"):
            forks.run(stage, path)

    path = once(tmp_path_factory, "tiny", make)
    params = read(Params, path / "params.yaml", whole=True)
    return Tiny(path, params, test)


@pytest.fixture
def one_thread() -> None:
    """For what calls torch itself: other tests share these cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def cpu_only() -> None:
    """Skips where a GPU is."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")


def write_aligned(path: Path, params: Params, train: list[Tagged], test: list[Tagged]) -> None:
    """Makes data/corpus and data/aligned in the workspace `path`, which has an encoder."""
    raw = path / "data/corpus"
    raw.mkdir(parents=True)
    for name, sentences in (("train", train), ("test", test)):
        lines = ["".join(f"{cell}\t{tag}\n" for cell, tag in sentence) for sentence in sentences]
        (raw / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    source = describe(params.download, raw, path / "data/encoder")
    (raw / "source.json").write_text(json.dumps(source), encoding="utf-8")
    align(
        params.align,
        raw,
        path / "data/encoder",
        path / "data/aligned",
        path / "reports/align.json",
    )


def write_params(folder: Path, **train: Any) -> Params:
    """The real params.yaml made small; `train` changes that section further."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in PARAMS.items():
        values[section] |= changes
    values["train"] |= train
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return read(Params, path, whole=True)
