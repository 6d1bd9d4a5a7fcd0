"""The served tagger gives the model the windows that align writes."""

from types import SimpleNamespace

import numpy as np
import pytest
from transformers import AutoTokenizer

from stages.serving import tagger
from stages.serving.tagger import Tagger
from stages.text.cells import SURROGATE, cells_of
from stages.text.labels import Labels, iob2_tags
from stages.text.sentence import Sentence
from stages.text.tokens import CellEncoder
from stages.text.window_rows import rows_of
from stages.text.windows_table import Aligned
from tests.stages.english import TEXTS, write_english_encoder
from tests.stages.tiny import CHARACTERS, write_encoder

WINDOW = 30  # without [CLS] and [SEP]
AWKWARD = {
    "nothing": "",
    "blanks": "  \t \n",
    "a blank at each end": " 张三 ",
    "U+3000": "\u3000张三\u3000\u3000在\u3000",
    "zero-width": "张\u200b三\u200d在\ufeff\u00ad",
    "combining": "e\u0301a\u0308 か\u3099",
    "emoji": "👩‍👩‍👧‍👦去🇨🇳👍🏽",
    "full-width": "ＡＢＣ１２３，！（）％",
    "longer when normalised": "㎞½…ﷺ①ﬃ´",
    "longer than a window when normalised": "㎞½…\ufdfa" * 10,
    "cells of many tokens": "\ufdfa" * 9,
    "control": "\x00\x07\x1b\x7f\x85\u2028",
    "half a surrogate": "a\ud83d b\udfff 京",
    "beyond the basic plane": "𠮷𝟘𐍈",
    "special tokens": "[CLS][SEP][UNK][PAD]",
    "3,000 characters": (CHARACTERS + "沪㎞\u3000 ") * 60,
    "3,000 characters in one word": "a" * 3000,
    "words": " ".join(TEXTS),
} | {
    f"{length} {what}": unit * length
    for length in (WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW, 2 * WINDOW + 1)
    for what, unit in (("characters", "京"), ("words", "ann "))
}
KINDS = {"characters": write_encoder, "words": write_english_encoder}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    """A folder with all that makes windows, and what labels.json says."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(KINDS[request.param](folder / "bert"))
    tokenizer.save_pretrained(folder)
    labels = Labels(
        tags=iob2_tags(["PER"]),
        window_tokens=WINDOW + 2,
        window_overlap_tokens=8,
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        unknown_id=tokenizer.unk_token_id,
        cells=request.param,
    )
    labels.write(folder)
    return folder, labels, tokenizer


@pytest.fixture
def served(model, monkeypatch):
    """`served(texts)`: the arguments with which the tagger calls the model."""
    calls = []

    def emissions(input_ids, scored, sentence, *_):
        calls.append((input_ids, scored, sentence))
        counts = np.bincount(sentence, [row.sum() for row in scored]).astype(int)
        return [np.zeros((count, len(model[1].tags)), np.float32) for count in counts]

    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(tagger, "open_session", lambda *_, **__: session)
    monkeypatch.setattr(tagger, "forward_of", lambda _: None)
    monkeypatch.setattr(tagger, "emissions", emissions)

    def served(texts):
        calls.clear()
        assert len(Tagger(model[0])(texts)) == len(texts)
        return calls

    return served


def aligned(texts, model):
    """The windows as `align` writes them, of the texts that have a cell.

    No corpus has half a surrogate; any other unknown character takes its place.
    """
    _, labels, tokenizer = model
    written = [SURROGATE.sub("\ufffd", text) for text in texts]
    cells = [found for text in written if (found := cells_of(text, labels.cells))]
    if not cells:
        return Aligned([], [], [], [])
    sentences = [Sentence(found, ("O",) * len(found)) for found in cells]
    encode = CellEncoder(tokenizer.backend_tokenizer, labels.unknown_id, labels.cells)
    split = Aligned.of(rows_of(sentences, labels, encode))
    assert split.sentence_cells() == [list(found) for found in cells]
    return split


def check_same(call, split):
    input_ids, scored, sentence = call
    assert sentence == split.sentence
    assert [row.tolist() for row in input_ids] == [row.tolist() for row in split.input_ids]
    assert [row.tolist() for row in scored] == [row.tolist() for row in split.scored]
    assert [row.sum() for row in scored] == [len(cells) for cells in split.cells]


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_a_text(served, model, text):
    split = aligned([text], model)
    calls = served([text])
    assert len(calls) == bool(split.sentence)  # no cell, no window
    for call in calls:
        check_same(call, split)


def test_texts_together(served, model):
    texts = list(AWKWARD.values())
    [call] = served(texts)
    check_same(call, aligned(texts, model))


@pytest.mark.parametrize(
    ("cells", "windows"), [(WINDOW - 1, 1), (WINDOW, 1), (WINDOW + 1, 2), (WINDOW + 23, 3)]
)
def test_the_number_of_windows(served, model, cells, windows):
    unit = "京" if model[1].cells == "characters" else " ann"
    [(input_ids, _, _)] = served([unit * cells])
    assert len(input_ids) == windows
    assert max(map(len, input_ids)) == min(cells, WINDOW) + 2
