"""The training loop: a generator of steps, and what is done after each."""

import math
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from transformers import PreTrainedModel

from stages.contract.errors import StageError
from stages.contract.progress import progress
from stages.params.train import Train
from stages.training.batches import prefetch, step_seed
from stages.training.checkpoint import Training, TrainingState
from stages.training.gradients import Gradients, compile_layers
from stages.training.objective import Objective
from stages.training.optimizer import Update, make_optimizer
from stages.training.ranks import Ranks
from stages.training.runtime import LiveCurve, Runtime

if TYPE_CHECKING:
    from tqdm import tqdm


def fit(
    objective: Objective, params: Train, model: PreTrainedModel, runtime: Runtime
) -> tuple[TrainingState, dict[str, Any]]:
    """Trains `model` in place; returns the final state, and what was planned and measured.

    Resumes from the checkpoint in the folder of `runtime`, and saves one there every
    `checkpoint_minutes` and at SIGTERM, which then ends the process; without evaluations, at the
    end too. A step depends on its number alone, dropout included, so an interruption does not
    change the weights.

    Each rank takes its share of a step's rows; the loss is the mean over the tokens of all ranks.
    Only rank 0 evaluates, saves and prints.

    Raises:
        StageError: the loss is not finite, or the trial of the export failed.
    """
    # A graph needs batches of one shape.
    if fast := params.compile and runtime.packed and runtime.device.type == "cuda":
        compile_layers(model)
    gradients = Gradients(
        runtime.ranks.wrap(model),
        runtime.bf16,
        fast,
        objective.r_drop,
        runtime.packed,
        objective.labelled_fraction,
    )
    rate = objective.learning_rate[1]
    training = Training(
        model, *make_optimizer(model, params, rate, objective.layer_decay, objective.steps)
    )
    state = TrainingState()
    if runtime.checkpoints:
        state = training.restore(runtime.checkpoints, runtime.ranks)
    resumed_after, started = state.step, time.monotonic()
    first_step_ended = _train(objective, params, training, gradients, runtime, state)
    seconds = time.monotonic() - started
    return state, {
        "steps_planned": objective.steps,
        "resumed_after_step": resumed_after,
        "fit_seconds": round(seconds, 3),
        "first_step_seconds": round(first_step_ended - started if first_step_ended else 0, 3),
        "last_loss": round(state.rows[-1]["loss"], 4),
        "tokens_per_s": round(objective.tokens.sum(resumed_after, state.step) / seconds),
    }


def _train(
    objective: Objective,
    params: Train,
    training: Training,
    gradients: Gradients,
    runtime: Runtime,
    state: TrainingState,
) -> float | None:
    """Trains from `state` on, which it updates; returns the time after its first step."""
    ranks, resumed_after, first_step_ended = runtime.ranks, state.step, None
    with (
        _deferred_sigterm() as sigterm,
        closing(train_steps(objective, params, training, gradients, ranks, resumed_after)) as steps,
        _progress_bar(objective, training.model.device, ranks, resumed_after) as bar,
    ):
        saver = _Saver(training, runtime, params.checkpoint_minutes)
        curve = LiveCurve(runtime.curve(objective.name), objective.tokens.sum, resumed_after)
        for step in steps:
            runtime.trial(False)
            if step.loss is not None:
                state.step = step.number
                bar.update(objective.tokens[step.number - 1])
                if first_step_ended is None:
                    step.loss.item()  # waits for the device
                    first_step_ended = time.monotonic()
                if objective.logs_after(step.number):
                    _log_loss(ranks.mean(step.loss), step, objective, state, bar)
                    curve.loss(step.number, state.rows[-1]["loss"], step.learning_rate)
            if objective.evaluates_after(state.step) and not state.evaluated:
                _evaluate(objective, training.model, state, ranks, bar, sigterm)
                if "dev_f1" in (row := state.rows[-1]):  # not interrupted
                    curve.dev_f1(state.step, row["dev_f1"])
            ended, terminated = objective.ends_after(state, params.patience_evals), sigterm.is_set()
            # Without evaluations the last weights are the result, and a resumed run needs them.
            result = ended and objective.evaluation is None and state.step > resumed_after
            saver.save_if_due(state, at_once=result or terminated)
            if terminated and ranks.first:  # the others cannot continue without rank 0
                sys.exit(128 + signal.SIGTERM)
            if ended:
                break
    return first_step_ended


@dataclass(frozen=True)
class Step:
    """One optimizer step, just taken."""

    number: int
    """From 1."""
    loss: torch.Tensor | None
    """This rank's, on the device; None before the first step."""
    learning_rate: float
    """Of the head and the last layer."""


def train_steps(
    objective: Objective,
    params: Train,
    training: Training,
    gradients: Gradients,
    ranks: Ranks,
    after: int,
) -> Generator[Step]:
    """Trains from step `after` on and yields each step, that step itself first, without a loss.

    The step itself comes first so that an interrupted evaluation of it can be made up for.
    """
    model, optimizer, schedule = training.model, training.optimizer, training.schedule
    update = Update(model, optimizer, params.clip_norm, gradients.graph)
    yield Step(after, None, 0.0)
    with closing(prefetch(objective.batches, range(after, objective.steps))) as batches_of_steps:
        for number, batches in enumerate(batches_of_steps, start=after + 1):
            model.train()
            # DDP divides the sum of the gradients by the number of ranks.
            labelled = objective.labelled[number - 1] / ranks.count
            loss = gradients(batches, labelled, step_seed(params.seed, number, ranks.rank))
            learning_rate = float(schedule.get_last_lr()[0])
            update()
            schedule.step()
            yield Step(number, loss, learning_rate)


def _log_loss(
    loss: float, step: Step, objective: Objective, state: TrainingState, bar: "tqdm[NoReturn]"
) -> None:
    """Adds a row to train.csv and shows the loss, which must be finite."""
    state.rows.append({"step": step.number, "loss": loss, "lr": step.learning_rate})
    bar.set_postfix(refresh=False, loss=f"{loss:.4f}")
    if not math.isfinite(loss):
        key, rate = objective.learning_rate
        raise StageError(f"the loss is {loss} at step {step.number}; lower {key} (now {rate})")


def _evaluate(
    objective: Objective,
    model: PreTrainedModel,
    state: TrainingState,
    ranks: Ranks,
    bar: "tqdm[NoReturn]",
    sigterm: threading.Event,
) -> None:
    """Records the dev F1 of this step; at SIGTERM stops without one; a resumed run repeats it."""

    def on_batch(_: int) -> None:
        bar.update(0)
        if sigterm.is_set():
            raise _Interrupted

    f1 = 0.0
    with suppress(_Interrupted):
        if ranks.first and objective.evaluation:
            f1 = objective.evaluation.dev_f1(on_batch)
            bar.write(f"step {state.step} of {objective.steps}: dev F1 {f1:.4f}", file=sys.stderr)
        state.record_f1(ranks.broadcast(f1), model, ranks)


class _Interrupted(Exception):  # noqa: N818  SIGTERM, not an error
    pass


class _Saver:
    """Saves checkpoints in rank 0, every so many minutes."""

    def __init__(self, training: Training, runtime: Runtime, every_minutes: float) -> None:
        self._training, self._every_minutes = training, every_minutes
        self._folder: Path | None = runtime.checkpoints if runtime.ranks.first else None
        self._saved = time.monotonic()

    def save_if_due(self, state: TrainingState, at_once: bool) -> None:
        minutes = (time.monotonic() - self._saved) / 60
        if self._folder and (at_once or minutes >= self._every_minutes):
            self._training.save(state, self._folder)
            self._saved = time.monotonic()


@contextmanager
def _progress_bar(
    objective: Objective, device: torch.device, ranks: Ranks, after: int
) -> Iterator["tqdm[NoReturn]"]:
    """Counts tokens, those of the steps before a resumed run included."""
    about = f"{objective.name} on {device}"
    with progress(int(objective.tokens.sum()), about, " tokens", shown=ranks.first) as bar:
        bar.initial = bar.n = objective.tokens.sum(0, after)
        yield bar


@contextmanager
def _deferred_sigterm() -> Iterator[threading.Event]:
    """Makes SIGTERM set the event and nothing else: a step must not end halfway."""
    received = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, previous)
