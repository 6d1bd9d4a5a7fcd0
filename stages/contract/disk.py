"""Tells that a disk is full, which each library says in its own way."""

import errno
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
WORDS = ("No space left", "quota exceeded", "os error 28", "disk is full")
LITTLE_BYTES = 1_000_000  # torch only says that writing failed


def full_disk(error: BaseException, folder: Path) -> str:
    """Says that the disk of `folder` is full, if that is why `error` was raised; else ""."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    said = getattr(error, "errno", None) in FULL or any(word in str(error) for word in WORDS)
    if not said and not (isinstance(error, RuntimeError) and free < LITTLE_BYTES):
        return ""
    return f"the disk of {folder.absolute()} is full ({free / 1e6:.1f} MB free); make room"
