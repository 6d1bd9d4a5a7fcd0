"""Fills in an HTML page that is one file and loads nothing else."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
SCRIPT = Markup((HERE / "filter.js").read_text(encoding="utf-8"))  # noqa: S704  our own file


def page(template: Path, values: Mapping[str, Any]) -> str:
    """Fills in `template`, which extends shell.html and may import macros.html.

    All of `values` is escaped. The page loads nothing and runs no script but filter.js, by which a
    `<form data-filters="ID">` filters and sorts the items of the list ID.

    Args:
        template: The file. Templates that it imports are looked for beside it, then here.
        values: By the names in the template.
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
    """Four digits, as in the table of `python -m pipelines run`."""
    return "–" if value is None else f"{value:.4f}"


def _count(value: int) -> str:
    return f"{value:,}"


def _range(ends: Sequence[float]) -> str:
    return " to ".join(map(_score, ends))
