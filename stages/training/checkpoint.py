"""Saves and restores training, in a folder named by a hash of all that decides the result."""

import fcntl
import hashlib
import json
import os
import pickle  # noqa: TID251 - only for its error
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
import transformers
from transformers import PreTrainedModel

from stages.contract.disk import full_disk
from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.imports import import_closure
from stages.contract.section import Section
from stages.training.ranks import SINGLE, Ranks

ROOT = Path(__file__).parents[2]


INDECISIVE = {"checkpoint_minutes", "try_export"}  # the parameters that do not decide the result


def root() -> Path:
    """The folder of all checkpoints: NER_CHECKPOINTS, which runs can share, or .checkpoints."""
    return Path(os.environ.get("NER_CHECKPOINTS", ".checkpoints"))


@contextmanager
def locked_folder(
    root: Path | None, params: Section, inputs: Iterable[Path], ranks: Ranks = SINGLE
) -> Iterator[Path | None]:
    """Yields the checkpoint folder of this training below `root`, locked for this process.

    Its name is a hash of the parameters that decide the result, the content of `inputs`, the code
    that `train` imports and the versions of torch and transformers. If it has no checkpoint at the
    end, it is deleted. Yields None if `root` is None, in other ranks than the first and, with a
    message, if another process has locked the folder.

    Raises:
        StageError: the folder is not writable.
    """
    if root is None or not ranks.first:
        yield None
        return
    folder = root / _key(params, inputs)
    lock = _locked(folder)
    if lock is None:
        print(f"another run uses {folder}: this run keeps no checkpoints", file=sys.stderr)
        yield None
        return
    with lock:
        try:
            yield folder
        finally:
            if not list(folder.rglob("*.pt")):
                shutil.rmtree(folder)


def require_same_everywhere(params: Section, inputs: Iterable[Path], ranks: Ranks) -> None:
    """Checks that all hosts have the parameters, inputs, code and packages of rank 0's.

    Raises:
        StageError: they differ; in each rank, so that none waits for another.
    """
    if not ranks.several_hosts:
        return
    own = _decisive(params, inputs)
    differing = sorted({line.partition(" ")[0] for line in {*own} ^ {*ranks.broadcast(own)}})
    if not ranks.all_equal(len(differing)):
        where = ", ".join(differing) or "what the error on another host names"
        raise StageError(
            f"the hosts of this training differ from the first in {where}: give all the same"
            " commit, params.yaml and data/"
        )


def _locked(folder: Path) -> IO[str] | None:
    """The lock of the folder, which is made if needed; None if another process has it."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except FileNotFoundError:  # deleted meanwhile by a run that ended
            continue
        except OSError as error:
            raise StageError(
                f"cannot write checkpoints to {folder}: {error.strerror};"
                " set NER_CHECKPOINTS to a writable folder"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), (folder / "lock").stat()):
                return lock
        lock.close()  # of a folder that was deleted before this locked it


@dataclass
class TrainingState:
    """All that the next step and the outs depend on, except the tensors of `Training`."""

    step: int = 0
    best_f1: float = -1.0
    best_step: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of train.csv: step, loss, lr and, after an evaluation, dev_f1."""

    @property
    def evaluated(self) -> bool:
        """True if the row of this step has its dev F1."""
        return "dev_f1" in self.rows[-1]

    def record_f1(self, f1: float, model: PreTrainedModel, ranks: Ranks) -> None:
        """Records the dev F1 of this step; rank 0 keeps the weights if they are the best."""
        self.rows[-1]["dev_f1"] = f1
        if f1 > self.best_f1:
            self.best_f1, self.best_step = f1, self.step
            if ranks.first:
                weights = model.state_dict()
                self.best_weights = {k: v.to("cpu", copy=True) for k, v in weights.items()}


@dataclass(frozen=True)
class Training:
    """What each step changes."""

    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def save(self, state: TrainingState, folder: Path) -> None:
        """Writes a checkpoint, as `save` does."""
        tensors = {name: part.state_dict() for name, part in vars(self).items()}
        save(folder, state.step, {"state": vars(state), **tensors})

    def restore(self, folder: Path, ranks: Ranks) -> TrainingState:
        """Loads the newest intact checkpoint; without one, changes nothing.

        Raises:
            StageError: the ranks find different checkpoints.
        """
        loaded = load(folder, messages=ranks.first)
        state = TrainingState(**loaded["state"]) if loaded else TrainingState()
        if not ranks.all_equal(state.step):
            raise StageError(
                f"the ranks find different checkpoints in {folder}: set NER_CHECKPOINTS to a"
                " folder that all nodes share"
            )
        if loaded:
            for name, part in vars(self).items():
                part.load_state_dict(loaded[name])
            if ranks.first:
                print(f"resuming after step {state.step}, from {folder}", file=sys.stderr)
        return state


def save(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Replaces the checkpoint in `folder`; after a crash the old or the new one is there, whole.

    Raises:
        StageError: the disk is full.
    """
    partial = folder / "partial"
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        full = full_disk(error, folder)
        partial.unlink(missing_ok=True)
        if not full:
            raise
        raise StageError(
            f"cannot write a checkpoint: {full}, or set NER_CHECKPOINTS to a folder on another disk"
        ) from None
    path = folder / f"{step:08}-{sha256(partial)}.pt"
    partial.rename(path)
    _fsync(folder)
    for other in folder.glob("*.pt"):
        if other != path:
            other.unlink()


def load(folder: Path, messages: bool = True) -> dict[str, Any] | None:
    """The newest intact checkpoint, on the CPU, or None; with `messages` prints why not others."""
    warn: Callable[..., None] = partial(print, file=sys.stderr) if messages else lambda _: None
    for path in sorted(folder.glob("*.pt"), reverse=True):
        try:
            if sha256(path) == path.stem.partition("-")[2]:
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return content
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            warn(f"{path}: {' '.join(str(error).split())}")
        warn(f"{path} is damaged: not used")
    if {path.parent for path in folder.parent.glob("*/*.pt")} - {folder}:
        warn(f"{folder.parent} has checkpoints, but of other parameters, data or code")
    return None


def remove(folder: Path) -> None:
    """Deletes all checkpoints in `folder` and below."""
    for path in folder.rglob("*.pt"):
        path.unlink()


def _key(params: Section, inputs: Iterable[Path]) -> str:
    return hashlib.sha256("\n".join(_decisive(params, inputs)).encode()).hexdigest()[:32]


def _decisive(params: Section, inputs: Iterable[Path]) -> list[str]:
    """All that decides the result: a name and a value, or the hash of a file."""
    values = params.model_dump(mode="json", exclude=INDECISIVE)
    lines = [f"train.{key} {json.dumps(value)}" for key, value in values.items()]
    lines += [f"torch {torch.__version__}", f"transformers {transformers.__version__}"]
    code = import_closure(ROOT, "stages.train")
    lines += [f"{path.relative_to(ROOT)} {sha256(path)}" for path in code]
    return lines + [f"{path.name} {sha256(path)}" for path in inputs]


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
