import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract.errors import StageError
from stages.corpus.formats.read import read_corpus
from stages.params.align import Align
from stages.text.sentence import Sentence
from tests.stages.tiny import PARAMS

BIO = Align.model_validate(PARAMS | {"types": ["PER", "LOC"]})
GOOD = "张\tB-PER\n三\tI-PER\n在\tO\n\n京\tB-LOC\n"
SENTENCES = [
    Sentence("张三在", ("B-PER", "I-PER", "O")),
    Sentence("京", ("B-LOC",)),
]


@pytest.fixture
def read(tmp_path):
    def read(data, repair_tags=True):
        path = tmp_path / "corpus.txt"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_corpus(path, BIO, repair_tags)

    return read


# What is in the file, and what had to be repaired; the sentences are always the same.
REPAIRED = {
    "nothing to repair": (GOOD, {}),
    "no final newline": (GOOD.removesuffix("\n"), {}),
    "trailing blank lines": (GOOD + "\n\n\n", {}),
    "leading and doubled blank lines": ("\n" + GOOD.replace("\n\n", "\n\n\n"), {}),
    "CRLF": (GOOD.replace("\n", "\r\n"), {"crlf": 5}),
    "CRLF in one line": (GOOD.replace("O\n", "O\r\n"), {"crlf": 1}),
    "CRLF, no final newline": (GOOD.replace("\n", "\r\n").removesuffix("\r\n"), {"crlf": 4}),
    "BOM": ("\ufeff" + GOOD, {"bom": 1}),
    "BOM before a blank line": ("\ufeff\n" + GOOD, {"bom": 1}),
    "blank line with a space": (GOOD.replace("\n\n", "\n \n"), {"blank": 1}),
    "blank line with a tab": (GOOD + "\t\n", {"blank": 1}),
    "stray I-": (GOOD.replace("B-LOC", "I-LOC"), {"stray_i": 1}),
    "stray I-, then its own I-": (GOOD.replace("B-PER", "I-PER"), {"stray_i": 1}),
    "I- after another type's": (
        GOOD.replace("B-LOC", "I-LOC").replace("B-PER", "I-PER"),
        {"stray_i": 2},
    ),
    "all": (
        "\ufeff" + GOOD.replace("B-LOC", "I-LOC").replace("\n", "\r\n") + " \r\n",
        {"bom": 1, "crlf": 6, "blank": 1, "stray_i": 1},
    ),
}


@pytest.mark.parametrize(("data", "repaired"), REPAIRED.values(), ids=REPAIRED)
def test_repaired_and_counted(read, data, repaired):
    corpus = read(data)
    assert corpus.sentences == SENTENCES
    assert dict(corpus.repairs.counts) == repaired


# The file's content, and its error.
NOT_TWO = ", but align.conll.columns has 2 (token, tag) with a tab between; correct one of the two"
KNOWN = "; align.scheme BIO and align.types in params.yaml allow O, B-LOC, I-LOC, B-PER, I-PER"
REFUSED = {
    "unknown type": ("京\tB-ORG", f":1: unknown tag 'B-ORG'{KNOWN}"),
    "unknown prefix": ("京\tE-LOC", f":1: unknown tag 'E-LOC'{KNOWN}"),
    "lower case": ("京\tb-loc", f":1: unknown tag 'b-loc'{KNOWN}"),
    "space after the tag": ("京\tO ", f":1: unknown tag 'O '{KNOWN}"),
    "label numbers": ("京\t0", f":1: unknown tag '0'{KNOWN}"),
    "missing column": ("京", f":1: 1 columns in '京'{NOT_TWO}"),
    "a space in place of the tab": ("京 O", f":1: 1 columns in '京 O'{NOT_TWO}"),
    "third column": ("京\tO\tO", f":1: 3 columns in '京\\tO\\tO'{NOT_TWO}"),
    "U+3000 without a tag": ("\u3000", f":1: 1 columns in '\\u3000'{NOT_TWO}"),
    "U+2028 without a tag": ("\u2028", f":1: 1 columns in '\\u2028'{NOT_TWO}"),
    "CR alone": ("京\tO\r沪\tO\r", f":1: 3 columns in '京\\tO\\r沪\\tO'{NOT_TWO}"),
    "an empty token of an entity": (
        "\tB-LOC",
        ":1: an empty token with the tag B-LOC; delete the token, or correct its tag",
    ),
    "an empty token with an unknown tag": ("\tB-ORG", f":1: unknown tag 'B-ORG'{KNOWN}"),
    "a long line": ("京" * 99, f":1: 1 columns in '{'京' * 40}'{NOT_TWO}"),
    "not UTF-8": (b"\xbe\xa9\tO", ":1: not UTF-8 (byte 0xbe); convert the file to UTF-8"),
    "half a character": ("京".encode()[:2], ":1: not UTF-8 (byte 0xe4); convert the file to UTF-8"),
    "a surrogate": (b"\xed\xa0\x80\tO", ":1: not UTF-8 (byte 0xed); convert the file to UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), ":1: not UTF-8 (byte 0xff); convert the file to UTF-8"),
}


@pytest.mark.parametrize("before", ["", GOOD + "\n\n"])
@pytest.mark.parametrize("repair_tags", [True, False])
@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_file_and_line(read, tmp_path, data, message, before, repair_tags):
    data = data if isinstance(data, bytes) else data.encode()
    line = 1 + before.count("\n")
    with pytest.raises(StageError) as error:
        read(before.encode() + data, repair_tags)
    assert str(error.value) == f"{tmp_path}/corpus.txt{message.replace(':1:', f':{line}:')}"


@pytest.mark.parametrize("repair_tags", [True, False])
def test_a_token_of_several_characters_is_split(read, tmp_path, repair_tags):
    """As Chinese corpora have numbers and Latin words, and some have Chinese words."""
    corpus = read("在\tO\nNBA\tB-LOC\n赛\tI-LOC\n2008\tO\n\n北京\tB-LOC\n是\tO\n", repair_tags)
    assert corpus.sentences == [
        Sentence("在NBA赛2008", ("O", "B-LOC", *["I-LOC"] * 3, *["O"] * 4)),
        Sentence("北京是", ("B-LOC", "I-LOC", "O")),
    ]
    assert corpus.repairs.first == {
        "split_token": [f"{tmp_path}/corpus.txt:{line}" for line in (2, 4, 6)]
    }


@pytest.mark.parametrize("text", ["Ann\tB-PER\nmet\tO\n.\tO\n", "서울\tB-LOC\n에서\tO\n는\tO\n"])
def test_words_between_spaces_are_not_split(read, tmp_path, text):
    with pytest.raises(StageError) as error:
        read(text)
    assert str(error.value) == (
        f"{tmp_path}/corpus.txt: 2 of 3 tokens are words of several characters (the first at"
        f" {tmp_path}/corpus.txt:1); set align.cells: words"
    )


EMPTY = {
    "between sentences": ("京\tB-LOC\n\n\tO\n\n沪\tO\n", ["京", "沪"], [3]),
    "first and last": ("\tO\n京\tB-LOC\n沪\tO\n\tO\n", ["京沪"], [1, 4]),
    "two together": ("京\tO\n\tO\n\tO\n沪\tB-LOC\n", ["京沪"], [2, 3]),
    "between two entities": ("京\tB-LOC\n\tO\n沪\tB-LOC\n", ["京沪"], [2]),
    "between two types": ("京\tB-LOC\n\tO\n沪\tB-PER\n", ["京沪"], [2]),
    "after an entity": ("京\tB-LOC\n沪\tI-LOC\n\tO\n，\tO\n", ["京沪，"], [3]),
}


@pytest.mark.parametrize("repair_tags", [True, False])
@pytest.mark.parametrize(("data", "texts", "lines"), EMPTY.values(), ids=EMPTY)
def test_an_empty_token_without_an_entity_is_dropped(
    read, tmp_path, data, texts, lines, repair_tags
):
    corpus = read(data, repair_tags)
    assert [sentence.cells for sentence in corpus.sentences] == texts
    rows = [line.split("\t") for line in data.split("\n") if line]
    given = [tag for token, tag in rows if token]
    assert [tag for sentence in corpus.sentences for tag in sentence.tags] == given
    assert corpus.repairs.counts == {"empty_token": len(lines)}
    assert corpus.repairs.first == {"empty_token": [f"{tmp_path}/corpus.txt:{n}" for n in lines]}


def test_a_token_without_a_tag_has_o(read, tmp_path):
    """As 57 lines of MSRA's training file, a 0 and a tab."""
    corpus = read("京\tB-LOC\n0\t\n沪\tB-LOC\n")
    assert corpus.sentences == [Sentence("京0沪", ("B-LOC", "O", "B-LOC"))]
    assert corpus.repairs.first == {"empty_tag": [f"{tmp_path}/corpus.txt:2"]}
    with pytest.raises(StageError) as error:
        read("京\tB-LOC\n0\t\n沪\tB-LOC\n", repair_tags=False)
    assert str(error.value) == (
        f"{tmp_path}/corpus.txt:2: a token without a tag; write its tag, or set"
        " align.repair_test_tags: true to read it as O"
    )


@pytest.mark.parametrize("repair_tags", [True, False])
def test_a_token_without_a_tag_inside_an_entity_is_refused(read, tmp_path, repair_tags):
    with pytest.raises(StageError) as error:
        read("京\tB-LOC\n北\t\n沪\tI-LOC\n", repair_tags)
    assert str(error.value) == (
        f"{tmp_path}/corpus.txt:2: a token without a tag inside an entity of type LOC;"
        " write its tag"
    )


# U+3000 and what has no width are characters of the text that a user sends.
@pytest.mark.parametrize("token", [" ", "\u3000", "\u200b", "\xa0", "\ufeff", "\x00"])
def test_a_blank_or_invisible_character_is_no_empty_token(read, token):
    corpus = read(f"京\tB-LOC\n{token}\tI-LOC\n")
    assert corpus.sentences == [Sentence(f"京{token}", ("B-LOC", "I-LOC"))]
    assert not corpus.repairs.counts


@pytest.mark.parametrize("repair_tags", [True, False])
@pytest.mark.parametrize("inside", ["京\tB-LOC\n\tO\n沪\tI-LOC", "京\tB-LOC\n\tO\n\tO\n沪\tI-LOC"])
def test_an_empty_token_inside_an_entity_is_refused(read, tmp_path, inside, repair_tags):
    with pytest.raises(StageError) as error:
        read(GOOD + "\n" + inside, repair_tags)
    assert str(error.value) == (
        f"{tmp_path}/corpus.txt:8: an empty token with the tag O inside an entity of type LOC;"
        " delete the token, or correct the tags around it"
    )


def test_each_kind_of_repair_has_its_first_places(read, tmp_path):
    corpus = read("京\tI-LOC\n\n" * 5 + " \n\tO\n")
    assert corpus.repairs.counts == {"stray_i": 5, "blank": 1, "empty_token": 1}
    assert corpus.repairs.first == {
        kind: [f"{tmp_path}/corpus.txt:{line}" for line in lines]
        for kind, lines in {"stray_i": (1, 3, 5), "blank": (11,), "empty_token": (12,)}.items()
    }


@pytest.mark.parametrize("data", ["", "\n", "\n\n \n\r\n", "\ufeff", "\ufeff\n", "\tO\n"])
def test_no_sentence(read, tmp_path, data):
    with pytest.raises(StageError) as error:
        read(data)
    message = "corpus.txt has no sentence; check that it is the right file"
    assert str(error.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize(
    ("data", "line", "tag"),
    [
        ("京\tI-LOC", 1, "I-LOC"),
        ("京\tB-LOC\n\n京\tI-LOC", 3, "I-LOC"),
        ("京\tO\n京\tI-LOC", 2, "I-LOC"),
        ("京\tB-PER\n京\tI-LOC", 2, "I-LOC"),
        ("京\tB-LOC\n京\tI-LOC\n京\tI-PER", 3, "I-PER"),
    ],
)
def test_stray_i_without_repair(read, tmp_path, data, line, tag):
    assert read(data).repairs.counts == {"stray_i": 1}
    with pytest.raises(StageError) as error:
        read(data, repair_tags=False)
    assert str(error.value) == (
        f"{tmp_path}/corpus.txt:{line}: {tag} follows neither B-{tag[2:]} nor {tag};"
        " correct it, or set align.repair_test_tags: true to make it B-"
    )


def test_missing_file(tmp_path):
    with pytest.raises(StageError, match=re.escape("none.txt is not here: run `dvc repro downl")):
        read_corpus(tmp_path / "none.txt", BIO, repair=True)


# U+2028 and its kind are lines to str.splitlines(), U+3000 and NUL are nothing to str.strip().
ODD = "\u2028\u2029\x85\x0b\x0c\x1c\u3000\u200b\xa0\x00 \ufeff#😀"
CELLS = st.sampled_from(ODD) | st.characters(exclude_characters="\t\n\r", codec="utf-8")
TAGS = st.sampled_from(["O", "B-PER", "B-LOC"])


@given(st.lists(st.lists(st.tuples(CELLS, TAGS), min_size=1), min_size=1))
@settings(deadline=None, max_examples=50)
def test_every_character_may_be_a_cell(tmp_path_factory, sentences):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    text = "\n".join("".join(f"{cell}\t{tag}\n" for cell, tag in rows) for rows in sentences)
    bom = text.startswith("\ufeff")  # a first cell that cannot be told from a mark
    path.write_bytes(("\ufeff" * bom + text).encode())
    corpus = read_corpus(path, BIO, repair=False)
    assert [list(zip(s.cells, s.tags, strict=True)) for s in corpus.sentences] == sentences
    assert dict(corpus.repairs.counts) == ({"bom": 1} if bom else {})
