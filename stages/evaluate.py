"""Scores the model on the untruncated test split, and lists its mistakes."""

import csv
import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stages.contract.command import command
from stages.contract.outs import whole
from stages.contract.progress import progress
from stages.model.decode import Decoder, confidences
from stages.model.device import choose_device, device_figures, make_repeatable
from stages.model.emissions import Forward
from stages.model.freed_memory import free_at_once, free_now
from stages.model.tagger import forward_of, load_tagger
from stages.params.evaluate import Evaluate
from stages.report.report import NONE, Results, StageReports, report
from stages.scoring.bootstrap import with_intervals
from stages.scoring.calibrate import calibrate
from stages.scoring.calibration import expected_calibration_error, reliability
from stages.scoring.groups import Row, by_bin, confusion, length
from stages.scoring.in_train import count_in_train
from stages.scoring.judged import JudgedSentences
from stages.scoring.mistakes import Judged, Mistake
from stages.scoring.robustness import robustness
from stages.scoring.slices import members, slice_scores, write_members
from stages.scoring.spans import pairs, predict, scores
from stages.scoring.temperature import DIGITS
from stages.text.labels import Labels
from stages.text.windows_table import count_windows, read_sentences


@dataclass(frozen=True)
class Outs:
    """The files that the stage writes."""

    metrics: Path
    """{"test": {"f1": ..., "f1_low": ..., "ece": ..., "types": {"PER": {"f1": ...}}},
    "passed": {"precision": ..., "recall": ..., "types": {"PER": {"recall": ...}}},
    "slices": {NAME: {"f1": ...}}, "robustness": {FORM: {"f1": ...}}}."""
    calibration: Path
    """The temperature and the threshold of each type, by dev."""
    errors: Path
    """JSON lines, a mistake each, the most confident first."""
    confusion: Path
    """A row for each entity: gold and predicted type at the same span."""
    f1_by_length: Path
    """A row for each range of entity lengths, in cells."""
    reliability: Path
    """A row for each range of confidence."""
    index: Path
    """A page with all of that, and with what the stages before it reported."""
    slices: Path
    """JSON lines, the sentences of each slice."""


def evaluate(
    params: Evaluate, model: Path, aligned: Path, reports: StageReports, outs: Outs
) -> dict[str, Any]:
    """Scores `model` on `aligned`/test.parquet by strict spans, windows merged; writes `outs`.

    What `dev` says of its confidence makes a probability of each entity's score.

    Raises:
        StageError: the device, the model or the data does not exist; a slice names a type or a
            metadata column that does not exist.
    """
    device = choose_device(params.device, "evaluate.device")
    make_repeatable(0, params.cpu_threads, deterministic=True)
    free_at_once()
    labels = Labels.read(aligned)
    test = aligned / "test.parquet"
    slices = members(params.slices, read_sentences(test), _types(labels))
    forward = forward_of(load_tagger(model, device))
    decoder = Decoder.read(model, labels.tags)
    outs.index.parent.mkdir(parents=True, exist_ok=True)
    judge = partial(_judged, params, forward, decoder, device, outs.index.parent)
    dev = judge(aligned / "dev.parquet")
    calibration = calibrate(params.calibration, dev, _types(labels))
    uncalibrated = judge(test)
    judged = uncalibrated.calibrated(calibration)
    bins = reliability(judged, params.confidence_bins)
    metrics = {
        "test": _test_scores(params, judged, uncalibrated, labels),
        "passed": scores(judged.passed(calibration)),
        "slices": slice_scores(slices, judged),
        "robustness": robustness(params, read_sentences(test), labels, model, forward, decoder),
    }
    in_train = count_in_train(aligned / "train.parquet", labels.tags, judged)
    results = Results(
        judged, _types(labels), metrics, bins, calibration, in_train, slices, device.type
    )
    with whole(*vars(outs).values()) as files:
        _write(params, results, reports, Outs(*files))
    return {"sentences": len(judged), **device_figures(device)}


def main() -> None:
    """Runs the stage in the current folder."""
    command(
        Evaluate,
        lambda params: evaluate(
            params,
            Path("models/ner"),
            Path("data/aligned"),
            StageReports(
                source=Path("data/corpus/source.json"),
                align=Path("reports/align.json"),
                curve=Path("reports/train.csv"),
            ),
            Outs(
                metrics=Path("reports/metrics.json"),
                calibration=Path("reports/calibration.json"),
                errors=Path("reports/errors.jsonl"),
                confusion=Path("reports/confusion.csv"),
                f1_by_length=Path("reports/f1_by_length.csv"),
                reliability=Path("reports/reliability.csv"),
                index=Path("reports/index.html"),
                slices=Path("reports/slices.jsonl"),
            ),
        ),
        "Scores the model on the test split.",
    )


def _types(labels: Labels) -> list[str]:
    """The entity types, in the order of the labels."""
    return [tag[2:] for tag in labels.tags if tag.startswith("B-")]


def _judged(
    params: Evaluate,
    forward: Forward,
    decoder: Decoder,
    device: torch.device,
    scratch: Path,
    split: Path,
) -> JudgedSentences:
    """The sentences of a split with what the model predicts in each, and its own confidence."""
    judged = JudgedSentences(scratch=scratch)
    with progress(count_windows(split), f"evaluate {split.stem} on {device}", " windows") as bar:
        for part in read_sentences(split):
            emissions, predicted = predict(
                part, forward, decoder, params.tokens_per_batch, bar.update
            )
            for cells, pair, path, marginals in zip(
                part.sentence_cells(),
                pairs(part, predicted, decoder.tags),
                predicted,
                decoder.log_marginals(emissions),
                strict=True,
            ):
                both = [*{*pair.gold, *pair.predicted}]
                found = dict(zip(both, confidences(both, path, marginals), strict=True))
                judged.append(Judged(cells, pair.gold, pair.predicted, found))
            del part, emissions, predicted  # else two parts would be in memory at once
    free_now()
    return judged


def _test_scores(
    params: Evaluate, judged: Sequence[Judged], uncalibrated: Sequence[Judged], labels: Labels
) -> dict[str, Any]:
    """Scores of all test sentences, with their intervals and both calibration errors."""
    test = with_intervals(scores(judged), judged, _types(labels), params.bootstrap)
    for name, sentences in (("ece", judged), ("ece_uncalibrated", uncalibrated)):
        error = expected_calibration_error(reliability(sentences, params.confidence_bins))
        # The fifth digit depends on the batches.
        test[name] = None if error is None else round(error, DIGITS)
    return test


def _write(params: Evaluate, results: Results, reports: StageReports, outs: Outs) -> None:
    judged = results.judged
    outs.metrics.write_text(json.dumps(results.metrics, indent=2) + "\n", encoding="utf-8")
    results.calibration.write(outs.calibration)
    errors = (_error(sentence, mistake) for sentence in judged for mistake in sentence.mistakes)
    worst = heapq.nsmallest(params.errors, errors, key=lambda error: -error["confidence"])
    outs.errors.write_text(
        "".join(json.dumps(error, ensure_ascii=False) + "\n" for error in worst),
        encoding="utf-8",
    )
    _write_csv(outs.confusion, ["gold", "predicted"], confusion(judged, NONE))
    digits = len(str(max(params.length_bins)))  # DVC's plot sorts the names as text
    lengths = by_bin(judged, length, params.length_bins, digits)
    columns = ["name", "f1", "support"]
    _write_csv(outs.f1_by_length, ["length", *columns[1:]], (_of(row, columns) for row in lengths))
    columns = ["low", "high", "confidence", "precision", "support"]
    _write_csv(outs.reliability, columns, (_of(row, columns) for row in results.reliability))
    write_members(outs.slices, results.slices)
    outs.index.write_text(report(params, results, reports), encoding="utf-8")


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
