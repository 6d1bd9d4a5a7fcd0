import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus.schemes import SCHEMES as LETTERS
from stages.corpus.schemes import break_message, tag_problem, to_iob2
from tests.stages.corpus.spans import SCHEMES, TYPES, spans_in, spans_of, tags_of

CELLS = 12


@pytest.mark.parametrize("scheme", SCHEMES)
@given(spans=spans_of(CELLS))
@settings(deadline=None)
def test_there_and_back(scheme, spans):
    tags = tags_of(spans, CELLS, scheme)
    assert all(tag_problem(tag, scheme, TYPES) == "" for tag in tags)
    iob2, breaks = to_iob2(tags, scheme)
    assert iob2 == tags_of(spans, CELLS, "BIO")
    assert spans_in(iob2) == spans
    assert breaks == []


# Tags, what IOB2 makes of them, and where they break the scheme.
BROKEN = {
    "BIO I- first": ("BIO", "I-A I-A O I-A", "B-A I-A O B-A", ["0 stray_i", "3 stray_i"]),
    "BIO other type": ("BIO", "B-A I-B I-B", "B-A B-B I-B", ["1 stray_i"]),
    "BIOES not closed": ("BIOES", "B-A I-A O B-A", "B-A I-A O B-A", ["1 unclosed", "3 unclosed"]),
    "BIOES after an end": ("BIOES", "B-A E-A I-A E-A", "B-A I-A B-A I-A", ["2 stray_i"]),
    "BIOES after a single": ("BIOES", "S-A E-A", "B-A B-A", ["1 stray_i"]),
    "BIOES other type": ("BIOES", "B-A E-B", "B-A B-B", ["0 unclosed", "1 stray_i"]),
    "BILOU": ("BILOU", "L-A B-A U-A", "B-A B-A B-A", ["0 stray_i", "1 unclosed"]),
    "BMES": ("BMES", "M-A B-A", "B-A B-A", ["0 stray_i", "0 unclosed", "1 unclosed"]),
    "BMEO single": ("BMEO", "B-A B-A O B-A E-A B-A", "B-A B-A O B-A I-A B-A", []),
    "BMEO not closed": ("BMEO", "B-A M-A O", "B-A I-A O", ["1 unclosed"]),
    "IOB1 breaks nothing": ("IOB1", "I-A I-B B-B O B-A", "B-A B-B B-B O B-A", []),
}


@pytest.mark.parametrize(("scheme", "tags", "iob2", "breaks"), BROKEN.values(), ids=BROKEN)
def test_broken_tags_lose_no_entity(scheme, tags, iob2, breaks):
    found, where = to_iob2(tags.split(), scheme)
    assert " ".join(found) == iob2
    assert sorted(f"{index} {kind}" for index, kind in where) == breaks


@pytest.mark.parametrize("scheme", SCHEMES)
@given(st.data())
@settings(deadline=None, max_examples=50)
def test_every_cell_of_an_entity_stays_one(scheme, data):
    """Whatever the tags: no cell of a type is lost, and what comes out is IOB2."""
    known = ["O", *(f"{letter}-{type_}" for letter in LETTERS[scheme] for type_ in "AB")]
    tags = data.draw(st.lists(st.sampled_from(known), max_size=10))
    iob2, _ = to_iob2(tags, scheme)
    assert [tag[1:] for tag in iob2] == [tag[1:] for tag in tags]
    assert to_iob2(iob2, "BIO") == (iob2, [])


@pytest.mark.parametrize(
    ("tag", "scheme", "types", "message"),
    [
        ("S-A", "BIO", None, "unknown tag 'S-A'; align.scheme BIO in params.yaml allows O, B-"),
        ("I-A", "BMES", None, " allows O, B-TYPE, M-TYPE, E-TYPE, S-TYPE"),
        ("B-", "BIO", None, "the entity type '' is not letters"),
        ("B-", "BIO", ["A"], "unknown tag 'B-'"),
        ("BPER", "BIO", None, "unknown tag 'BPER'"),
        (
            "B-a b",
            "BIO",
            None,
            "the entity type 'a b' is not letters, digits, _ . / : and - alone, the first two of"
            " them letters, digits or _; rename it",
        ),
        ("B-R&D", "BIO", None, "the entity type 'R&D' is not letters"),
        ("B-B-PER", "BIO", None, "the entity type 'B-PER' is not letters"),
        ("I-none", "BIO", None, "the reports have a row called 'none'; rename this entity type"),
        ("", "BIO", None, "unknown tag ''"),
        (
            "B-C",
            "BIO",
            ["B", "A"],
            " and align.types in params.yaml allow O, B-A, I-A, B-B, I-B",
        ),
        ("B-X", "BIO", [f"T{n:02}" for n in range(20)], "I-T13, B-T14 and 11 more"),
    ],
)
def test_unknown_tags(tag, scheme, types, message):
    assert message in tag_problem(tag, scheme, types)


def test_the_message_of_a_break():
    remedy = "; correct it, or set align.repair_test_tags: true to "
    assert (
        break_message("E-A", "stray_i", "BMES")
        == f"E-A follows neither B-A nor M-A{remedy}make it B-"
    )
    assert (
        break_message("B-A", "unclosed", "BILOU")
        == f"B-A is not followed by L-A{remedy}end the entity there"
    )
