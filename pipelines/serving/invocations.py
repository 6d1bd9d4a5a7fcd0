"""Reads the texts of a request in the forms of MLflow's scoring server."""

import json
from typing import Any

FORMS = ("inputs", "instances", "dataframe_records", "dataframe_split")
TEXT = "text"
NAMELESS = (0, "0")
MOST_TEXTS = 10_000
"""In one request: a row without a text costs two bytes, and its answer a hundred."""


class Unreadable(Exception):  # noqa: N818 - the request is, it is no error of ours
    """A request that cannot be answered.

    Attributes:
        status: Of the answer.
    """

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


def rows(body: bytes) -> list[Any]:
    """The texts of a body. Other values stay as they are: the model answers them with an error.

    Raises:
        Unreadable: if the body has none of the forms.
    """
    request = parsed(body)
    given = [key for key in FORMS if key in request] if isinstance(request, dict) else []
    if len(given) != 1 or request.keys() - {given[0], "params"}:
        raise Unreadable(
            422, 'send JSON such as {"inputs": ["text", ...]}, with one key of ' + ", ".join(FORMS)
        )
    if request.get("params"):
        raise Unreadable(422, "the model takes no params: leave them out")
    value = request[given[0]]
    found = _of_table(value) if given[0] == "dataframe_split" else _of_list(given[0], value)
    if not found:
        raise Unreadable(422, f"{given[0]} has no row: give one text at least")
    return at_most(found)


def parsed(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        Unreadable: if it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(400, f"the body is not JSON: {error}") from None


def at_most(found: list[Any]) -> list[Any]:
    """The texts, if they are not more than `MOST_TEXTS`; else raises Unreadable."""
    if len(found) > MOST_TEXTS:
        raise Unreadable(413, f"{len(found)} texts: send {MOST_TEXTS} in a request at most")
    return found


def _of_list(form: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise Unreadable(422, f"{form} must be a list of texts, or of objects with a {TEXT}")
    return [row.get(TEXT, row) if isinstance(row, dict) else row for row in value]


def _of_table(value: Any) -> list[Any]:
    """The column `text`, or the only one that has no name."""
    columns, data = (value.get("columns"), value.get("data")) if isinstance(value, dict) else (0, 0)
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise Unreadable(422, "dataframe_split must have columns and data, a list of rows")
    names = columns if isinstance(columns, list) else [0]
    if TEXT not in names and (len(names) != 1 or names[0] not in NAMELESS):
        raise Unreadable(422, f"dataframe_split must have a column {TEXT}")
    at = names.index(TEXT) if TEXT in names else 0
    if wrong := {len(row) for row in data} - {len(names)}:
        raise Unreadable(
            422, f"dataframe_split has {len(names)} columns and a row of {min(wrong)} values"
        )
    return [row[at] for row in data]
