"""Describes the data of a run as MLflow's datasets: each split by its name, source and hash."""

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from stages.corpus.origins import GROWING, split_file
from stages.params.download import TEXT

SOURCE = "source.json"
SPLITS = ("train", "dev", "test")
DIGEST_CHARACTERS = 36  # MLflow's column; the profile has all of a longer hash


def inputs(
    workspace: Path, commit: str | None, ended: Collection[str] | None = None
) -> list[DatasetInput]:
    """The outs of the stages that read no other's, that is the data from outside.

    Of the `ended` stages alone if they are given: what dvc.lock says of another may be of a run
    before.

    A corpus, whose source.json names it and its splits, is a dataset for each split by that name,
    and for each file of plain text.
    Its source is the address in params.yaml, or else DVC's path and hash. The profile is the
    source.json.
    """
    lock = _yaml(workspace / "dvc.lock")["stages"]
    stages = [stage for name, stage in lock.items() if ended is None or name in ended]
    outs = [out for stage in stages for out in stage.get("outs", ()) if "md5" in out]
    made = {out["path"] for out in outs}
    first = [s for s in stages if not any(_below(d["path"], made) for d in s.get("deps", ()))]
    found: list[DatasetInput] = []
    for out in (out for stage in first for out in stage.get("outs", ()) if "md5" in out):
        file = workspace / out["path"] / SOURCE
        text = file.read_text(encoding="utf-8") if file.is_file() else None
        if {"name", "train", "test"} <= json.loads(text or "{}").keys():
            # MLflow's lists show the first one.
            found = [*_splits(workspace, outs, out, commit), *found]
        else:
            source = _dvc(out, out["path"], commit)
            found.append(_dataset(out["path"], out["md5"], source, "source", text))
    return found


def _splits(
    workspace: Path, outs: list[dict[str, str]], corpus: dict[str, str], commit: str | None
) -> Iterator[DatasetInput]:
    text = (workspace / corpus["path"] / SOURCE).read_text(encoding="utf-8")
    profile = json.loads(text)
    params = _yaml(workspace / "params.yaml").get("download", {})
    texts = {f"{TEXT}{n}": one for n, one in enumerate(params.get("text") or ())}
    for split in (*SPLITS, *texts):
        if split in profile:
            addresses = ((params | texts).get(split) or {}).get("sources", [])
            web = next((a for a in addresses if a.startswith(("http://", "https://"))), None)
            path = f"{corpus['path']}/{split_file(workspace / corpus['path'], split).name}"
            source = ("http", {"url": web}) if web else _dvc(corpus, path, commit)
            yield _dataset(profile["name"], _digest(profile, split), source, split, text)
        elif split in SPLITS:  # held out of train
            for out in outs:
                path = f"{out['path']}/{split}.parquet"
                if (workspace / path).is_file():
                    yield _dataset(profile["name"], out["md5"], _dvc(out, path, commit), split)


def _digest(profile: Any, split: str) -> str:
    """That of the split's file, with those of a growing source if it adds to it."""
    own = str(profile[split]["sha256"])
    added = [file["sha256"] for file in profile.get(GROWING, ()) if split == "train"]
    return hashlib.sha256("".join([own, *added]).encode()).hexdigest() if added else own


def _dataset(
    name: str,
    digest: str,
    source: tuple[str, dict[str, Any]],
    context: str,
    profile: str | None = None,
) -> DatasetInput:
    kind, place = source
    dataset = Dataset(name, digest[:DIGEST_CHARACTERS], kind, json.dumps(place), profile=profile)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _dvc(out: dict[str, str], path: str, commit: str | None) -> tuple[str, dict[str, Any]]:
    return "dvc", {"commit": commit, "path": path, "md5": out["md5"]}


def _below(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
