"""What training has come to: what a checkpoint holds."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.ner import checkpoint


@dataclass
class Standing:
    """All that the next step and the outs depend on, but for the tensors of `Trained`."""

    step: int = 0
    best_f1: float = -1.0
    best_step: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of train.csv: step, loss, lr and, once it is evaluated, dev_f1."""

    def note(self, f1: float, model: PreTrainedModel) -> None:
        """Keeps the dev F1 of this step, and the weights if they are the best."""
        self.rows[-1]["dev_f1"] = f1
        if f1 > self.best_f1:
            self.best_f1, self.best_step = f1, self.step
            self.best_weights = {k: v.to("cpu", copy=True) for k, v in model.state_dict().items()}


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

    def restore(self, folder: Path) -> Standing:
        """Takes the newest whole checkpoint, in place; where there is none, nothing is changed."""
        state = checkpoint.load(folder)
        if state is None:
            return Standing()
        for name, part in vars(self).items():
            part.load_state_dict(state[name])
        now = Standing(**state["standing"])
        print(f"goes on after step {now.step}, from {folder}", file=sys.stderr)
        return now
