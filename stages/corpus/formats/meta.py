"""What a corpus says of a sentence beside its text and its tags."""

import json
from collections.abc import Mapping
from typing import Any


def meta_of(record: Mapping[str, Any]) -> str | None:
    """The texts, numbers and truth values of `record` as a JSON object; None: there is none."""
    plain = {k: v for k, v in record.items() if isinstance(v, str | int | float | bool)}
    return json.dumps(plain, ensure_ascii=False) if plain else None
