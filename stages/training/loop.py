"""The training loop, whatever is learnt."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from stages.contract.errors import StageError
from stages.contract.progress import progress
from stages.params.train import Train
from stages.training.batches import decay_groups, one_ahead, seed_of
from stages.training.checkpoint import Standing, Trained
from stages.training.gradients import Gradients, compile_layers
from stages.training.ranks import Ranks

LOSS_ROWS = 200  # in train.csv: enough for a plot, and reading the loss makes the GPU wait


@dataclass(frozen=True)
class Lesson:
    """What is learnt, step by step. A step depends on its number alone."""

    name: str
    """Shown beside the progress bar."""
    learning_rate: tuple[str, float]
    """Its key in params.yaml, and its value."""
    tokens: list[int]
    """Of each step, over all ranks, padding left out."""
    labelled: Sequence[float]
    """Of each step's tokens, those with a label: what the loss is divided by."""
    batches: Callable[[int], list[torch.Tensor]]
    """This rank's batches of a step, by its index from 0; all of one shape."""
    layer_decay: float = 1.0
    """Of the learning rate, from each layer to the one below."""
    r_drop: float = 0.0
    """Of `Gradients`."""
    evals: int = 0
    """How often dev is looked at; 0: never, and the last weights count."""
    dev_f1: Callable[[Callable[[int], object]], float] = lambda _: 0.0
    """Called by rank 0, with what is to be called after each batch."""


def learn(
    lesson: Lesson,
    params: Train,
    model: PreTrainedModel,
    bf16: bool,
    checkpoints: Path | None,
    ranks: Ranks,
) -> tuple[Standing, dict[str, Any]]:
    """Trains `model` where it is; returns what it came to, and what was planned and measured.

    Goes on from the checkpoint in the folder `checkpoints`, and leaves one there every
    `checkpoint_minutes` and at SIGTERM, which then ends the process; at the end too of what is not
    evaluated. A step depends on its number alone, dropout too, so the weights are the same whenever
    training was interrupted.

    Each of the `ranks` takes its share of a step's rows; the loss is the mean over the tokens of
    all. Rank 0 alone evaluates, saves and says things.

    Raises:
        StageError: a loss that is no number.
    """
    device, count = model.device, len(lesson.tokens)
    fast = params.compile and device.type == "cuda"
    if fast:
        compile_layers(model)
    gradients = Gradients(ranks.wrapped(model), bf16, fast, lesson.r_drop)
    rate_key, rate = lesson.learning_rate
    optimizer = torch.optim.AdamW(
        decay_groups(model, rate, params.weight_decay, lesson.layer_decay),
        lr=rate,
        fused=device.type == "cuda",
    )
    schedule = get_linear_schedule_with_warmup(
        optimizer, math.ceil(params.warmup_fraction * count), count
    )
    eval_every = math.ceil(count / lesson.evals) if lesson.evals else 0
    loss_every = math.ceil(count / LOSS_ROWS)
    trained = Trained(model, optimizer, schedule)
    now = trained.restore(checkpoints, ranks) if checkpoints else Standing()
    begun_after, first_step_seconds = now.step, None
    started = saved = time.monotonic()

    def evaluated_at(step: int) -> bool:
        return eval_every > 0 and (step % eval_every == 0 or step == count)

    def on_batch_of_dev(_: int) -> None:
        bar.update(0)
        if sigterm.is_set():
            raise _Interrupted

    with (
        _sigterm_noted() as sigterm,
        closing(one_ahead(lesson.batches, range(now.step, count))) as ahead,
        progress(
            sum(lesson.tokens), f"{lesson.name} on {device}", " tokens", shown=ranks.first
        ) as bar,
    ):
        bar.initial = bar.n = sum(lesson.tokens[: now.step])
        while True:
            if now.step and evaluated_at(now.step) and "dev_f1" not in now.rows[-1]:
                with suppress(_Interrupted):
                    f1 = 0.0
                    if ranks.first:
                        f1 = lesson.dev_f1(on_batch_of_dev)
                        said = f"step {now.step} of {count}: dev F1 {f1:.4f}"
                        bar.write(said, file=sys.stderr)
                    now.note(ranks.from_first(f1), model, ranks)
            minutes = (time.monotonic() - saved) / 60
            patience = params.patience_evals * eval_every
            done = now.step == count or (patience > 0 and now.step - now.best_step >= patience)
            kept = not lesson.evals and now.step > begun_after  # what comes next begins with it
            if (
                checkpoints
                and ranks.first
                and (sigterm.is_set() or minutes >= params.checkpoint_minutes or (done and kept))
            ):
                trained.save(now, checkpoints)
                saved = time.monotonic()
            if sigterm.is_set() and ranks.first:  # without it the others cannot go on
                sys.exit(128 + signal.SIGTERM)
            if done:
                break

            batches = next(ahead)
            model.train()
            # DDP divides the sum of the gradients by the number of ranks.
            of_all, seed = lesson.labelled[now.step], seed_of(params.seed, now.step + 1, ranks.rank)
            loss = gradients(batches, of_all / ranks.count, seed)
            torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip_norm)
            taken = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=False)  # the graph adds to them where they are
            now.step += 1
            bar.update(lesson.tokens[now.step - 1])
            if first_step_seconds is None:
                loss.item()  # waits for the device
                first_step_seconds = time.monotonic() - started
            if evaluated_at(now.step) or now.step % loss_every == 0:
                mean = ranks.mean(loss)
                now.rows.append({"step": now.step, "loss": mean, "lr": taken})
                bar.set_postfix(refresh=False, loss=f"{mean:.4f}")
                if not math.isfinite(mean):
                    raise StageError(
                        f"the loss is {mean} at step {now.step}; lower {rate_key} (now {rate})"
                    )
    seconds = time.monotonic() - started
    return now, {
        "steps_planned": count,
        "resumed_after_step": begun_after,
        "fit_seconds": round(seconds, 3),
        "first_step_seconds": round(first_step_seconds or 0, 3),
        "last_loss": round(now.rows[-1]["loss"], 4),
        "tokens_per_s": round((bar.n - bar.initial) / seconds),
    }


class _Interrupted(Exception):  # noqa: N818  no error: SIGTERM came
    pass


@contextmanager
def _sigterm_noted() -> Iterator[threading.Event]:
    """SIGTERM sets the event and does nothing else, as in the midst of a step nothing fits."""
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
