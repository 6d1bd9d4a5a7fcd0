"""Writes the model as ONNX, compares it with torch, and scores the exported file."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from stages.contract.command import command
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.model import tagger as torch_model
from stages.model.batches import batches_by_length, padded
from stages.model.decode import Decoder
from stages.model.device import device_figures, make_repeatable
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.model_card import model_card
from stages.onnx_export.onnx_files import MODEL, files_sha256
from stages.onnx_export.opened import device_of, opened, placement
from stages.onnx_export.parity import Compared, checked, tag_agreement
from stages.onnx_export.placement import profiled
from stages.onnx_export.session import forward_of
from stages.params.export import Export
from stages.scoring.predictions import sha256, write_predictions
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import Aligned, read_aligned

PROFILED_RUNS = 10  # of which the first is slower


@dataclass(frozen=True)
class Inputs:
    """The files and folders that the stage reads."""

    model: Path
    aligned: Path
    source: Path
    """What `download` wrote: for the model card."""
    metrics: Path
    """What `evaluate` wrote: for the model card."""
    calibration: Path
    """What `evaluate` fitted on dev: for the model's scores."""


@dataclass(frozen=True)
class Outs:
    """The files and folders that the stage writes."""

    folder: Path
    """model.onnx, tokenizer.json, labels.json, calibration.json and, of a CRF head,
    transitions.json, which `stages.serving.tagger` needs, and README.md, the model card."""
    report: Path
    """Providers asked for and got, nodes of each provider, the largest difference of a logit from
    torch's, the share of equal tags, scores of the ONNX file, and its F1 minus torch's."""
    predictions: Path
    """JSON lines: the gold and predicted entities of each test sentence."""


def export(params: Export, inputs: Inputs, outs: Outs) -> dict[str, Any]:
    """Exports the model with dynamic batch and length, and runs the whole test split through it.

    Raises:
        StageError: `require_cuda` without the CUDA provider, or with a node elsewhere; too far
            from torch for its precision (`stages.onnx_export.parity.checked`); no model or data.
    """
    device = device_of(params)
    make_repeatable(0, params.cpu_threads, deterministic=True)
    labels = Labels.read(inputs.aligned)
    split = read_aligned(inputs.aligned / "test.parquet")
    tagger = torch_model.load_tagger(inputs.model, torch.device("cpu"))
    decoder = Decoder.read(inputs.model, labels.tags)
    with whole(*vars(outs).values()) as files:
        written = Outs(*files)
        written.folder.mkdir()
        onnx = written.folder / MODEL
        fused = write_onnx(tagger, onnx, params.precision, params.opset, params.one_file_bytes)
        for file in (inputs.model / "tokenizer.json", inputs.calibration):
            copyfile(file, written.folder / file.name)
        labels.write(written.folder)
        if decoder.transitions:
            decoder.transitions.write(written.folder, labels.tags)
        session = opened(params, onnx)
        placed = placement(params, session, onnx)
        compared = Compared(forward_of(session), torch_model.forward_of(tagger.to(device)))
        figures = {
            **_scores(params, compared, split, decoder, device, written.predictions),
            "model_head": "crf" if decoder.transitions else "linear",
            "onnx_precision": params.precision,
            **placed,
            "fused_operators": fused,
            "opset": params.opset,
            "onnx_sha256": files_sha256(written.folder),
        }
        card = model_card(figures, inputs.metrics, inputs.source)
        (written.folder / "README.md").write_text(card, encoding="utf-8")
        written.report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        measured = _measured(params, onnx, split)
    return {**measured, **device_figures(device)}


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Export,
        lambda params: export(
            params,
            Inputs(
                model=Path("models/ner"),
                aligned=Path("data/aligned"),
                source=Path("data/corpus/source.json"),
                metrics=Path("reports/metrics.json"),
                calibration=Path("reports/calibration.json"),
            ),
            Outs(
                folder=Path("models/onnx"),
                report=Path("reports/export.json"),
                predictions=Path("reports/predictions.jsonl"),
            ),
        ),
        "Exports the model to ONNX and checks it on the test split.",
    )


def _scores(
    params: Export,
    compared: Compared,
    split: Aligned,
    decoder: Decoder,
    device: torch.device,
    predictions: Path,
) -> dict[str, Any]:
    """Scores of the ONNX model and its parity with torch; writes `predictions`."""
    with progress(len(split.input_ids), f"check on {device}", " windows") as bar:
        _, predicted = predict(split, compared, decoder, params.tokens_per_batch, bar.update)
    by_torch = compared.torch_predicted(split, decoder, params.tokens_per_batch)
    onnx_scores, torch_scores = (
        score(split, found, decoder.tags) for found in (predicted, by_torch)
    )
    same = tag_agreement(predicted, by_torch)
    gold, found = (
        [[decoder.tags[label] for label in sentence] for sentence in sentences]
        for sentences in (split.sentence_labels(), predicted)
    )
    cells = split.sentence_cells()
    write_predictions(predictions, cells, gold, found)
    return {
        **onnx_scores,
        **checked(params, compared.difference, same, onnx_scores["f1"], torch_scores["f1"]),
        "test_sentences": len(gold),
        "test_sha256": sha256(cells, gold),
    }


def _measured(params: Export, model: Path, split: Aligned) -> dict[str, Any]:
    """The share of the run time of each provider, and the versions that it depends on."""
    longest = batches_by_length([len(ids) for ids in split.input_ids], params.tokens_per_batch)[0]
    ids = padded([split.input_ids[i] for i in longest], 0)
    mask = padded([np.ones(len(split.input_ids[i]), dtype=np.int64) for i in longest], 0)
    with tempfile.TemporaryDirectory() as folder:
        session = opened(params, model, Path(folder, "profile"))
        for _ in range(PROFILED_RUNS):
            forward_of(session)(ids, mask)
        shares = profiled(Path(session.end_profiling()))
    return {
        **shares,
        "provider_options": session.get_provider_options(),
        "onnxruntime": ort.__version__,
        "onnxruntime_build": ort.get_build_info(),
        **_cuda(),
    }


def _cuda() -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {}
    version = Path("/proc/driver/nvidia/version")  # NVRM version: ... Module  580.95.05  ...
    found = re.search(r"\d+\.\d+(\.\d+)?", version.read_text() if version.is_file() else "")
    return {
        "driver": found[0] if found else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


if __name__ == "__main__":
    main()
