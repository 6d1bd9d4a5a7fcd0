"""The training loop."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from stages.errors import StageError
from stages.ner.aligned import Aligned
from stages.ner.gradients import Gradients, compile_layers
from stages.ner.labels import IGNORED, Labels
from stages.ner.metrics import predict, score
from stages.ner.model import first_position, forward_of
from stages.ner.ranks import Ranks
from stages.ner.standing import Standing, Trained
from stages.ner.steps import (
    as_batches,
    decay_groups,
    one_ahead,
    plan_steps,
    seed_of,
    share_of,
)
from stages.params import Train
from stages.progress import progress

LOSS_ROWS = 200  # in train.csv: enough for a plot, and reading the loss makes the GPU wait


def fit(
    params: Train,
    model: PreTrainedModel,
    data: Aligned,
    dev: Aligned,
    labels: Labels,
    bf16: bool,
    checkpoints: Path | None,
    ranks: Ranks,
) -> tuple[Standing, dict[str, Any]]:
    """Trains `model` where it is; returns what it came to, and what was planned and measured.

    Goes on from the checkpoint in the folder `checkpoints`, and leaves one there every
    `checkpoint_minutes` and at SIGTERM, which then ends the process. A step depends on its number
    alone, dropout too, so the weights are the same whenever training was interrupted.

    Each of the `ranks` takes its share of a step's rows; the loss is the mean over the tokens of
    all. Rank 0 alone evaluates, saves and says things.

    Raises:
        StageError: a loss that is no number.
    """
    device = model.device
    lengths = [len(ids) for ids in data.input_ids]
    row_tokens = labels.window_tokens
    steps = plan_steps(lengths, params.epochs, params.tokens_per_step, row_tokens, params.seed)
    tokens = [sum(lengths[window] for row in step for window in row) for step in steps]
    in_window = [int((of_tokens != IGNORED).sum()) for of_tokens in data.labels]
    labelled = [sum(in_window[window] for row in step for window in row) for step in steps]
    share = [share_of(step, ranks.rank, ranks.count) for step in steps]
    batched = partial(
        as_batches,
        data,
        rows_per_batch=min(max(1, params.tokens_per_batch // row_tokens), len(share[0])),
        row_tokens=row_tokens,
        first=first_position(model),
    )
    fast = params.compile and device.type == "cuda"
    if fast:
        compile_layers(model)
    gradients = Gradients(ranks.wrapped(model), bf16, graph=fast)
    optimizer = torch.optim.AdamW(
        decay_groups(model, params.weight_decay),
        lr=params.learning_rate,
        fused=device.type == "cuda",
    )
    schedule = get_linear_schedule_with_warmup(
        optimizer, math.ceil(params.warmup_fraction * len(steps)), len(steps)
    )
    eval_every = math.ceil(len(steps) / (params.epochs * params.evals_per_epoch))
    loss_every = math.ceil(len(steps) / LOSS_ROWS)
    trained = Trained(model, optimizer, schedule)
    now = trained.restore(checkpoints, ranks) if checkpoints else Standing()
    begun_after, first_step_seconds = now.step, None
    started = saved = time.monotonic()

    def evaluated_at(step: int) -> bool:
        return step % eval_every == 0 or step == len(steps)

    def on_batch_of_dev(_: int) -> None:
        bar.update(0)
        if sigterm.is_set():
            raise _Interrupted

    with (
        _sigterm_noted() as sigterm,
        closing(one_ahead(batched, share[now.step :])) as ahead,
        progress(sum(tokens), f"train on {device}", " tokens", shown=ranks.first) as bar,
    ):
        bar.initial = bar.n = sum(tokens[: now.step])
        while True:
            if now.step and evaluated_at(now.step) and "dev_f1" not in now.rows[-1]:
                with suppress(_Interrupted):
                    f1 = 0.0
                    if ranks.first:
                        f1 = _dev_f1(params, model, dev, labels, bf16, on_batch_of_dev)
                        said = f"step {now.step} of {len(steps)}: dev F1 {f1:.4f}"
                        bar.write(said, file=sys.stderr)
                    now.note(ranks.from_first(f1), model, ranks)
            minutes = (time.monotonic() - saved) / 60
            if (
                checkpoints
                and ranks.first
                and (sigterm.is_set() or minutes >= params.checkpoint_minutes)
            ):
                trained.save(now, checkpoints)
                saved = time.monotonic()
            if sigterm.is_set() and ranks.first:  # without it the others cannot go on
                sys.exit(128 + signal.SIGTERM)
            patience = params.patience_evals * eval_every
            if now.step == len(steps) or now.step - now.best_step >= patience:
                break

            batches = next(ahead)
            model.train()
            # DDP divides the sum of the gradients by the number of ranks.
            of_all, seed = labelled[now.step], seed_of(params.seed, now.step + 1, ranks.rank)
            loss = gradients(batches, of_all / ranks.count, seed)
            torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip_norm)
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=False)  # the graph adds to them where they are
            now.step += 1
            bar.update(tokens[now.step - 1])
            if first_step_seconds is None:
                loss.item()  # waits for the device
                first_step_seconds = time.monotonic() - started
            if evaluated_at(now.step) or now.step % loss_every == 0:
                mean = ranks.mean(loss)
                now.rows.append({"step": now.step, "loss": mean, "lr": rate})
                bar.set_postfix(refresh=False, loss=f"{mean:.4f}")
                if not math.isfinite(mean):
                    raise StageError(
                        f"the loss is {mean} at step {now.step}; lower train.learning_rate"
                        f" (now {params.learning_rate})"
                    )
    seconds = time.monotonic() - started
    return now, {
        "steps_planned": len(steps),
        "resumed_after_step": begun_after,
        "fit_seconds": round(seconds, 3),
        "first_step_seconds": round(first_step_seconds or 0, 3),
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


def _dev_f1(
    params: Train,
    model: PreTrainedModel,
    dev: Aligned,
    labels: Labels,
    bf16: bool,
    on_batch: Callable[[int], object],
) -> float:
    model.eval()
    # Batches of dev come in many shapes, and each would be compiled anew.
    with torch.compiler.set_stance("force_eager"):
        forward = forward_of(model, bf16)
        _, predicted = predict(dev, forward, labels.tags, params.tokens_per_batch, on_batch)
    return float(score(dev, predicted, labels.tags)["f1"])
