"""What training has come to: what a checkpoint holds."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.contract.errors import StageError
from stages.training import checkpoint
from stages.training.ranks import Ranks


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
        """Writes a checkpoint, as `checkpoint.save` does."""
        tensors = {name: part.state_dict() for name, part in vars(self).items()}
        checkpoint.save(folder, now.step, {"standing": vars(now), **tensors})

    def restore(self, folder: Path, ranks: Ranks) -> Standing:
        """Takes the newest whole checkpoint, in place; where there is none, nothing is changed.

        Raises:
            StageError: if the ranks do not find the same one.
        """
        state = checkpoint.load(folder, ranks.first)
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
