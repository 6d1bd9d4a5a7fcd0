"""Windows packed into rows."""

import numpy as np
import pytest

from stages.text.windows_table import Aligned
from stages.training.plan import pack_rows


@pytest.fixture
def rows_of():
    """Seven windows with differently many labelled tokens, and the rows that they fill."""

    def rows_of(row_tokens):
        rng = np.random.default_rng(2)
        lengths = (3, 12, 7, 9, 4, 16, 5)
        labels = [rng.integers(0, 5, size=n) for n in lengths]
        for row in labels:
            row[[0, -1]] = -100
            row[1 : len(row) // 3] = -100
        data = Aligned(
            sentence=list(range(7)),
            cells=[[]] * 7,
            input_ids=[rng.integers(1, 30, size=n) for n in lengths],
            labels=labels,
        )
        return data, pack_rows(lengths, row_tokens, rng).rows

    return rows_of
