"""Scores the model on the untruncated test split, and shows where it errs."""

import csv
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.command import command
from stages.ner.aligned import read_aligned
from stages.ner.cells import offsets
from stages.ner.decode import Span, confidence, spans
from stages.ner.labels import Labels
from stages.ner.metrics import predict, score
from stages.ner.model import choose_device, device_figures, forward_of, load_tagger, make_repeatable
from stages.outs import whole
from stages.params import Evaluate
from stages.progress import progress

NONE = "none"  # in confusion.csv: no entity at that span


def evaluate(
    params: Evaluate,
    model: Path,
    aligned: Path,
    metrics: Path,
    errors: Path,
    confusion: Path,
    f1_by_length: Path,
) -> dict[str, Any]:
    """Scores `model` on `aligned`/test.parquet, windows merged, by strict spans.

    Writes `metrics` ({"test": {"f1": ..., "PER": {"f1": ...}}}), `errors` (JSON lines, the most
    confident first), `confusion` (a row an entity, gold type and predicted type at the same span)
    and `f1_by_length` (of entities, in cells: characters or words).

    Raises:
        StageError: no such device; no model or data.
    """
    device = choose_device(params.device, "evaluate.device")
    make_repeatable(0, params.cpu_threads, deterministic=True)
    tags = Labels.read(aligned).tags
    split = read_aligned(aligned / "test.parquet")
    forward = forward_of(load_tagger(model, device))
    with progress(len(split.input_ids), f"evaluate on {device}", " windows") as bar:
        emissions, predicted = predict(split, forward, tags, params.tokens_per_batch, bar.update)

    gold_spans = [spans([tags[i] for i in row]) for row in split.sentence_labels()]
    predicted_spans = [spans([tags[i] for i in row]) for row in predicted]
    mistakes = [
        _mistake(cells, gold, found, span, confidence(span, labels, emission))
        for cells, gold, found, labels, emission in zip(
            split.sentence_cells(), gold_spans, predicted_spans, predicted, emissions, strict=True
        )
        for span in sorted(set(gold) ^ set(found))
    ]
    mistakes.sort(key=lambda mistake: -mistake["confidence"])

    with whole(metrics, errors, confusion, f1_by_length) as [
        metrics_file,
        errors_file,
        confusion_file,
        length_file,
    ]:
        scores = {"test": score(split, predicted, tags)}
        metrics_file.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        errors_file.write_text(
            "".join(json.dumps(m, ensure_ascii=False) + "\n" for m in mistakes[: params.errors]),
            encoding="utf-8",
        )
        _write_csv(confusion_file, ["gold", "predicted"], _confusion(gold_spans, predicted_spans))
        _write_csv(
            length_file,
            ["length", "f1", "support"],
            _f1_by_length(gold_spans, predicted_spans, params.length_bins),
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
            Path("reports/metrics.json"),
            Path("reports/errors.jsonl"),
            Path("reports/confusion.csv"),
            Path("reports/f1_by_length.csv"),
        ),
        "Scores the model on the test split.",
    )


def _mistake(
    cells: list[str], gold: list[Span], found: list[Span], span: Span, confidence: float
) -> dict[str, Any]:
    """One entity that is only in the gold or only predicted, and its counterpart if any."""
    text, (starts, stops) = "".join(cells), offsets(cells)
    start, end = starts[span.start], stops[span.stop - 1]
    others = gold if span in found else found
    overlap = [other for other in others if other.start < span.stop and span.start < other.stop]
    if not overlap:
        kind = "invented" if span in found else "missed"
    elif any((other.start, other.stop) == (span.start, span.stop) for other in overlap):
        kind = "type"
    else:
        kind = "boundary"
    return {
        "kind": kind,
        "side": "predicted" if span in found else "gold",
        "text": text[start:end],
        "type": span.type,
        "start": start,
        "end": end,
        "confidence": round(confidence, 6),
        "against": [
            {"text": text[starts[o.start] : stops[o.stop - 1]], "type": o.type} for o in overlap
        ],
        "sentence": text,
    }


def _confusion(gold: list[list[Span]], predicted: list[list[Span]]) -> Iterator[tuple[str, str]]:
    for here, found in zip(gold, predicted, strict=True):
        types = {(span.start, span.stop): span.type for span in found}
        for span in here:
            yield span.type, types.pop((span.start, span.stop), NONE)
        for type_ in types.values():
            yield NONE, type_


def _f1_by_length(
    gold: list[list[Span]], predicted: list[list[Span]], bins: Sequence[int]
) -> Iterator[tuple[str, float, int]]:
    """F1 of the entities whose length is in each bin; `bins` are the lower bounds."""
    bounds = sorted(bins)
    counts: NDArray[np.int64] = np.zeros((len(bounds), 3), dtype=np.int64)
    for here, found in zip(gold, predicted, strict=True):
        for column, group in enumerate((here, found, set(here) & set(found))):
            for span in group:
                bin_ = bisect_right(bounds, span.stop - span.start) - 1
                if bin_ >= 0:
                    counts[bin_, column] += 1
    digits = len(str(bounds[-1]))  # zeros before, so that the plot's alphabetical order is right
    names = [
        f"{low:0{digits}}" + (f"-{high - 1:0{digits}}" if high > low + 1 else "")
        for low, high in pairwise(bounds)
    ]
    for name, (n_gold, n_found, n_right) in zip([*names, f"{bounds[-1]}+"], counts, strict=True):
        if n_gold + n_found:
            yield name, float(2 * n_right / (n_gold + n_found)), int(n_gold)


def _write_csv(path: Path, header: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
