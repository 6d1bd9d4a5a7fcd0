from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.ner.aligned import Aligned
from stages.ner.enumerations import unseparated
from stages.ner.labels import IGNORED, iob2_tags
from tests.stages.ner.spans import TYPES, spans_in, spans_of, tags_of

TAGS = iob2_tags(TYPES)
CLS, SEP = 1, 2


def window(tags, widths, owned=0):
    """Ids and labels of cells `widths` tokens wide; those before `owned` are another window's."""
    ids, labels = [CLS], [IGNORED]
    for cell, (tag, width) in enumerate(zip(tags, widths, strict=True)):
        ids += range(10 * cell + 10, 10 * cell + 10 + width)
        labels += [TAGS.index(tag) if cell >= owned else IGNORED] + [IGNORED] * (width - 1)
    return np.array([*ids, SEP]), np.array([*labels, IGNORED])


def aligned(windows, cells):
    return Aligned(
        sentence=list(range(len(windows))),
        cells=cells,
        input_ids=[ids for ids, _ in windows],
        labels=[labels for _, labels in windows],
    )


@given(st.data())
def test_a_copy_has_the_same_entities_and_lacks_the_single_cells_between_them(data):
    windows, cells, copies = [], [], []
    for _ in range(data.draw(st.integers(1, 3))):
        count = data.draw(st.integers(1, 12))
        spans = data.draw(spans_of(count))
        tags = tags_of(spans, count, "BIO")
        widths = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
        windows.append(window(tags, widths))
        cells.append([str(cell) for cell in range(count)])
        gone = {a[1] for a, b in pairwise(spans) if b[0] - a[1] == 1 and a[2] == b[2]}
        if gone:
            copies.append((spans, [cell for cell in cells[-1] if int(cell) not in gone]))
    found = unseparated(aligned(windows, cells), TAGS)

    assert [*map(list, found.input_ids[: len(windows)])] == [list(ids) for ids, _ in windows]
    assert [*map(list, found.labels[: len(windows)])] == [list(labels) for _, labels in windows]
    assert found.sentence == list(range(len(windows) + len(copies)))
    assert found.cells[len(windows) :] == [left for _, left in copies]
    for (spans, left), ids, labels in zip(
        copies, found.input_ids[len(windows) :], found.labels[len(windows) :], strict=True
    ):
        assert (ids[0], ids[-1]) == (CLS, SEP)
        assert [token // 10 - 1 for token in ids[labels != IGNORED]] == [*map(int, left)]
        assert {str(token // 10 - 1) for token in ids[1:-1]} == set(left)
        here = spans_in([TAGS[label] for label in labels[labels != IGNORED]])
        assert [(left[start:end], type_) for start, end, type_ in here] == [
            ([str(cell) for cell in range(start, end)], type_) for start, end, type_ in spans
        ]


def test_what_another_window_owns_stays():
    tags = ["B-PER", "O", "B-PER", "O", "B-PER"]
    [_, (ids)] = unseparated(
        aligned([window(tags, [1] * 5, owned=2)], [["2", "3", "4"]]), TAGS
    ).input_ids
    assert ids.tolist() == [CLS, 10, 20, 30, 50, SEP]
