"""One hash of all inputs of a workspace that no stage makes."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.dvc_repo import stages as dvc_stages


def of(workspace: Path) -> str:
    """SHA-256 of each stage's command, parameters, input files and out paths, as DVC reads them.

    Two workspaces with the same hash get the same dvc.lock, if unpinned sources are the same. The
    hash is the same before and after the stages run.

    Raises:
        PipelineError: if dvc.yaml is not valid, or a file or parameter is missing.
    """
    with dvc_stages.opened(workspace) as repo:
        outs = [Path(out.fs_path) for out in repo.index.outs]
        stages = {
            dvc_stages.name_of(stage): {
                "cmd": stage.cmd,
                "takes": sorted(_inputs(workspace, stage, outs)),
                "makes": sorted(os.path.relpath(out.fs_path, workspace) for out in stage.outs),
            }
            for stage in repo.index.stages
        }
    return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()


def _inputs(workspace: Path, stage: Any, outs: list[Path]) -> Iterator[tuple[str, str]]:
    for dep in stage.deps:
        path = Path(dep.fs_path)
        if not any(path.is_relative_to(out) for out in outs):
            # Parameters are a dependency too; their "hash" is their values.
            found = json.dumps(dep.get_hash().value, sort_keys=True, default=str)
            yield os.path.relpath(path, workspace), found
