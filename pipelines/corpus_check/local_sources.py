"""Checks corpus and encoder files on this machine against their hashes, before DVC's cache is used.

For DVC the stage `download` has not changed when such a file has, so the old data would train.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.section import expanded
from stages.fetching.file import on_disk
from stages.params.download import UNPINNED, Download, Source


def require_unchanged(folder: Path, params: Download) -> None:
    """Raises a PipelineError that names each file whose content is not what `params` expect.

    Args:
        folder: To which relative paths in `params` belong.
        params: The section `download`; its unpinned sources may change.
    """
    found = [*_changed_sources(folder, params), *changed_encoder(folder, params)]
    if found:
        raise PipelineError(
            f"{'; '.join(found)}. If the change is meant, write the new values to params.yaml:"
            " DVC has the old content in its cache, and would train on that."
            " `check --write` writes those of corpus files into your overlay"
        )


def difference(source: Source, content: Mapping[str, Any], where: str) -> str:
    """`KEY FOUND, WHERE expects VALUE`, of the first that differs; "" if the content is right.

    Args:
        source: What is expected; an unpinned source expects nothing.
        content: `digests` of the file.
        where: Names where `source` is written.
    """
    if source.sha256 == UNPINNED:
        return ""
    for key in ("bytes", "git_blob", "sha256"):
        expected = getattr(source, key)
        if expected is not None and content[key] != expected:
            return f"{key} {content[key]}, {where} expects {expected}"
    return ""


def changed_encoder(folder: Path, params: Download) -> Iterator[str]:
    """A sentence for each file of a local encoder that has another SHA-256 than `params` expect."""
    if params.encoder.folder:
        encoder = local(folder, params.encoder.folder)
        for name, value in params.encoder.sha256.items():
            if encoder and (encoder / name).is_file():
                now = digests(encoder / name)["sha256"]
                if now != value:
                    yield f"{encoder / name} has sha256 {now}, download.encoder expects {value}"


def local(folder: Path, address: str) -> Path | None:
    """The path that an address names; None if it is of another machine or has an unset variable."""
    try:
        path = on_disk(expanded(address))
    except StageError:  # `download` reports it
        return None
    return None if path is None else folder / path


def _changed_sources(folder: Path, params: Download) -> Iterator[str]:
    for name, source in params.fetched.items():
        for address in source.sources if source.sha256 != UNPINNED else ():
            path = local(folder, address)
            if path and path.is_file():
                found = difference(source, digests(path), f"download.{name}")
                yield from [f"{path} has {found}"] * bool(found)
