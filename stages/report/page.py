"""Fills in an HTML page that is one file and loads nothing else."""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.report import digits
from stages.report.digits import Interval
from stages.report.plots import score_axis

HERE = Path(__file__).parent
SCRIPT = Markup((HERE / "sentences.js").read_text(encoding="utf-8"))  # noqa: S704  our own file
RUN = re.compile(r"<div data-run>.*?</div>")  # the row of report.html for what a stage cannot know


def page(template: Path, values: Mapping[str, Any], interval: Interval | None) -> str:
    """Fills in `template`, which extends shell.html and may import macros.html.

    All of `values` is escaped. The page loads nothing and runs no script but sentences.js, by which
    a `<form data-filters="ID">` filters, sorts and pages the items of the list ID.

    Args:
        template: The file. Templates that it imports are looked for beside it, then here.
        values: By the names in the template.
        interval: Of the F1 over all types: how many digits scores without an interval get.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": lambda value, own=interval: digits.score(value, own),
        "ends": digits.ends,
        "signed": digits.signed,
        "signed_ends": digits.signed_ends,
        "known": digits.known,
        "count": lambda value: f"{value:,}",
        "words": lambda name: name.replace("_", " "),
        "axis": score_axis,
    }
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    environment.globals |= {"script": SCRIPT, "script_sha256": digest, "overall": interval}
    return environment.get_template(template.name).render(values) + "\n"


def with_run(text: str, facts: Mapping[str, str]) -> str:
    """The report `text` with a row of each fact about its run; a page without their place as it is.

    Only who runs the stages knows commit, date and version: see report.html.
    """
    rows = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*fact) for fact in facts.items()]
    return RUN.sub(lambda _: "\n".join(rows), text, count=1)
