"""Reads a dvc.lock, and compares two of them stage by stage."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml
from dvc.utils.serialize import load_yaml

from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError

Stage = dict[str, Any]


def stages(path: Path) -> dict[str, Stage]:
    """Name → stage in the dvc.lock at `path`."""
    # DVC's own reader: YAML 1.1 would read 5e-05 as a string.
    found: dict[str, Stage] = load_yaml(str(path)).get("stages") or {}
    return found


def sha256(path: Path) -> str:
    """SHA-256 of the content of a dvc.lock, independent of its formatting."""
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing: no stage has run") from None
    return hashlib.sha256(json.dumps(lock, sort_keys=True).encode()).hexdigest()


def difference(project: Path, was: Stage, now: Stage) -> str | None:
    """Describes the first difference of a stage, inputs before outs; None if there is none.

    Args:
        project: The project whose DVC cache has the file lists of folders.
        was: The recorded stage.
        now: The stage of the new run.
    """
    if was.get("cmd") != now.get("cmd"):
        return f"its command is {now.get('cmd')!r}, it was {was.get('cmd')!r}"
    if was.get("params") != now.get("params"):
        return f"its parameters are {now.get('params')}, they were {was.get('params')}"
    for kind, word in (("deps", "input"), ("outs", "out")):
        before, after = _hashes(was, kind), _hashes(now, kind)
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                return f"{word} {name}{_file(project, before.get(name), after.get(name))}"
    return None


def _hashes(stage: Stage, kind: str) -> dict[str, str | None]:
    return {entry["path"]: entry.get("md5") for entry in stage.get(kind) or ()}


def _file(project: Path, was: str | None, now: str | None) -> str:
    """The first file that differs in a folder, if the cache has both lists; else the hashes."""
    try:
        before, after = _listed(project, was), _listed(project, now)
    except PipelineError:
        before = after = {}
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            was, now = before.get(name), after.get(name)
            return f"/{name} has MD5 {now}, it had {was}"
    return f" has MD5 {now}, it had {was}"


def _listed(project: Path, md5: str | None) -> dict[str, str]:
    if not (md5 and md5.endswith(".dir")):
        return {}
    files = json.loads(cache.object_path(project, md5).read_text(encoding="utf-8"))
    return {file["relpath"]: file["md5"] for file in files}
