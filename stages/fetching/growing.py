"""Copies what was taken of a growing source: labelled files by their hash, and a list of them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from stages.contract.errors import StageError
from stages.contract.hashing import sha256

GROWING = "growing"  # the folder below `inputs` and in the corpus, and the key in source.json
LIST = "files.json"


class Added(TypedDict):
    """A file of a growing source: its name there, and what it was when it was taken."""

    name: str
    bytes: int
    sha256: str


def file_of(added: Added) -> str:
    """Its name where it was taken to: two files of the same content are one."""
    return added["sha256"] + Path(added["name"]).suffix


def write_list(taken: Path, files: Sequence[Added]) -> None:
    """Writes the list of the files in the folder `taken`, by hash: a new name changes no order."""
    ordered = sorted(files, key=lambda added: added["sha256"])
    text = json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"
    (taken / LIST).write_text(text, encoding="utf-8")


def copy_growing(taken: Path, out: Path) -> dict[str, Any]:
    """Copies the files that `taken` lists to the new folder `out`.

    Returns:
        Their entry in source.json.

    Raises:
        StageError: there is no list, or a file is not the one that was taken.
    """
    try:
        files: list[Added] = json.loads((taken / LIST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StageError(
            f"{taken / LIST} is not here: `python -m pipelines check --write` takes there what"
            " stands in download.growing.source, as each `run` does in its workspace"
        ) from None
    out.mkdir()
    for added in files:
        name = file_of(added)
        if not (taken / name).is_file() or sha256(taken / name) != added["sha256"]:
            raise StageError(
                f"{taken / name} is gone or changed ({added['name']} of download.growing.source):"
                " take it again by `python -m pipelines check --write`"
            )
        shutil.copyfile(taken / name, out / name)
    return {GROWING: files}
