"""Fine-tunes the encoder as a token classifier and keeps the weights with the best dev F1."""

import csv
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, get_linear_schedule_with_warmup

from stages.command import command
from stages.errors import StageError
from stages.ner.aligned import read_aligned
from stages.ner.gradients import Gradients, compile_layers
from stages.ner.labels import Labels
from stages.ner.metrics import predict, score
from stages.ner.model import (
    choose_bf16,
    choose_device,
    device_figures,
    first_position,
    forward_of,
    make_repeatable,
    new_tagger,
)
from stages.ner.steps import as_batches, decay_groups, one_ahead, plan_steps, seed_of
from stages.outs import whole
from stages.params import Train
from stages.progress import progress

LOSS_ROWS = 200  # in train.csv: enough for a plot, and reading the loss makes the GPU wait


def train(
    params: Train, aligned: Path, encoder: Path, out: Path, report: Path, curve: Path
) -> dict[str, Any]:
    """Trains on `aligned`/train.parquet, chooses by strict span F1 on dev.parquet.

    AdamW, linear warm-up and decay, gradient accumulation up to `tokens_per_step`, clipping, bf16
    where a GPU has it, early stop. The loss of a step is the mean cross-entropy over its labelled
    tokens, however many batches hold them.

    Writes `out` (`save_pretrained` layout, tokenizer, labels.json), `report` (best dev F1 and
    where it was), `curve` (step, loss, lr, dev_f1). Interrupted, it leaves nothing.

    Raises:
        StageError: no such device or no bf16 on it; no data or no encoder that fits it; a loss
            that is no number; out of memory, with the three parameters to turn.
    """
    device = choose_device(params.device, "train.device")
    bf16 = choose_bf16(params.precision, device)
    make_repeatable(params.seed, params.cpu_threads, params.deterministic)
    data, dev = read_aligned(aligned / "train.parquet"), read_aligned(aligned / "dev.parquet")
    labels = Labels.read(aligned)
    model = new_tagger(encoder, labels).to(device)
    tokenizer = AutoTokenizer.from_pretrained(encoder)

    lengths = [len(ids) for ids in data.input_ids]
    row_tokens = labels.window_tokens
    steps = plan_steps(lengths, params.epochs, params.tokens_per_step, row_tokens, params.seed)
    batched = partial(
        as_batches,
        data,
        rows_per_batch=max(1, params.tokens_per_batch // row_tokens),
        row_tokens=row_tokens,
        first=first_position(model),
    )
    fast = params.compile and device.type == "cuda"
    if fast:
        compile_layers(model)
    gradients = Gradients(model, bf16, graph=fast)
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
    best_f1, best_step, best_weights = -1.0, 0, model.state_dict()
    rows: list[dict[str, Any]] = []
    started = time.monotonic()

    with (
        _memory_explained(params, labels),
        progress(params.epochs * sum(lengths), f"train on {device}", " tokens") as bar,
    ):
        for step, (batches, labelled) in enumerate(one_ahead(batched, steps), start=1):
            model.train()
            loss = gradients(batches, labelled, seed_of(params.seed, step))
            torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip_norm)
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=False)  # the graph adds to them where they are
            bar.update(sum(lengths[i] for row in steps[step - 1] for i in row))
            if step == 1:
                loss.item()  # waits for the device
                first_step_seconds = time.monotonic() - started

            evaluate = step % eval_every == 0 or step == len(steps)
            if evaluate or step % loss_every == 0:
                rows.append({"step": step, "loss": loss.item(), "lr": rate})
                bar.set_postfix(refresh=False, loss=f"{rows[-1]['loss']:.4f}")
                if not math.isfinite(rows[-1]["loss"]):
                    raise StageError(
                        f"the loss is {rows[-1]['loss']} at step {step}; lower train.learning_rate"
                        f" (now {params.learning_rate})"
                    )
            if evaluate:
                model.eval()
                # Batches of dev come in many shapes, and each would be compiled anew.
                with torch.compiler.set_stance("force_eager"):
                    _, predicted = predict(
                        dev,
                        forward_of(model, bf16),
                        labels.tags,
                        params.tokens_per_batch,
                        lambda _: bar.update(0),
                    )
                f1 = score(dev, predicted, labels.tags)["f1"]
                rows[-1]["dev_f1"] = f1
                bar.write(f"step {step} of {len(steps)}: dev F1 {f1:.4f}", file=sys.stderr)
                if f1 > best_f1:
                    best_f1, best_step = f1, step
                    best_weights = {
                        k: v.to("cpu", copy=True) for k, v in model.state_dict().items()
                    }
                elif step - best_step >= params.patience_evals * eval_every:
                    break
    seconds = time.monotonic() - started

    with whole(out, report, curve) as [folder, report_file, curve_file]:
        model.load_state_dict(best_weights)
        model.to(getattr(torch, params.save_dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        labels.write(folder)
        for path in folder.iterdir():
            path.chmod(0o644)  # safetensors makes its file readable by its owner alone
        figures = {
            "best_dev_f1": best_f1,
            "best_step": best_step,
            "steps_run": step,
            "steps_planned": len(steps),
            "parameters": model.num_parameters(),
        }
        report_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        with curve_file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["step", "loss", "lr", "dev_f1"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return {
        "fit_seconds": round(seconds, 3),
        "first_step_seconds": round(first_step_seconds, 3),
        "tokens_per_s": round(bar.n / seconds),
        "precision": "bf16" if bf16 else "fp32",
        **device_figures(device),
    }


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Train,
        lambda params: train(
            params,
            Path("data/aligned"),
            Path("data/encoder"),
            Path("models/ner"),
            Path("reports/train.json"),
            Path("reports/train.csv"),
        ),
        "Fine-tunes the encoder on the aligned data.",
    )


@contextmanager
def _memory_explained(params: Train, labels: Labels) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise StageError(
            "the GPU is out of memory; lower"
            f" train.tokens_per_batch (now {params.tokens_per_batch})"
            f" or align.window_tokens (now {labels.window_tokens}),"
            f" or set train.precision to bf16 (now {params.precision})"
        ) from None


if __name__ == "__main__":
    main()
