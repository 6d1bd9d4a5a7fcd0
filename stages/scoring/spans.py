"""Strict scores: an entity counts if type, start and end are right."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from stages.model.decode import best_tags
from stages.model.emissions import Forward, emissions
from stages.text.windows_table import Aligned


def predict(
    split: Aligned,
    forward: Forward,
    tags: Sequence[str],
    tokens_per_batch: int,
    on_batch: Callable[[int], object] = lambda _: None,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.intp]]]:
    """Log-probabilities [cells, labels] and predicted labels [cells] of each whole sentence.

    `on_batch` is called with the number of windows of each batch that is done.
    """
    log_probabilities = emissions(
        split.input_ids, split.scored, split.sentence, forward, tokens_per_batch, on_batch
    )
    return log_probabilities, best_tags(log_probabilities, tags)


def score(
    split: Aligned, predicted: Sequence[NDArray[np.intp]], tags: Sequence[str]
) -> dict[str, Any]:
    """`strict_scores` of predicted labels against the split's untruncated gold."""
    return strict_scores(
        [[tags[label] for label in sentence] for sentence in split.sentence_labels()],
        [[tags[label] for label in sentence] for sentence in predicted],
    )


def strict_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Precision, recall, F1 (0 to 1) and support, overall (micro) and a type.

    By seqeval in strict mode with the IOB2 scheme, which is conlleval's measure for valid IOB2.
    """
    report = classification_report(
        gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    overall = _figures(report.pop("micro avg"))
    types = {name: _figures(row) for name, row in report.items() if not name.endswith(" avg")}
    return overall | types


def _figures(row: dict[str, Any]) -> dict[str, float | int]:
    # seqeval gives numpy numbers, which json refuses.
    return {
        "precision": float(row["precision"]),
        "recall": float(row["recall"]),
        "f1": float(row["f1-score"]),
        "support": int(row["support"]),
    }
