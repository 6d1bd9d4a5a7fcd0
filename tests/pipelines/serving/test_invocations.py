"""Requests to `pipelines serve`, in MLflow's forms and any other, over HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stages.onnx_export.session import CPU, CUDA, has_cuda
from tests.faults.requests import fuzz
from tests.pipelines.served import FORMS


def entities(row: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    assert row["error"] is None
    return [(e["text"], e["type"], e["start"], e["end"]) for e in row["entities"]]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_request_gives_the_same(server, sentences, form):
    rows = server.rows(form([text for text, _ in sentences]))
    assert [entities(row) for row in rows] == [expected for _, expected in sentences]
    assert {row["provider"] for row in rows} <= ({CPU, CUDA} if has_cuda() else {CPU})


ODD = [
    ("", None),
    ("😀👨‍👩‍👧‍👦\u3000\u200b\x00", None),
    ("\ud83d", "text has half of a surrogate pair at 0, which is no character"),
    (None, "text is null"),
    (float("nan"), "text is null"),
    (3, "text must be a string, it is a number"),
    (1.5, "text must be a string, it is a number"),
    (True, "text must be a string, it is a boolean"),
    (["北京"], "text must be a string, it is a list"),
    ({"text": "北京"}, "text must be a string, it is an object"),
    ("x" * (2**20 + 1), "text has 1048577 characters, 1048576 are allowed: split it"),
]


def test_a_row_that_is_no_text_has_an_error_and_the_others_their_answer(server, sentences):
    text, expected = sentences[0]
    given = [value for odd, _ in ODD for value in (odd, text)]
    rows = server.rows({"dataframe_split": {"columns": ["text"], "data": [[v] for v in given]}})
    assert [row["error"] for row in rows[::2]] == [error for _, error in ODD]
    assert [entities(row) for row in rows[1::2]] == [expected] * len(ODD)
    assert all(row["entities"] == [] for row in rows[::2] if row["error"])


@pytest.mark.parametrize("key", ["inputs", "instances", "dataframe_records"])
def test_no_row_decides_how_the_others_are_read(server, sentences, key):
    (text, expected), *_ = sentences
    rows = [{"text": text}, text, 3, [text], {"id": 1, "text": text}, {"id": 1}, None, True]
    for given in (rows, rows[::-1], rows[2:] + rows[:2]):
        found = server.rows({key: given})
        for row, answer in zip(given, found, strict=True):
            if row == text or (isinstance(row, dict) and "text" in row):
                assert entities(answer) == expected
            else:
                assert answer["error"].startswith("text ")


@pytest.mark.parametrize("odd", [value for value, _ in ODD[:8]])
def test_also_where_all_rows_are_like_that(server, odd):
    assert server.rows({"inputs": [odd, odd]}) == server.rows(
        {"dataframe_split": {"columns": ["text"], "data": [[odd], [odd]]}}
    )


def test_a_first_column_of_another_name_is_not_taken_for_the_text(server):
    status, words = server.post({"dataframe_split": {"columns": ["id"], "data": [["北京"]]}})
    assert (status, "must have a column text" in words) == (422, True)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 10**5, "application/json", 400),
        (["北京"], "application/json", 422),
        ({"inputs": {"text": ["北京"]}}, "application/json", 422),
        ({"inputs": []}, "application/json", 422),
        ({"input": ["北京"]}, "application/json", 422),
        ({"messages": [{"role": "user", "content": "北京"}]}, "application/json", 422),
        ({"inputs": ["北京"], "instances": ["北京"]}, "application/json", 422),
        ({"inputs": ["北京"], "params": {"threshold": 1}}, "application/json", 422),
        ({"dataframe_split": {"columns": [{}], "data": [[None]]}}, "application/json", 422),
        ({"dataframe_split": {"columns": ["text"], "data": [[]]}}, "application/json", 422),
        ({"inputs": [""] * 10_001}, "application/json", 413),
        (b'"' + b"x" * 9 * 10**6 + b'"', "application/json", 413),
        ("北京", "text/plain", 415),
        (b"text\n\xe5", "text/csv", 415),
        ({"inputs": ["北京"]}, "application/json; charset=latin-1", 415),
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(server, body, content_type, status):
    got, words = server.post(body, content_type)
    assert got == status, words
    fields = json.loads(words)
    assert fields.keys() == {"error_code", "message"}
    assert len(fields["message"]) > 20


def test_some_hundred_requests_of_any_kind_have_an_answer(server):
    fuzz(server, 300, number=1)


def test_a_large_request_keeps_its_order(server, sentences):
    many = [*(sentences * 50)[:1999], ("", [])]
    rows = server.rows({"inputs": [text for text, _ in many]})
    assert [entities(row) for row in rows] == [expected for _, expected in many]


def test_eight_clients_at_once_get_their_own_answers(server, sentences):
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda s: server.rows({"inputs": [s[0]]}), sentences * 3))
    assert [entities(row) for [row] in rows] == [expected for _, expected in sentences * 3]
