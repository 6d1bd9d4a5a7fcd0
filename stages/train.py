"""Fine-tunes the encoder as a token classifier; keeps the weights with the best dev F1."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from stages.contract.command import command
from stages.contract.outs import whole
from stages.model.device import choose_bf16, choose_device, device_figures, make_repeatable
from stages.model.encoder import load_tokenizer
from stages.params.train import Train
from stages.text.labels import Labels
from stages.training import checkpoint, memory
from stages.training.batches import packs
from stages.training.checkpoint import TrainingState
from stages.training.crf import transitions_of
from stages.training.data import TEXT, Data, Ragged
from stages.training.export_trial import export_trial
from stages.training.masked_lm import pretrain
from stages.training.ranks import Ranks, process_count, process_group, run
from stages.training.runtime import Runtime, live_folder
from stages.training.tagging import fine_tune, tagger_of


def train(
    params: Train,
    aligned: Path,
    encoder: Path,
    out: Path,
    report: Path,
    curve: Path,
    checkpoints: Path | None = None,
    try_export: bool = False,
) -> dict[str, Any]:
    """Trains on `aligned`/train.parquet; keeps the weights with the best strict span F1 on dev.

    With `pretrain.epochs` the encoder is first trained further by masked language modelling on that
    text, and on `aligned`/text.parquet if it is there. AdamW, linear warm-up and decay, gradient
    accumulation up to `tokens_per_step`, clipping, bf16 if the GPU has it, early stop. The loss of
    a step is the mean over its labelled tokens, whatever the number of batches: of cross-entropy,
    with a CRF of the negative log-likelihood.

    If torchrun started several processes, each calls this; rank 0 writes.

    Writes `out` (`save_pretrained` layout, tokenizer, labels.json, and transitions.json with a
    CRF), `report` (best dev F1 and its step), `curve` (step, loss, lr, dev_f1), which grows in the
    folder of NER_LIVE. If interrupted, it leaves only a checkpoint below the folder `checkpoints`,
    from which the same call resumes. With `try_export` the export is tried beside the training.

    Raises:
        StageError: the device or its bf16 is missing; no data, or no encoder that fits it; other
            inputs on another host; the loss is not finite; too little memory, and what to change.
    """
    device = choose_device(params.device, "train.device")
    with process_group(device) as ranks, export_trial(try_export and ranks.first) as trial:
        bf16 = choose_bf16(params.precision, device)
        make_repeatable(params.seed, params.cpu_threads, params.deterministic)
        out.parent.mkdir(parents=True, exist_ok=True)
        data = Data.read(aligned, scratch=out.parent)
        model = tagger_of(params, encoder, data.labels)
        estimate = {}
        if device.type == "cuda":
            estimate = memory.check_free(params, model, data.labels, bf16, ranks)
        inputs = _inputs(aligned, encoder)
        checkpoint.require_same_everywhere(params, inputs, ranks)
        with checkpoint.locked_folder(checkpoints, params, inputs, ranks) as folder:
            packed = _packs(model, data.labels, ranks)
            live = live_folder() if ranks.first else None
            runtime = Runtime(device, bf16, ranks, ranks.broadcast(folder), packed, trial, live)
            with memory.explain_exhaustion(params, data.labels):
                state, measured = _learn(params, encoder, model, data, runtime)
            trial(True)
            if ranks.first:
                model.load_state_dict(state.best_weights)
                with whole(out, report, curve) as [ner, report_file, curve_file]:
                    planned = measured.pop("steps_planned")
                    _write_report(report_file, state, planned, model, data.text)
                    _write_model(ner, model, params.save_dtype, encoder, data.labels)
                    _write_curve(curve_file, state.rows)
            if folder:
                checkpoint.remove(folder)
    measured |= {"ranks": ranks.count, "precision": "bf16" if bf16 else "fp32", "packed": packed}
    return measured | estimate | device_figures(device)


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Train,
        lambda params: run(
            process_count(params.gpus, choose_device(params.device, "train.device")),
            "stages.train",
            lambda: train(
                params,
                Path("data/aligned"),
                Path("data/encoder"),
                Path("models/ner"),
                Path("reports/train.json"),
                Path("reports/train.csv"),
                checkpoint.root(),
                params.try_export,
            ),
        ),
        "Fine-tunes the encoder on the aligned data.",
    )


def _inputs(aligned: Path, encoder: Path) -> list[Path]:
    """The files on which a training depends."""
    names = ("train.parquet", "dev.parquet", "labels.json", TEXT)
    inputs = [path for name in names if (path := aligned / name).is_file()]
    return inputs + sorted(path for path in encoder.iterdir() if path.is_file())


def _packs(model: PreTrainedModel, labels: Labels, ranks: Ranks) -> bool:
    """Whether rows hold several windows; says so where they do not."""
    packed = packs(model, labels.window_tokens)
    if ranks.first and not packed:
        print(
            f"train: {model.config.model_type} would mix the windows of a packed row, so it trains"
            " with one window a row, without compilation; that takes longer",
            file=sys.stderr,
        )
    return packed


def _learn(
    params: Train, encoder: Path, model: PreTrainedModel, data: Data, runtime: Runtime
) -> tuple[TrainingState, dict[str, Any]]:
    """Pretrains the encoder if there are epochs for it, then fine-tunes `model`."""
    pretrained: dict[str, Any] = {}
    if data.text and not params.pretrain.epochs and runtime.ranks.first:
        print(
            "train: download.text is not read, as train.pretrain.epochs is 0; set it to 1 or more",
            file=sys.stderr,
        )
    if params.pretrain.epochs:
        weights, pretrained = pretrain(params, encoder, data, runtime)
        model.base_model.load_state_dict(weights)
    state, measured = fine_tune(params, model, data, runtime)
    return state, measured | {f"pretrain_{name}": value for name, value in pretrained.items()}


def _write_model(
    folder: Path, model: PreTrainedModel, dtype: str, encoder: Path, labels: Labels
) -> None:
    folder.mkdir()
    if transitions := transitions_of(model):
        transitions.write(folder, labels.tags)
        del model.crf
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    load_tokenizer(encoder).save_pretrained(folder)
    labels.write(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # only the owner can read what safetensors writes


def _write_report(
    path: Path,
    state: TrainingState,
    steps_planned: int,
    model: PreTrainedModel,
    text: Ragged | None,
) -> None:
    values = {
        "best_dev_f1": state.best_f1,
        "best_step": state.best_step,
        "steps_run": state.step,
        "steps_planned": steps_planned,
        "parameters": model.num_parameters(),
        **({"text_windows": len(text), "text_tokens": len(text.values)} if text else {}),
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "lr", "dev_f1"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
