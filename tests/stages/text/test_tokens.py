import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, Sequence, WhitespaceSplit
from transformers import AutoTokenizer

from stages.text.tokens import CellEncoder
from tests.stages.tiny import write_encoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return AutoTokenizer.from_pretrained(write_encoder(tmp_path_factory.mktemp("tiny") / "bert"))


@pytest.fixture(scope="module")
def real(shared):
    return AutoTokenizer.from_pretrained(shared / "encoders/minilm-zh-char")


@pytest.fixture(params=["tiny", "real"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


def encoder_of(tokenizer):
    return CellEncoder(tokenizer.backend_tokenizer, tokenizer.unk_token_id)


# A cell, and its tokens with the tiny encoder.
CELLS = {
    "digit": ("7", "7"),
    "Latin": ("q", "q"),
    "Latin in upper case": ("Q", "q"),
    "Chinese": ("京", "京"),
    "Chinese outside the vocabulary": ("沪", "[UNK]"),
    "Chinese beyond the basic plane": ("\U00020bb7", "[UNK]"),
    "full-width digit": ("７", "7"),
    "full-width Latin": ("Ｑ", "q"),
    "full-width punctuation": ("％", "%"),
    "ideographic full stop": ("。", "。"),
    "U+3000": ("\u3000", "[UNK]"),
    "space": (" ", "[UNK]"),
    "zero-width space": ("\u200b", "[UNK]"),
    "zero-width joiner": ("\u200d", "[UNK]"),
    "byte order mark": ("\ufeff", "[UNK]"),
    "line separator": ("\u2028", "[UNK]"),
    "control": ("\x07", "[UNK]"),
    "NUL": ("\x00", "[UNK]"),
    "replacement character": ("\ufffd", "[UNK]"),
    "emoji": ("😀", "[UNK]"),
    "variation selector": ("\ufe0f", "[UNK]"),
    "private use": ("\ue000", "[UNK]"),
    "not assigned": ("\U000e0fff", "[UNK]"),
    "accent on a letter": ("ê", "e"),
    "accent alone": ("\u0301", "[UNK]"),
    "high surrogate": ("\ud83d", "[UNK]"),
    "low surrogate": ("\ude00", "[UNK]"),
    "㎞": ("㎞", "k m"),
    "½": ("½", "1 ⁄ 2"),
    "…": ("…", ". . ."),
    "ligature": ("ﬁ", "f i"),
    "circled": ("㊥", "[UNK]"),
    "accent that becomes a space and itself": ("´", "[UNK]"),
    "the longest normal form": ("\ufdfa", " ".join(["[UNK]"] * 15)),
}


@pytest.mark.parametrize(("cell", "tokens"), CELLS.values(), ids=CELLS)
def test_a_cell(tiny, cell, tokens):
    ids, first = encoder_of(tiny)([cell])
    assert tiny.convert_ids_to_tokens(ids) == tokens.split()
    assert first == [0]


def test_cells_together(tiny):
    """Each stands where it would alone, the second time as the first."""
    cells = [cell for cell, _ in CELLS.values()]
    expected, starts = [], []
    for _, tokens in CELLS.values():
        starts.append(len(expected))
        expected += tokens.split()
    encode = encoder_of(tiny)
    for _ in range(2):
        ids, first = encode(cells)
        assert tiny.convert_ids_to_tokens(ids) == expected
        assert first == starts
    assert encode([]) == ([], [])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("👨\u200d👩\u200d👧", "[UNK] [UNK] [UNK] [UNK] [UNK]"),
        ("e\u0301t", "e [UNK] t"),
        ("\u1112\u1161\u11ab", "[UNK] [UNK] [UNK]"),
        ("ab12", "a b 1 2"),
        ("[CLS]京", "[UNK] c l s [UNK] 京"),
        ("##a", "[UNK] [UNK] a"),
    ],
    ids=["emoji of five", "combining", "Hangul jamo", "one word", "special token", "continuation"],
)
def test_neighbours_do_not_join(tiny, text, tokens):
    ids, first = encoder_of(tiny)(text)
    assert tiny.convert_ids_to_tokens(ids) == tokens.split()
    assert first == list(range(len(text)))


ANY = st.characters(exclude_categories=[]) | st.sampled_from([c for c, _ in CELLS.values()])


@given(cells=st.lists(ANY, max_size=50))
@settings(deadline=None)
def test_every_cell_has_a_token(tiny, cells):
    ids, first = encoder_of(tiny)(cells)
    assert len(first) == len(cells)
    assert first == sorted(set(first))
    assert not cells or (first[0] == 0 and first[-1] < len(ids))


@pytest.mark.parametrize("name", ["tiny", "real"])
@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_the_same_as_transformers(request, name, text):
    """Word by word as `is_split_into_words`, where that drops nothing, and [UNK] where it does."""
    tokenizer = request.getfixturevalue(name)
    words = [list(unicodedata.normalize("NFKC", cell)) for cell in text]
    flat = [character for word in words for character in word]
    theirs = tokenizer(flat, is_split_into_words=True, add_special_tokens=False)
    of_word = {}
    for token, word in zip(theirs["input_ids"], theirs.word_ids(), strict=True):
        of_word.setdefault(word, []).append(token)
    expected, number = [], 0
    for word in words:
        tokens = [t for n in range(number, number + len(word)) for t in of_word.get(n, [])]
        expected.append(tokens or [tokenizer.unk_token_id])
        number += len(word)

    ids, first = encoder_of(tokenizer)(text)
    ours = [ids[a:b] for a, b in zip(first, [*first[1:], len(ids)], strict=True)]
    assert ours == expected


def test_every_token_of_a_real_sentence_is_the_one_of_transformers(real):
    text = "2006年７月，张三在ＡＢＣ公司用iPhone拍了3.5㎞外的北京大学。"
    normal = unicodedata.normalize("NFKC", text)
    theirs = real(list(normal), is_split_into_words=True, add_special_tokens=False)
    assert encoder_of(real)(text)[0] == theirs["input_ids"]


def test_words(tiny):
    """To the tiny encoder a word is one token or unknown."""
    encode = CellEncoder(tiny.backend_tokenizer, tiny.unk_token_id, "words")
    ids, first = encode(["a", " a", "\u3000Ａ", " ㎞", "\u200b", " a\ud83d", " " + "a" * 40])
    assert tiny.convert_ids_to_tokens(ids) == [*"aaa", *["[UNK]"] * 2, "a", "[UNK]"]
    assert first == [0, 1, 2, 3, 4, 5, 6]


def test_a_space_before_a_word_is_one_to_a_tokenizer_of_bytes():
    tokenizer = Tokenizer(BPE({"?": 0, "Ġ": 1, "B": 2, "o": 3, "ĠB": 4}, [("Ġ", "B")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    encode = CellEncoder(tokenizer, 0, "words")
    assert encode(["Bo", " Bo", "\n\u3000Bo"]) == ([2, 3, 4, 3, 4, 3], [0, 2, 4])


def test_sentencepiece_puts_a_space_before_a_word_but_before_no_character():
    names = ["<unk>", "▁", "京", "▁ab", "ab"]
    for part in (Metaspace(), Sequence([WhitespaceSplit(), Metaspace()])):
        tokenizer = Tokenizer(Unigram([(name, -1.0) for name in names], 0, False))
        tokenizer.pre_tokenizer = part
        assert CellEncoder(tokenizer, 0, "words")(["ab", " ab", "京"])[0] == [3, 3, 1, 2]
        assert CellEncoder(tokenizer, 0)("京沪京") == ([2, 0, 2], [0, 1, 2])
    tokenizer = Tokenizer(BPE({"?": 0, "Ġ": 1, "B": 2}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    assert CellEncoder(tokenizer, 0)("BB") == ([2, 2], [0, 1])


def test_padding_and_truncation_of_a_tokenizer_file_do_not_count(tiny, tmp_path):
    """As in the files of sentence encoders: {"padding": {"strategy": {"Fixed": 128}}}."""
    file = Tokenizer.from_str(tiny.backend_tokenizer.to_str())
    file.enable_padding(length=128)
    file.enable_truncation(1)
    file.save(str(tmp_path / "tokenizer.json"))
    encode = CellEncoder(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 1)
    assert encode("北㎞") == encoder_of(tiny)("北㎞")
