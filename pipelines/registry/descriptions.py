"""Writes the descriptions that MLflow shows of a run, a version and the registered model.

Ours is the text above a comment that has its hash and that MLflow's pages do not show. So a text
that a person changed is known and left alone; what is written below the comment stays.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from pipelines.errors import without_password
from pipelines.names import OURS
from pipelines.registry import aliases, history, pages
from pipelines.registry.history import Event
from pipelines.registry.registry import Registry

MARKED = re.compile(rf"\A(.*?)\n\n<!-- {OURS} ([0-9a-f]{{12}}): [^>]* -->", re.DOTALL)
ADVICE = "what stands above is replaced unless you change it; write below"
CELL_END = re.compile(r"(?<!&emsp;) \|")
CHARACTERS = 4_800  # MLflow's column of a version takes 5,000
EVENTS = 10
WHY_CHARACTERS = 80


@contextmanager
def spared(what: str) -> Iterator[None]:
    """Prints an error and goes on: what is only looked at must lose no result.

    Any error, as the files of a run are of any commit.
    """
    try:
        yield
    except Exception as error:
        words = without_password(" ".join(str(error).split()))
        print(f"MLflow has no {what} ({type(error).__name__}: {words})", file=sys.stderr)


def describe_run(client: MlflowClient, run_id: str, text: str) -> None:
    """Writes the description of a run."""
    old = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE)
    if (new := renewed(old, text)) is not None:
        client.set_tag(run_id, MLFLOW_RUN_NOTE, new)


def describe_version(registry: Registry, number: str, text: str) -> None:
    """Writes the description of a version, and that of the model, which shows a version's card."""
    new = renewed(registry.client.get_model_version(registry.model, number).description, text)
    if new is not None:
        registry.client.update_model_version(registry.model, number, new)
    describe_model(registry)


def describe_model(registry: Registry) -> None:
    """Writes the history of champions and the card of the champion, or of the challenger."""
    champion = aliases.by_alias(registry, aliases.CHAMPION)
    shown = champion or aliases.by_alias(registry, aliases.CHALLENGER)
    card = registry.client.get_model_version(registry.model, shown).description if shown else ""
    found = MARKED.search(card or "")
    parts = [
        f"Version {champion} is the champion." if champion else "There is no champion yet.",
        _champions(registry.model, history.events(registry)),
        f"## Version {shown}\n\n{found[1]}" if found else "",
    ]
    old = registry.client.get_registered_model(registry.model).description
    new = renewed(old, "\n\n".join(filter(None, parts)))
    if new is not None:
        registry.client.update_registered_model(registry.model, new)


def renewed(old: str | None, text: str) -> str | None:
    """`old` with ours replaced by `text`; None if a person changed it."""
    # MLflow's tables have no space between columns.
    text = re.sub(r"^\|(?!-).*", lambda row: CELL_END.sub("&emsp; |", row[0]), text, flags=re.M)
    if len(text) > CHARACTERS:
        text = text[:CHARACTERS].rpartition("\n")[0] + "\n\n…"
    block = f"{text}\n\n<!-- {OURS} {_hash(text)}: {ADVICE} -->"
    if not (old or "").strip():
        return block
    found = MARKED.search(old or "")
    if found is None or _hash(found[1]) != found[2]:
        return None
    return block + found.string[found.end() :]


def _hash(text: str) -> str:
    words = " ".join(text.split())  # an editor may change the ends of lines
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def _champions(model: str, events: list[Event]) -> str:
    if not events:
        return ""
    rows = [
        f"| {datetime.fromisoformat(e.when):%Y-%m-%d %H:%M} | {e.action}{', forced' * e.forced} |"
        f" {_link(model, e.before)} | {_link(model, e.version)} |"
        f" {_score(e.f1_before)} | {_score(e.f1)} | {_cell(e.who)} | {_cell(e.why)} |"
        for e in reversed(events[-EVENTS:])
    ]
    head = ["When (UTC)", "What", "From", "To", "F1 from", "F1 to", "Who", "Why"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]
    return "\n".join(["## Champions", "", *lines])


def _link(model: str, version: str | None) -> str:
    return f"[{version}]({pages.version(model, version)})" if version else "none"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _cell(text: str) -> str:
    words = " ".join(text.split())
    short = words if len(words) <= WHY_CHARACTERS else f"{words[:WHY_CHARACTERS]}…"
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", short)
