"""Whether the DVC remote answers, where one is set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.doctor.checks.finding import Asked, Finding, Level

DO = (
    "start it, mend its settings (`dvc remote list`, `dvc remote modify --local`) or install what"
    " it requires; until then outs are in the cache alone"
)


def check(asked: Asked) -> Iterator[Finding]:  # noqa: ARG001
    """One finding; nothing is written, here or there."""
    from dvc.config import Config
    from dvc.fs import get_cloud_fs

    config = Config(str(Path.cwd() / ".dvc")).read()  # opening a Repo would write into .dvc
    name = config.get("core", {}).get("remote")
    if name is None:
        yield Finding(
            "dvc", Level.OK, "no remote is set: outs stay in the cache beside the project"
        )
        return
    url = config.get("remote", {}).get(name, {}).get("url", "no address")
    about = f"remote {name} ({url})"
    try:
        kind, settings, path = get_cloud_fs(config, name=name)
        yield _found(about, kind(**settings), path)
    except Exception as error:  # each kind of remote has its own
        said = " ".join(f"{about} does not answer: {error or type(error).__name__}".split())
        yield Finding("dvc", Level.ERROR, said, DO)


def _found(about: str, fs: Any, path: str) -> Finding:
    if fs.exists(path):
        if fs.protocol == "local" and not os.access(path, os.W_OK):
            return Finding("dvc", Level.ERROR, f"{about} cannot be written by this user", DO)
        return Finding("dvc", Level.OK, f"{about} answers")
    if fs.protocol == "local" or fs.exists(path.partition("/")[0]):  # the bucket
        do = "before the first push that is so; else see whether the address is right, or mount it"
        return Finding("dvc", Level.WARNING, f"{about} is not there", do)
    return Finding("dvc", Level.ERROR, f"{about} has no such place, or refuses", DO)
