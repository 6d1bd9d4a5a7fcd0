"""Checks corpus and encoder files on this machine against their hashes, before DVC's cache is used.

For DVC the stage `download` has not changed when such a file has, so the old data would train.
"""

from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.section import expanded
from stages.fetching.file import on_disk
from stages.params.download import UNPINNED, Download


def require_unchanged(folder: Path, params: Download) -> None:
    """Raises a PipelineError that names each file whose content is not what `params` expect.

    Args:
        folder: To which relative paths in `params` belong.
        params: The section `download`; its unpinned sources may change.
    """
    found = list(_changed(folder, params))
    if found:
        raise PipelineError(
            f"{'; '.join(found)}. If the change is meant, write the new values to params.yaml:"
            " DVC has the old content in its cache, and would train on that"
        )


def _changed(folder: Path, params: Download) -> Iterator[str]:
    for split, source in params.splits.items():
        expected = {"bytes": source.bytes, "git_blob": source.git_blob, "sha256": source.sha256}
        for address in source.sources:
            path = _local(folder, address)
            if path and path.is_file() and source.sha256 != UNPINNED:
                content = digests(path)
                for key, value in expected.items():
                    if value is not None and content[key] != value:
                        yield f"{path} has {key} {content[key]}, download.{split} expects {value}"
                        break
    if params.encoder.folder:
        encoder = _local(folder, params.encoder.folder)
        for name, value in params.encoder.sha256.items():
            if encoder and (encoder / name).is_file():
                now = digests(encoder / name)["sha256"]
                if now != value:
                    yield f"{encoder / name} has sha256 {now}, download.encoder expects {value}"


def _local(folder: Path, address: str) -> Path | None:
    """The path that an address names; None if it is of another machine or has an unset variable."""
    try:
        path = on_disk(expanded(address))
    except StageError:  # `download` reports it
        return None
    return None if path is None else folder / path
