"""Columns of words, in any scheme: another language than the sample's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus.formats.lines import CONVERT
from stages.text.cells import cells_of
from stages.text.sentence import Sentence
from tests.stages.corpus.formats.conftest import read
from tests.stages.corpus.spans import SCHEMES, spans_of, tags_of

ENGLISH = """\
-DOCSTART- -X- -X- O

# id 1
Ann NNP B-NP B-PER
moved VBD B-VP O
to TO B-PP O
Port NNP B-NP B-LOC
Lumo NNP I-NP I-LOC
. . O O

U.S.-led JJ B-NP B-MISC
#1 CD B-NP O
"""
CONLL = {"columns": ["token", "pos", "chunk", "tag"], "separator": " ", "comment": "# "}
SENTENCES = [
    Sentence(
        ("Ann", " moved", " to", " Port", " Lumo", " ."),
        ("B-PER", "O", "O", "B-LOC", "I-LOC", "O"),
    ),
    # A word of several: the tag goes on.
    Sentence(
        ("U", ".", "S", ".", "-", "led", " #", "1"),
        ("B-MISC", *["I-MISC"] * 5, "O", "O"),
    ),
]


def test_like_conll_2003(tmp_path):
    corpus = read(tmp_path / "a", ENGLISH, conll=CONLL, cells="words", repair=False)
    assert corpus.sentences == SENTENCES
    assert corpus.repairs.counts == {}


def test_any_blanks_between_columns(tmp_path):
    text = ENGLISH.replace(" ", " \t").replace("\n", " \n").replace("# \tid", "# id")
    corpus = read(tmp_path / "a", text, conll=CONLL | {"separator": None}, cells="words")
    assert corpus.sentences == SENTENCES
    assert corpus.repairs.counts == {"blank": 2}


@pytest.mark.parametrize("separator", [" ", None])
def test_a_token_that_looks_like_a_comment(refused, tmp_path, separator):
    """A comment has no tag column; `# id O` could be either, so it is counted."""
    conll = {"columns": ["token", "pos", "tag"], "separator": separator, "comment": "# "}
    text = "# id 0\n# a much longer comment O\nthe DT O\n# NN B-PRIZE\n1 CD I-PRIZE\n# NN O\n"
    corpus = read(tmp_path / "a", text, conll=conll, cells="words", repair=False)
    assert corpus.sentences == [
        Sentence(("the", " #", " 1", " #"), ("O", "B-PRIZE", "I-PRIZE", "O"))
    ]
    assert corpus.repairs.first == {"comment_token": [f"{tmp_path}/a:{line}" for line in (4, 6)]}
    message = "test.txt:1: unknown tag 'S-PRIZE'; align.scheme BIO in"
    assert refused("# NN S-PRIZE\n", conll=conll, cells="words").startswith(message)


WORD = st.text(st.sampled_from("aZé.-'1हि\u200b"), min_size=1, max_size=4)
CHARACTER = st.characters(exclude_characters="\t\n\r", codec="utf-8")


@given(
    data=st.data(), scheme=st.sampled_from(SCHEMES), cells=st.sampled_from(["words", "characters"])
)
@settings(deadline=None, max_examples=150)
def test_there_and_back(tmp_path_factory, data, scheme, cells):
    tokens = data.draw(st.lists(WORD if cells == "words" else CHARACTER, min_size=1, max_size=9))
    spans = data.draw(spans_of(len(tokens)))
    tags = tags_of(spans, len(tokens), scheme)
    text = "\n" + "".join(f"{tag}\t_\t{token}\n" for token, tag in zip(tokens, tags, strict=True))
    [sentence] = read(
        tmp_path_factory.getbasetemp() / "any.txt",
        text,
        repair=False,
        conll={"columns": ["tag", "_", "token"], "separator": "\t", "comment": None},
        cells=cells,
        scheme=scheme,
    ).sentences
    join = " " if cells == "words" else ""
    assert "".join(sentence.cells) == join.join(tokens)
    # As a model that is served cuts the same text.
    assert [*sentence.cells] == [*cells_of(join.join(tokens), cells)]
    assert entities(sentence) == [
        (join.join(tokens[start:end]), type_) for start, end, type_ in spans
    ]


def entities(sentence: Sentence) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for cell, tag in zip(sentence.cells, sentence.tags, strict=True):
        if tag[0] == "B":
            found.append((cell.lstrip(" ") or cell, tag[2:]))
        elif tag[0] == "I":
            found[-1] = (found[-1][0] + cell, tag[2:])
    return found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann B-PER\n", ":1: 2 columns in 'Ann B-PER', but align.conll.columns has 4 (token, "),
        (
            "# id\n\nAnn a b I-PER\n",
            ":3: I-PER follows neither B-PER nor I-PER; correct it, or set",
        ),
        ("Ann a b B-PER\n# x\nB a b E-PER\n", ":3: unknown tag 'E-PER'; align.scheme BIO in"),
        ("Ann a b B-PER\n\u3000 a b I-PER\n", ":2: an empty token with the tag I-PER; delete"),
        ("Ann a b B-PER\n a b O\nLi a b I-PER\n", ":2: an empty token with the tag O inside an"),
    ],
)
def test_refused(refused, text, message):
    assert message in refused(text, conll=CONLL, cells="words")


@pytest.mark.parametrize("token", ["", "\u3000", "\xa0", "\u2028"])
def test_a_token_of_white_space_alone_is_dropped(tmp_path, token):
    text = f"Ann a b B-PER\n{token} a b O\nmet a b O\n"
    corpus = read(tmp_path / "a", text, conll=CONLL, cells="words", repair=False)
    assert corpus.sentences == [Sentence(("Ann", " met"), ("B-PER", "O"))]
    assert corpus.repairs.counts == {"empty_token": 1}


def test_scheme_by_name(refused, tmp_path):
    assert ":1: B-A is not followed by E-A; " in refused("a\tB-A\n", scheme="BIOES")
    corpus = read(tmp_path / "a", "a\tB-A\nb\tO\nc\tE-A\n", scheme="BIOES")
    assert corpus.repairs.counts == {"unclosed": 1, "stray_i": 1}
    assert corpus.sentences == [Sentence("abc", ("B-A", "O", "B-A"))]


@pytest.mark.parametrize("line", ["T1\tPER 0 1\t京", '{"text": "京"}'])
def test_an_export_names_the_command_that_converts_it(refused, line):
    assert refused(line).endswith(f"between; correct one of the two; {CONVERT}")
