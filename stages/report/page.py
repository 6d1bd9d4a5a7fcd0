"""A page of HTML that is one file and asks for nothing outside itself."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
SCRIPT = Markup((HERE / "filter.js").read_text(encoding="utf-8"))  # noqa: S704  ours


def page(template: Path, **values: Any) -> str:
    """`template`, which extends shell.html and may import from macros.html, filled in.

    Whatever stands in `values` is escaped. The browser is told to load nothing and to run no script
    but filter.js, by which a `<form data-filters="ID">` shows some of the items of the list ID.

    Args:
        template: The file. What it imports is looked for beside it, then here.
        values: By the names that the template has.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "count": _count, "range": _range}
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    environment.globals |= {"script": SCRIPT, "script_sha256": digest}
    return environment.get_template(template.name).render(values) + "\n"


def _score(value: float | None) -> str:
    """Four digits, as `python -m pipelines run` prints them."""
    return "–" if value is None else f"{value:.4f}"


def _count(value: int) -> str:
    return f"{value:,}"


def _range(ends: Sequence[float]) -> str:
    return " to ".join(map(_score, ends))
