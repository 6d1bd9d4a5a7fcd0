"""Finds the corpus files and the encoder of params.yaml on this machine; uses no network."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.corpus_check.local_sources import difference, local
from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.section import expanded, place
from stages.corpus.formats.lines import CONVERT
from stages.corpus.origins import named, split_file
from stages.fetching.encoder import check_parts, taken
from stages.params.download import Encoder, Source


@dataclass(frozen=True)
class Found:
    """The file of a split.

    Attributes:
        path: Where it lies.
        name: How the user calls it: the address in params.yaml.
        content: Its `bytes`, `git_blob` and `sha256`.
        expected: The same by params.yaml; None is not checked, an unpinned source checks nothing.
        place: File and line of the source in params.yaml or an overlay.
        difference: Why it is not the file that params.yaml expects; "" if it is.
    """

    path: Path
    name: str
    content: dict[str, Any]
    expected: dict[str, Any]
    place: str
    difference: str


def find(project: Path, split: str, source: Source, layers: Mapping[str, str]) -> Found | None:
    """The first file of a split's sources, or what an earlier `download` fetched of them.

    A file of plain text is the split `text.0` and so on, as in `Download.fetched`.

    None if it is on another machine, and no `data/` here or of a run in `.runs` has it.

    Raises:
        StageError: with file and line: all its sources are paths, and none is there.
    """
    where = place(layers, [*keys(split), "sources"])
    missing = []
    for address in source.sources:
        path = local(project, address)
        if path and path.is_file():
            return _found(path, address, split, source, layers)
        if path:
            why = f"a folder; {CONVERT}" if path.is_dir() else "not a file"
            missing.append(f"{address} is not there: {path.absolute()} is {why}")
        elif "://" not in address:
            try:
                expanded(address)
            except StageError as error:
                missing.append(str(error))
    if len(missing) == len(source.sources):  # an earlier copy might be of another file
        raise StageError(f"{where}: {'; '.join(missing)}")
    for corpus, known in _fetched(project):
        path = split_file(corpus, split)
        if _is(known.get(split), source) and path.is_file():
            return _found(path, str(path.relative_to(project)), split, source, layers)
    return None


@contextmanager
def encoder_folder(project: Path, encoder: Encoder) -> Iterator[Path | None]:
    """The folder of the encoder's files, checked; None if a hub has it and no run fetched it.

    Raises:
        StageError: its folder is not there, lacks a file, or its parts do not fit each other. An
            error in the body names the folder as params.yaml does.
    """
    if encoder.folder is None:
        origin = {"hub_id": encoder.hub_id, "revision": encoder.revision}
        known = [path for path, source in _fetched(project) if source["encoder"]["from"] == origin]
        yield known[0].with_name("encoder") if known else None
        return
    folder = project / expanded(encoder.folder)
    where = f"download.encoder.folder {encoder.folder}"
    if not folder.is_dir():
        raise StageError(f"{where}: {folder.absolute()} is not a folder")
    names = taken([path.name for path in folder.iterdir() if path.is_file()], encoder, where)
    with TemporaryDirectory() as made:
        for name in names:  # no others, as `download` takes them
            Path(made, name).symlink_to((folder / name).absolute())
        check_parts(Path(made), where)
        try:
            yield Path(made)
        except StageError as error:
            raise StageError(named(str(error), {made: encoder.folder})) from None


def keys(split: str) -> list[str | int]:
    """The keys of a split or of `text.0` in params.yaml, one below the other."""
    return ["download", *(int(key) if key.isdigit() else key for key in split.split("."))]


def _found(path: Path, name: str, split: str, source: Source, layers: Mapping[str, str]) -> Found:
    where = place(layers, keys(split))
    content = digests(path)
    expected = {key: getattr(source, key) for key in content}
    return Found(path, name, content, expected, where, difference(source, content, where))


def _fetched(project: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each corpus folder that `download` filled, and its source.json: the project's, then of runs.

    Its name is not asked: in an older run it is not `corpus`.
    """
    runs = sorted((project / ".runs").glob("[!.]*/data"), reverse=True)
    for data in [project / "data", *runs]:
        for file in sorted(data.glob("[!.]*/source.json")):
            try:
                yield file.parent, json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue


def _is(known: Mapping[str, Any] | None, source: Source) -> bool:
    """Whether what was fetched is what `source` expects; of an unpinned one nobody can say."""
    pins = {"git_blob": source.git_blob, "sha256": source.sha256}
    pins = {key: value for key, value in pins.items() if value}
    return known is not None and all(known.get(key) == value for key, value in pins.items())
