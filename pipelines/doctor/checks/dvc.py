"""Checks that the DVC remote answers, if one is set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.doctor.checks.finding import Finding, Level, Requirements
from pipelines.errors import without_password

REMEDY = (
    "start it, correct its settings (`dvc remote list`, `dvc remote modify --local`) or install"
    " what it requires; until then outs stay in the cache"
)


def check(required: Requirements) -> Iterator[Finding]:  # noqa: ARG001
    """Yields one finding; writes nothing."""
    from dvc.config import Config
    from dvc.fs import get_cloud_fs

    config = Config(str(Path.cwd() / ".dvc")).read()  # opening a Repo would write to .dvc
    name = config.get("core", {}).get("remote")
    if name is None:
        yield Finding(
            "dvc", Level.OK, "no remote is set: outs stay in the cache beside the project"
        )
        return
    url = config.get("remote", {}).get(name, {}).get("url", "no address")
    about = f"remote {name} ({without_password(url)})"
    try:
        kind, settings, path = get_cloud_fs(config, name=name)
        yield _found(about, kind(**settings), path)
    except Exception as error:  # each kind of remote raises its own
        words = without_password(f"{about} does not answer: {error or type(error).__name__}")
        message = " ".join(words.split())
        yield Finding("dvc", Level.ERROR, message, REMEDY)


def _found(about: str, fs: Any, path: str) -> Finding:
    if fs.exists(path):
        if fs.protocol == "local" and not os.access(path, os.W_OK):
            return Finding("dvc", Level.ERROR, f"{about} is not writable by this user", REMEDY)
        return Finding("dvc", Level.OK, f"{about} answers")
    if fs.protocol == "local" or fs.exists(path.partition("/")[0]):  # the bucket
        remedy = "normal before the first push; otherwise correct the address, or mount it"
        return Finding("dvc", Level.WARNING, f"{about} does not exist", remedy)
    return Finding("dvc", Level.ERROR, f"{about} does not exist, or refuses access", REMEDY)
