"""What a training learns from, and when it evaluates, logs and ends."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from stages.training.checkpoint import TrainingState
from stages.training.plan import PerStep

LOSS_ROWS = 200  # in train.csv: enough for a plot, and reading the loss makes the GPU wait


@dataclass(frozen=True)
class Evaluation:
    """How dev is evaluated."""

    count: int
    """How many evaluations, evenly spread over the steps."""
    dev_f1: Callable[[Callable[[int], object]], float]
    """Called by rank 0 with a function that it calls after each batch."""


@dataclass(frozen=True)
class Objective:
    """What is learnt, and from which batches. A step depends on its number alone."""

    name: str
    """Shown beside the progress bar."""
    learning_rate: tuple[str, float]
    """Its key in params.yaml, and its value."""
    tokens: PerStep
    """Of each step, over all ranks, without padding."""
    labelled: PerStep
    """Labelled tokens of each step, over all ranks, by which the loss is divided."""
    batches: Callable[[int], list[torch.Tensor]]
    """This rank's batches of a step, by its index from 0; all of one shape."""
    layer_decay: float = 1.0
    """Of the learning rate, from each layer to the one below."""
    r_drop: float = 0.0
    """As in `Gradients`."""
    labelled_fraction: float = 1.0
    """As in `Gradients`."""
    evaluation: Evaluation | None = None
    """None: no evaluation, and the last weights count."""

    @property
    def steps(self) -> int:
        """How many are planned."""
        return len(self.tokens)

    @property
    def eval_every(self) -> int:
        """Steps between two evaluations; 0: no evaluations."""
        return math.ceil(self.steps / self.evaluation.count) if self.evaluation else 0

    def evaluates_after(self, step: int) -> bool:
        """True if dev is evaluated after that step."""
        if not self.eval_every or not step:
            return False
        return step % self.eval_every == 0 or step == self.steps

    def logs_after(self, step: int) -> bool:
        """True if train.csv has a row for that step."""
        return self.evaluates_after(step) or step % math.ceil(self.steps / LOSS_ROWS) == 0

    def ends_after(self, state: TrainingState, patience_evals: int) -> bool:
        """True after the last step, and after `patience_evals` evaluations without a better F1."""
        patience = patience_evals * self.eval_every
        return state.step == self.steps or 0 < patience <= state.step - state.best_step
