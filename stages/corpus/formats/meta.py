"""Metadata of a sentence: what a corpus has besides its text and tags."""

import json
from collections.abc import Mapping
from typing import Any


def meta_of(record: Mapping[str, Any]) -> str | None:
    """The strings, numbers and booleans of `record` as a JSON object; None if there are none."""
    plain = {k: v for k, v in record.items() if isinstance(v, str | int | float | bool)}
    return json.dumps(plain, ensure_ascii=False) if plain else None
