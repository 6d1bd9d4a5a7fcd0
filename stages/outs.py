"""An out is written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(*outs: Path) -> Iterator[list[Path]]:
    """Yields a temporary path beside each of `outs`; they take the outs' places on success.

    The body makes a file or a folder of each. If it raises, or is interrupted, the temporary paths
    are removed and what stood at the outs stays as it was. What a killed run left is removed first.
    """
    partial = [out.with_name(f".{out.name}.partial") for out in outs]
    for path in partial:
        _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        for path, out in zip(partial, outs, strict=True):
            _remove(out) if out.is_dir() else None  # rename(2) replaces a file, not a full folder
            os.replace(path, out)  # noqa: PTH105
    finally:
        for path in partial:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
