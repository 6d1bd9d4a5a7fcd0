"""Writes outs whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.contract.disk import full_disk
from stages.contract.errors import StageError


@contextmanager
def whole(*outs: Path) -> Iterator[list[Path]]:
    """Yields a temporary path beside each of `outs`; on success these replace the outs.

    The body writes a file or a folder to each. If it raises or is interrupted, the temporary paths
    are removed and the outs stay as they were: all are replaced or none. What a killed run left
    behind is removed first.

    Raises:
        FileNotFoundError: the body did not write one of them.
        StageError: the disk is full.
    """
    partial = [out.with_name(f".{out.name}.partial") for out in outs]
    former = [out.with_name(f".{out.name}.former") for out in outs]
    for path in [*partial, *former]:
        _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        for path in partial:
            path.lstat()
        _replace(outs, partial, former)
    except Exception as error:
        if full := full_disk(error, partial[0].parent):  # before what fills it is removed
            raise StageError(f"{full}, and run again") from None
        raise
    finally:
        for path in [*partial, *former]:
            _remove(path)


def _replace(outs: tuple[Path, ...], partial: list[Path], former: list[Path]) -> None:
    try:
        for out, new, old in zip(outs, partial, former, strict=True):
            if os.path.lexists(out):
                os.replace(out, old)  # noqa: PTH105  rename(2) does not replace a folder with files
            os.replace(new, out)  # noqa: PTH105
    except BaseException:
        for out, new, old in zip(outs, partial, former, strict=True):
            if not os.path.lexists(new):
                _remove(out)
            if os.path.lexists(old):
                os.replace(old, out)  # noqa: PTH105
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
