"""Saves and restores training: whole files in a folder that is named by what decides the result."""

import fcntl
import hashlib
import os
import pickle  # noqa: TID251 - its error alone
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from stages.contract.errors import StageError
from stages.contract.section import Section
from stages.training.ranks import Ranks

CODE = Path(__file__).parents[1]


def root() -> Path:
    """Where checkpoints are: NER_CHECKPOINTS, which runs share, or .checkpoints here."""
    return Path(os.environ.get("NER_CHECKPOINTS", ".checkpoints"))


@contextmanager
def held(root: Path | None, params: Section, inputs: Iterable[Path]) -> Iterator[Path | None]:
    """Yields the folder for checkpoints below `root`, for this process alone until the end.

    Its name is a hash of the parameters, the content of `inputs`, the code of the stages and the
    versions of torch and transformers. It goes at the end if `remove` was called. Yields None where
    `root` is None or, which is said, where another process has the folder.

    Raises:
        StageError: if nothing can be written there.
    """
    if root is None:
        yield None
        return
    folder = root / _key(params, inputs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StageError(
            f"no checkpoint can be kept in {folder}: {error.strerror};"
            " set NER_CHECKPOINTS to a folder that can be written"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} is another run's: no checkpoint is kept of this one", file=sys.stderr)
            yield None
            return
        try:
            yield folder
        finally:
            if not list(folder.rglob("*.pt")):
                shutil.rmtree(folder)


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Writes the state after `step` in place of what is there: whole, and on the disk, or not."""
    partial = folder / "partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    path = folder / f"{step:08}-{_sha256(partial)}.pt"
    partial.rename(path)
    _to_disk(folder)
    for other in folder.glob("*.pt"):
        if other != path:
            other.unlink()


def load(folder: Path, said: bool = True) -> dict[str, Any] | None:
    """The newest state that is whole, on the CPU, or None; `said` which are not used."""
    say: Callable[..., None] = partial(print, file=sys.stderr) if said else lambda _: None
    for path in sorted(folder.glob("*.pt"), reverse=True):
        try:
            if _sha256(path) == path.stem.partition("-")[2]:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return state
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            say(f"{path}: {' '.join(str(error).split())}")
        say(f"{path} is damaged and not used")
    if {path.parent for path in folder.parent.glob("*/*.pt")} - {folder}:
        say(f"{folder.parent} has checkpoints, but of other parameters, data or code")
    return None


def remove(folder: Path) -> None:
    """Deletes the checkpoints there and below, once what they were for is done."""
    for path in folder.rglob("*.pt"):
        path.unlink()


def _key(params: Section, inputs: Iterable[Path]) -> str:
    told = [params.model_dump_json(), torch.__version__, transformers.__version__]
    told += [f"{path.relative_to(CODE)} {_sha256(path)}" for path in sorted(CODE.rglob("*.py"))]
    told += [f"{path.name} {_sha256(path)}" for path in inputs]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Standing:
    """All that the next step and the outs depend on, but for the tensors of `Trained`."""

    step: int = 0
    best_f1: float = -1.0
    best_step: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of train.csv: step, loss, lr and, once it is evaluated, dev_f1."""

    def note(self, f1: float, model: PreTrainedModel, ranks: Ranks) -> None:
        """Keeps the dev F1 of this step and, in rank 0, the weights if they are the best."""
        self.rows[-1]["dev_f1"] = f1
        if f1 > self.best_f1:
            self.best_f1, self.best_step = f1, self.step
            if ranks.first:
                weights = model.state_dict()
                self.best_weights = {k: v.to("cpu", copy=True) for k, v in weights.items()}


@dataclass(frozen=True)
class Trained:
    """What changes with each step."""

    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def save(self, now: Standing, folder: Path) -> None:
        """Writes a checkpoint, as `save` does."""
        tensors = {name: part.state_dict() for name, part in vars(self).items()}
        save(folder, now.step, {"standing": vars(now), **tensors})

    def restore(self, folder: Path, ranks: Ranks) -> Standing:
        """Takes the newest whole checkpoint, in place; where there is none, nothing is changed.

        Raises:
            StageError: if the ranks do not find the same one.
        """
        state = load(folder, ranks.first)
        now = Standing(**state["standing"]) if state else Standing()
        if not ranks.all_same(now.step):
            raise StageError(
                f"the checkpoint in {folder} is not the same for all ranks: set NER_CHECKPOINTS to"
                " a folder that all nodes share"
            )
        if state:
            for name, part in vars(self).items():
                part.load_state_dict(state[name])
            if ranks.first:
                print(f"goes on after step {now.step}, from {folder}", file=sys.stderr)
        return now
