"""Fine-tunes the encoder as a token classifier and keeps the weights with the best dev F1."""

import csv
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.model.device import choose_bf16, choose_device, device_figures, make_repeatable
from stages.model.tagger import new_tagger
from stages.params.train import Train
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from stages.training import checkpoint, memory
from stages.training.checkpoint import Standing
from stages.training.masked_lm import pretrain
from stages.training.ranks import Ranks, joined, processes, run
from stages.training.tagging import fit


def train(
    params: Train,
    aligned: Path,
    encoder: Path,
    out: Path,
    report: Path,
    curve: Path,
    checkpoints: Path | None = None,
) -> dict[str, Any]:
    """Trains on `aligned`/train.parquet, chooses by strict span F1 on dev.parquet.

    With `pretrain.epochs` the encoder first goes on with masked language modelling on that text.
    AdamW, linear warm-up and decay, gradient accumulation up to `tokens_per_step`, clipping, bf16
    where a GPU has it, early stop. The loss of a step is the mean cross-entropy over its labelled
    tokens, however many batches hold them.

    Where torchrun started several processes, each calls this; rank 0 writes.

    Writes `out` (`save_pretrained` layout, tokenizer, labels.json), `report` (best dev F1 and
    where it was), `curve` (step, loss, lr, dev_f1). Interrupted, it leaves nothing but, below the
    folder `checkpoints` where there is one, a checkpoint, with which the same call goes on.

    Raises:
        StageError: no such device or no bf16 on it; no data or no encoder that fits it; a loss
            that is no number; too little memory, with the parameters to turn.
    """
    device = choose_device(params.device, "train.device")
    with joined(device) as ranks:
        bf16 = choose_bf16(params.precision, device)
        make_repeatable(params.seed, params.cpu_threads, params.deterministic)
        data, dev = (read_aligned(aligned / f"{split}.parquet") for split in ("train", "dev"))
        labels = Labels.read(aligned)
        model = new_tagger(encoder, labels)
        if params.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        on_gpu = device.type == "cuda"
        estimate = _memory_needed(params, model, labels, bf16, ranks) if on_gpu else {}

        inputs = [aligned / name for name in ("train.parquet", "dev.parquet", "labels.json")]
        inputs += sorted(path for path in encoder.iterdir() if path.is_file())
        with checkpoint.held(checkpoints if ranks.first else None, params, inputs) as held:
            with memory_explained(params, labels):
                folder = ranks.from_first(held)
                learnt: dict[str, Any] = {}
                if params.pretrain.epochs:
                    weights, learnt = pretrain(
                        params, encoder, data, labels, device, bf16, folder, ranks
                    )
                    model.base_model.load_state_dict(weights)
                model.to(device)
                done, measured = fit(params, model, data, dev, labels, bf16, folder, ranks)
            if ranks.first:
                model.load_state_dict(done.best_weights)
                model.to(getattr(torch, params.save_dtype))
                with whole(out, report, curve) as [ner, report_file, curve_file]:
                    _write_model(ner, model, encoder, labels)
                    _write_report(report_file, done, measured.pop("steps_planned"), model)
                    _write_curve(curve_file, done.rows)
            if held:
                checkpoint.remove(held)
    measured |= {f"pretrain_{name}": figure for name, figure in learnt.items()}
    told = {"ranks": ranks.count, "precision": "bf16" if bf16 else "fp32"}
    return measured | told | estimate | device_figures(device)


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Train,
        lambda params: run(
            processes(params.gpus, choose_device(params.device, "train.device")),
            "stages.train",
            lambda: train(
                params,
                Path("data/aligned"),
                Path("data/encoder"),
                Path("models/ner"),
                Path("reports/train.json"),
                Path("reports/train.csv"),
                checkpoint.root(),
            ),
        ),
        "Fine-tunes the encoder on the aligned data.",
    )


def _memory_needed(
    params: Train, model: PreTrainedModel, labels: Labels, bf16: bool, ranks: Ranks
) -> dict[str, int]:
    """What `.measured` keeps of it."""

    def need(outputs: int, tokens_per_step: int, passes: int = 1) -> memory.Need:
        return memory.Need(
            model.config,
            model.num_parameters(),
            outputs,
            labels.window_tokens,
            min(params.tokens_per_batch, math.ceil(tokens_per_step / ranks.count)),
            bf16,
            params.compile,
            params.gradient_checkpointing,
            passes,
        )

    most = need(len(labels.tags), params.tokens_per_step, 2 if params.r_drop else 1)
    if params.pretrain.epochs:
        first = need(model.config.vocab_size, params.pretrain.tokens_per_step)
        most = max(most, first, key=memory.Need.bytes)
    device = torch.device("cuda")
    said = memory.require(most, memory.free_bytes(device))
    if ranks.first:
        print(said, file=sys.stderr)
    torch.cuda.reset_peak_memory_stats(device)
    return {"gpu_memory_estimate_mib": round(most.bytes() / 2**20)}


@contextmanager
def memory_explained(params: Train, labels: Labels) -> Iterator[None]:
    """Turns an out-of-memory error of the GPU into a StageError that names what to lower."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise StageError(
            "the GPU is out of memory; lower"
            f" train.tokens_per_batch (now {params.tokens_per_batch})"
            f" or align.window_tokens (now {labels.window_tokens}),"
            f" or set train.precision to bf16 (now {params.precision})"
        ) from None


def _write_model(folder: Path, model: PreTrainedModel, encoder: Path, labels: Labels) -> None:
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    labels.write(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable by its owner alone


def _write_report(path: Path, done: Standing, steps_planned: int, model: PreTrainedModel) -> None:
    figures = {
        "best_dev_f1": done.best_f1,
        "best_step": done.best_step,
        "steps_run": done.step,
        "steps_planned": steps_planned,
        "parameters": model.num_parameters(),
    }
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "lr", "dev_f1"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
