"""Finds the file of a split, and names it as its owner does, for messages."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from stages.contract.errors import StageError

GROWING, UNPINNED = "growing", "unpinned"


def split_file(raw: Path, split: str) -> Path:
    """The file of a split in `raw`, whatever its ending; SPLIT.txt if none is there.

    Raises:
        StageError: there are several.
    """
    found = sorted(raw.glob(f"{split}.*"))
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise StageError(f"{raw} has {names}: delete all but that of download.{split}.sources")
    return found[0] if found else raw / f"{split}.txt"


def added_files(raw: Path) -> dict[Path, str]:
    """The files of a growing source in `raw` and their names there, ordered by their content."""
    source = raw / "source.json"
    known = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}
    return {
        raw / GROWING / (added["sha256"] + Path(added["name"]).suffix): added["name"]
        for added in known.get(GROWING, ())
    }


def origins(raw: Path, params: Path = Path("params.yaml")) -> dict[str, str]:
    """The file of a split → the file on this machine that `download` copied to it.

    For messages alone: the names are no input of `align` in dvc.yaml, so no out may have them. A
    file from another machine, or from one of several that may differ, keeps its name.
    """
    try:
        section = yaml.safe_load(params.read_text(encoding="utf-8"))["download"]
        plain = {f"text.{number}": one for number, one in enumerate(section.get("text") or ())}
        found = {split: _origin(source) for split, source in (section | plain).items()}
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return {}  # who reads params.yaml for its values reports it
    return {
        str(file): origin
        for split, origin in found.items()
        if origin and (file := split_file(raw, split)).is_file()
    }


def _origin(source: Any) -> str | None:
    """The first of its addresses that is a path: with a hash, all of them have the same content."""
    addresses = source.get("sources", ()) if isinstance(source, dict) else ()
    if len(addresses) > 1 and source.get("sha256") == UNPINNED:
        return None
    return next((a for a in addresses if "://" not in a or a.startswith("file:")), None)


@contextmanager
def names_of(names: Mapping[str, str]) -> Iterator[None]:
    """An error of the body names a file by `names`, see `named`."""
    try:
        yield
    except StageError as error:
        raise StageError(named(str(error), names)) from None


def named(text: str, names: Mapping[str, str]) -> str:
    """`text` with each key of `names` replaced by its value."""
    for name, other in names.items():
        text = text.replace(name, other)
    return text
