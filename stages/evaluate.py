"""Scores the model on the untruncated test split, and shows where it errs."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract.command import command
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.model.decode import Span, confidence, spans
from stages.model.device import choose_device, device_figures, make_repeatable
from stages.model.tagger import forward_of, load_tagger
from stages.params.evaluate import Evaluate
from stages.report.report import NONE, report
from stages.scoring.bootstrap import with_intervals
from stages.scoring.calibration import expected_calibration_error, reliability
from stages.scoring.groups import Row, by_bin, confusion, length
from stages.scoring.mistakes import Judged, Mistake
from stages.scoring.robustness import robustness
from stages.scoring.slices import members, sliced, write_members
from stages.scoring.spans import predict, score
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned


def evaluate(
    params: Evaluate,
    model: Path,
    aligned: Path,
    source: Path,
    align: Path,
    curve: Path,
    metrics: Path,
    errors: Path,
    confusions: Path,
    f1_by_length: Path,
    calibration: Path,
    index: Path,
    slices: Path,
) -> dict[str, Any]:
    """Scores `model` on `aligned`/test.parquet, windows merged, by strict spans.

    Writes `metrics` ({"test": {"f1": ..., "f1_low": ..., "ece": ..., "PER": {"f1": ...}},
    "slices": {NAME: {"f1": ...}}, "robustness": {FORM: {"f1": ...}}}), `errors` (JSON lines, the
    most confident first), `confusions` (a row an entity, gold type and predicted type at the same
    span), `f1_by_length` (of entities, in cells), `calibration` (a row a range of confidence),
    `slices` (JSON lines, the sentences of each), and `index`, a page with all of that and what
    train and the stages before it say in `source`, `align` and `curve`.

    Raises:
        StageError: no such device; no model or data; a slice that asks for what is not there.
    """
    device = choose_device(params.device, "evaluate.device")
    make_repeatable(0, params.cpu_threads, deterministic=True)
    all_labels = Labels.read(aligned)
    tags = all_labels.tags
    types = [tag[2:] for tag in tags if tag.startswith("B-")]
    split = read_aligned(aligned / "test.parquet")
    found_slices = members(params.slices, split, types)
    in_train = _entities(aligned / "train.parquet", tags)
    forward = forward_of(load_tagger(model, device))
    with progress(len(split.input_ids), f"evaluate on {device}", " windows") as bar:
        emissions, predicted = predict(split, forward, tags, params.tokens_per_batch, bar.update)

    judged = [
        Judged(cells, gold, found, _confidences({*gold, *found}, labels, scores))
        for cells, gold, found, labels, scores in zip(
            split.sentence_cells(),
            [spans([tags[i] for i in row]) for row in split.sentence_labels()],
            [spans([tags[i] for i in row]) for row in predicted],
            predicted,
            emissions,
            strict=True,
        )
    ]
    test = with_intervals(score(split, predicted, tags), judged, types, params.bootstrap)
    bins = reliability(judged, params.confidence_bins)
    error = expected_calibration_error(bins)
    test["ece"] = None if error is None else round(error, 4)  # the fifth depends on the batches
    figures = {
        "test": test,
        "slices": sliced(found_slices, judged),
        "robustness": robustness(params, split, all_labels, model / "tokenizer.json", forward),
    }
    mistakes = [_error(sentence, mistake) for sentence in judged for mistake in sentence.mistakes]
    mistakes.sort(key=lambda mistake: -mistake["confidence"])
    with whole(metrics, errors, confusions, f1_by_length, calibration, index, slices) as [
        metrics_file,
        errors_file,
        confusion_file,
        length_file,
        reliability_file,
        index_file,
        slices_file,
    ]:
        metrics_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        errors_file.write_text(
            "".join(json.dumps(m, ensure_ascii=False) + "\n" for m in mistakes[: params.errors]),
            encoding="utf-8",
        )
        _write_csv(confusion_file, ["gold", "predicted"], confusion(judged, NONE))
        digits = len(str(max(params.length_bins)))  # so that the plot's order is right
        lengths = by_bin(judged, length, params.length_bins, digits)
        columns = ["name", "f1", "support"]
        _write_csv(length_file, ["length", *columns[1:]], (_of(row, columns) for row in lengths))
        columns = ["low", "high", "confidence", "precision", "support"]
        _write_csv(reliability_file, columns, (_of(row, columns) for row in bins))
        write_members(slices_file, found_slices)
        index_file.write_text(
            report(params, judged, types, figures, bins, in_train, source, align, curve),
            encoding="utf-8",
        )
    return {"sentences": len(predicted), **device_figures(device)}


def main() -> None:
    """Runs the stage below the present folder."""
    command(
        Evaluate,
        lambda params: evaluate(
            params,
            Path("models/ner"),
            Path("data/aligned"),
            Path("data/msra/source.json"),
            Path("reports/align.json"),
            Path("reports/train.csv"),
            Path("reports/metrics.json"),
            Path("reports/errors.jsonl"),
            Path("reports/confusion.csv"),
            Path("reports/f1_by_length.csv"),
            Path("reports/reliability.csv"),
            Path("reports/index.html"),
            Path("reports/slices.jsonl"),
        ),
        "Scores the model on the test split.",
    )


def _entities(path: Path, tags: Sequence[str]) -> Counter[tuple[str, str]]:
    """How often each text is an entity of each type there."""
    split = read_aligned(path)
    sentences = (
        Judged(cells, spans([tags[i] for i in labels]), (), {})
        for cells, labels in zip(split.sentence_cells(), split.sentence_labels(), strict=True)
    )
    return Counter((each.text(span), span.type) for each in sentences for span in each.gold)


def _confidences(
    found: set[Span], labels: NDArray[np.intp], emission: NDArray[np.float32]
) -> dict[Span, float]:
    return {span: round(confidence(span, labels, emission), 6) for span in found}


def _error(sentence: Judged, mistake: Mistake) -> dict[str, Any]:
    """A line of errors.jsonl."""
    span = mistake.span
    start, end = sentence.characters(span)
    return {
        "kind": mistake.kind,
        "side": "gold" if mistake.in_gold else "predicted",
        "text": sentence.text(span),
        "type": span.type,
        "start": start,
        "end": end,
        "confidence": sentence.confidence[span],
        "against": [{"text": sentence.text(o), "type": o.type} for o in mistake.against],
        "sentence": "".join(sentence.cells),
    }


def _of(row: Row, columns: Sequence[str]) -> list[Any]:
    return [row[column] for column in columns]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
