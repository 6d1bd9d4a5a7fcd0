"""Writes the model as ONNX, proves that it equals torch, and scores the exported file."""

import json
import re
import tempfile
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from stages.contract.command import command
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.model import tagger as torch_model
from stages.model.batches import batches_by_length, padded
from stages.model.device import choose_device, device_figures, make_repeatable
from stages.onnx_export.cuda import cuda_problem
from stages.onnx_export.graph import write_onnx
from stages.onnx_export.model_card import model_card
from stages.onnx_export.onnx_files import MODEL, files_sha256
from stages.onnx_export.parity import Compared, checked
from stages.onnx_export.placement import RECORD, per_provider, placed, profiled, require_cuda
from stages.onnx_export.session import CPU, CUDA, forward_of, open_session
from stages.params.export import Export
from stages.scoring.predictions import sha256, write_predictions
from stages.scoring.spans import predict, strict_scores
from stages.text.labels import Labels
from stages.text.windows_table import Aligned, read_aligned

PROFILED_RUNS = 10  # of which the first is slower


def export(
    params: Export,
    model: Path,
    aligned: Path,
    source: Path,
    metrics: Path,
    out: Path,
    report: Path,
    predictions: Path,
) -> dict[str, Any]:
    """Exports `model` (dynamic batch and length) and runs the whole test split through it.

    Writes `out` (model.onnx, tokenizer.json, labels.json: all that `stages.serving.tagger` needs;
    and README.md, the model card, which takes from `source` and `metrics` what is said there),
    `report`: providers asked for and got and how many nodes each of them runs, the largest
    difference of a logit from torch's, the share of equal tags, precision, recall and F1 of the
    ONNX file, how far that F1 is from torch's; and `predictions`, JSON lines of what it finds in
    each sentence.

    Raises:
        StageError: `require_cuda` without the CUDA provider, or with a node elsewhere; too far
            from torch for its precision (`stages.onnx_export.parity.checked`); no model or data.
    """
    if params.require_cuda and (problem := cuda_problem()):
        raise StageError(
            f"export.require_cuda is true, but ONNX Runtime {ort.__version__} gets no CUDA:"
            f" {problem}, or set export.require_cuda: false"
        )
    device = choose_device(
        "cuda" if params.require_cuda else "cpu", "export.require_cuda", instead="false"
    )
    make_repeatable(0, params.cpu_threads, deterministic=True)
    labels = Labels.read(aligned)
    split = read_aligned(aligned / "test.parquet")
    tagger = torch_model.load_tagger(model, torch.device("cpu"))
    with whole(out, report, predictions) as [folder, report_file, predictions_file]:
        folder.mkdir()
        onnx = folder / MODEL
        fused = write_onnx(tagger, onnx, params.precision, params.opset, params.one_file_bytes)
        copyfile(model / "tokenizer.json", folder / "tokenizer.json")
        labels.write(folder)
        session = _open(params, onnx)
        nodes = placed(session)
        if params.require_cuda:
            require_cuda(session.get_providers(), nodes, params.cpu_operators)
        compared = Compared(forward_of(session), torch_model.forward_of(tagger.to(device)))
        with progress(len(split.input_ids), f"check on {device}", " windows") as bar:
            _, predicted = predict(
                split, compared, labels.tags, params.tokens_per_batch, bar.update
            )
        gold, found, torchs = (
            [[labels.tags[label] for label in sentence] for sentence in each]
            for each in (
                split.sentence_labels(),
                predicted,
                compared.torch_predicted(split, labels.tags, params.tokens_per_batch),
            )
        )
        scores = strict_scores(gold, found)
        cells = split.sentence_cells()
        write_predictions(predictions_file, cells, gold, found)
        figures = {
            **scores,
            **checked(params, compared, scores["f1"], strict_scores(gold, torchs)["f1"]),
            "test_sentences": len(gold),
            "test_sha256": sha256(cells, gold),
            "onnx_precision": params.precision,
            "providers_asked": [CUDA, CPU] if params.require_cuda else [CPU],
            "providers_got": session.get_providers(),
            "cuda_validated": params.require_cuda,
            "nodes_per_provider": per_provider(nodes),
            "cpu_nodes_not_allowed": [],  # or it would have been refused
            "fused_operators": fused,
            "opset": params.opset,
            "onnx_sha256": files_sha256(folder),
        }
        card = model_card(figures, metrics, source)
        (folder / "README.md").write_text(card, encoding="utf-8")
        report_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        measured = _measured(params, onnx, split)
    return {**measured, **device_figures(device)}


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Export,
        lambda params: export(
            params,
            Path("models/ner"),
            Path("data/aligned"),
            Path("data/msra/source.json"),
            Path("reports/metrics.json"),
            Path("models/onnx"),
            Path("reports/export.json"),
            Path("reports/predictions.jsonl"),
        ),
        "Exports the model to ONNX and checks it on the test split.",
    )


def _open(params: Export, model: Path, profile: Path | None = None) -> ort.InferenceSession:
    try:
        return open_session(
            model, params.require_cuda, params.cpu_threads, entries=RECORD, profile=profile
        )
    except Exception as error:  # ONNX Runtime's own have no other class in common
        where = "the CUDA provider" if params.require_cuda else "the CPU"
        raise StageError(
            f"ONNX Runtime {ort.__version__} cannot open the {params.precision} model on {where}"
            f" ({' '.join(str(error).split())}); set export.precision: fp32"
        ) from None


def _measured(params: Export, model: Path, split: Aligned) -> dict[str, Any]:
    """Whose share of the run time is what, and all that this depends on."""
    longest = batches_by_length([len(ids) for ids in split.input_ids], params.tokens_per_batch)[0]
    ids = padded([split.input_ids[i] for i in longest], 0)
    mask = padded([np.ones(len(split.input_ids[i]), dtype=np.int64) for i in longest], 0)
    with tempfile.TemporaryDirectory() as folder:
        session = _open(params, model, Path(folder, "profile"))
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
