"""A sentence as `check` shows it."""

import pytest

from pipelines.corpus_check.check import marked
from stages.text.sentence import Sentence


@pytest.mark.parametrize(
    ("cells", "tags", "text"),
    [
        ("北京上海", "B-LOC I-LOC B-LOC I-LOC", "[北京 LOC][上海 LOC]"),
        (("Ann", " Lee", " left"), "B-PER I-PER O", "[Ann Lee PER] left"),
        (("to", " Port", " Lumo"), "O B-LOC I-LOC", "to [Port Lumo LOC]"),
        ("了" * 81, " ".join(["O"] * 79 + ["B-X", "I-X"]), "了" * 79 + "[了 X]…"),
    ],
)
def test_marked(cells, tags, text):
    assert marked(Sentence(cells, tuple(tags.split()))) == text
