import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text.labels import IGNORED
from stages.text.windows import windows
from tests.stages.tiny import CHARACTERS, FILLER, SPECIAL, align_text, tagged, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.mark.parametrize(("length", "expected"), [(30, 1), (31, 2), (600, 27), (2500, 114)])
def test_long_sentences(tmp_path, encoder, length, expected):
    """Entities everywhere, also across each window's border; none is lost or cut."""
    entities = [(start, start + 4, "LOC") for start in range(0, length - 4, 5)]
    sentence = tagged((CHARACTERS * 99)[:length], *entities)
    result = align_text(tmp_path, encoder, [sentence, *FILLER])
    figures = result.report["test"]
    assert figures["windows"] == expected + len(FILLER)
    assert figures["entities_in"] == figures["entities_kept"] == len(entities)
    assert figures["characters"] == length + len(FILLER)
    assert result.sentences("test")[0] == sentence
    split = result.splits["test"]
    assert split.sentence == [0] * expected + [1, 2, 3, 4, 5]
    assert max(map(len, split.input_ids)) == min(length + 2, 32)


def test_an_entity_longer_than_a_window(tmp_path, encoder):
    sentence = tagged("京" * 100, (10, 90, "ORG"))
    result = align_text(tmp_path, encoder, [sentence])
    assert result.sentences("test") == [sentence]
    assert result.report["test"]["entities_kept"] == 1
    assert result.report["test"]["windows"] == 5


def test_shared_tokens_are_labelled_once(tmp_path, encoder):
    sentence = tagged((CHARACTERS * 9)[:50], (20, 30, "PER"))
    split = align_text(tmp_path, encoder, [sentence]).splits["test"]
    places = windows(50, 30, 8)
    assert [(w.start, w.stop, w.own_start, w.own_stop) for w in places] == [
        (0, 30, 0, 25),
        (20, 50, 25, 50),
    ]
    ids = [len(SPECIAL) + CHARACTERS.index(cell) for cell, _ in sentence]
    for window, input_ids, labels, cells in zip(
        places, split.input_ids, split.labels, split.cells, strict=True
    ):
        assert input_ids.tolist() == [2, *ids[window.start : window.stop], 3]
        scored = [i + window.start - 1 for i, label in enumerate(labels) if label != IGNORED]
        assert scored == list(range(window.own_start, window.own_stop))
        assert cells == [cell for cell, _ in sentence[window.own_start : window.own_stop]]


def test_a_cell_of_more_tokens_than_a_window_owns(tmp_path, encoder):
    """U+FDFA has 15: the window in the middle has nothing to score."""
    sentence = tagged("张\ufdfa三", (0, 2, "PER"), (2, 3, "LOC"))
    result = align_text(tmp_path, encoder, [sentence], window_tokens=8, window_overlap_tokens=0)
    split = result.splits["test"]
    assert result.sentences("test") == [sentence]
    assert split.cells == [["张", "\ufdfa"], [], ["三"]]
    assert [int(scored.sum()) for scored in split.scored] == [2, 0, 1]


ODD = "㎞½…\ufdfa\u3000\u200b\u2028７ê\u0301😀"
CELLS = st.sampled_from(ODD + CHARACTERS) | st.characters(
    exclude_characters="\t\r\n\ufeff", codec="utf-8"
)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])


@st.composite
def sentence(draw):
    """Cells and valid tags."""
    rows = draw(st.lists(st.tuples(CELLS, TAGS), min_size=1, max_size=80))
    before = "O"
    for index, (cell, tag) in enumerate(rows):
        if tag.startswith("I-") and before[1:] != tag[1:]:
            tag = "B" + tag[1:]
        rows[index] = cell, before = cell, tag
    return rows


CORPUS = st.lists(sentence(), min_size=1, max_size=5)


@given(test=CORPUS, train=CORPUS, size=st.integers(8, 32), overlap=st.integers(0, 15))
@settings(deadline=None, max_examples=60)
def test_the_windows_give_back_the_corpus(tmp_path_factory, encoder, test, train, size, overlap):
    result = align_text(
        tmp_path_factory.getbasetemp() / "random",
        encoder,
        test,
        [*train, *FILLER],
        window_tokens=size,
        window_overlap_tokens=min(overlap, (size - 2) // 2),
    )
    assert result.sentences("test") == test
    both = result.sentences("train") + result.sentences("dev")
    assert sorted(both) == sorted([*train, *FILLER])
    for name, split in result.splits.items():
        figures = result.report[name]
        sentences = result.sentences(name)
        entities = sum(tag.startswith("B-") for rows in sentences for _, tag in rows)
        assert figures["entities_in"] == figures["entities_kept"] == entities
        assert figures["sentences"] == len(sentences)
        assert figures["characters"] == sum(map(len, sentences))
        assert figures["windows"] == len(split.cells)
        assert all(
            len(ids) == len(row) <= size
            for ids, row in zip(split.input_ids, split.labels, strict=True)
        )
