"""Puts the name of the registered model into its card, which `export` writes without it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

FILE = "README.md"
# Where a card has the name: the hub's metadata, the title, and the address to load it from. Cards
# of older commits have `msra-ner` there.
PLACES = (
    re.compile(r"(?m)(?<=^model-index:\n- name: ).*$"),
    re.compile(r"(?m)(?<=^# ).*$"),
    re.compile(r"(?<=models:/)[^/@\s]+(?=@)"),
)


def named(text: str, model: str) -> str:
    """The card `text` as that of the registered model `model`."""
    for place in PLACES:
        text = place.sub(model, text, count=1)
    return text


@contextmanager
def named_copy(folder: Path, model: str) -> Iterator[Path]:
    """A copy of the exported model with the name in its card.

    The copy has no links out of it, which MLflow refuses, as DVC makes with cache.type symlink. The
    large files are hard links, where the disk allows that.
    """
    with TemporaryDirectory(dir=folder.parent) as beside:
        copy = Path(shutil.copytree(folder, Path(beside, folder.name), copy_function=_link))
        card = copy / FILE
        if card.is_file():
            text = card.read_text(encoding="utf-8")
            card.unlink()  # it may be a link to DVC's cache
            card.write_text(named(text, model), encoding="utf-8")
        yield copy


def _link(file: str, copy: str) -> None:
    try:
        os.link(os.path.realpath(file), copy)
    except OSError:
        shutil.copy2(file, copy)
