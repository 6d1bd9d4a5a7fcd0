"""Enumerations without what separates them: a list of names may come without commas."""

import numpy as np

from stages.ner.aligned import Aligned
from stages.ner.labels import IGNORED


def unseparated(data: Aligned, tags: list[str]) -> Aligned:
    """The windows and, after them, copies of those that enumerate, without the separators.

    A separator is a single cell outside, between two entities of one type: a comma, an `and`. A
    corpus that lost the spaces or lines of a list has entities that touch, and a tagger that saw
    none takes two for one.
    """
    types = np.array([tag[2:] for tag in tags])
    begins = np.array([tag.startswith("B-") for tag in tags])
    cells, ids, labels = [], [], []
    for window, of_tokens in enumerate(data.labels):
        starts = np.flatnonzero(of_tokens != IGNORED)
        of_cells = of_tokens[starts]
        type_ = types[of_cells]
        left, right = type_[:-2], type_[2:]
        between = (type_[1:-1] == "") & (left == right) & begins[of_cells[2:]]
        if not between.any():
            continue
        separators = np.flatnonzero(between) + 1
        kept = np.ones(len(of_tokens), dtype=bool)
        for cell in separators:  # never the last, and all tokens of it
            kept[starts[cell] : starts[cell + 1]] = False
        cells.append(np.delete(np.array(data.cells[window], dtype=object), separators).tolist())
        ids.append(data.input_ids[window][kept])
        labels.append(of_tokens[kept])
    last = data.sentence[-1]
    return Aligned(
        sentence=[*data.sentence, *range(last + 1, last + 1 + len(ids))],
        cells=[*data.cells, *cells],
        input_ids=[*data.input_ids, *ids],
        labels=[*data.labels, *labels],
    )
