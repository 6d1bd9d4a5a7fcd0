"""Pulls from the DVC remote what other machines' runs of a workspace's stages left there.

`python -m pipelines.dvc_repo.pulling`, in the workspace: a process of its own, as it needs the keys
of the remote, which no stage may see, and can be stopped. `dvc repro --pull` would run the stages
with those keys.
"""

import sys
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.dependency.base import DependencyDoesNotExistError
from dvc.stage.cache import RunCacheNotFoundError, RunCacheNotSupported

from pipelines.dvc_repo import cache
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError


def pull(workspace: Path) -> None:
    """Brings the outs of each stage of which the remote knows a run with the same inputs.

    They are checked out, for they are the inputs of the next stage.

    Raises:
        PipelineError: if a path in the remote leaves its folder.
        Exception: if the remote does not answer, or lacks an out that it lists.
    """
    with dvc_stages.opened(workspace) as repo, repo.lock:
        try:
            _pull_runs(repo)
        except RunCacheNotSupported:  # by a remote of HTTP
            return
        pull_objects = repo.cloud.pull

        def pull_within(*arguments: Any, **options: Any) -> Any:
            pulled = pull_objects(*arguments, **options)
            cache.require_within(workspace)  # before DVC writes them to the workspace
            return pulled

        repo.cloud.pull = pull_within
        for stage in dvc_stages.in_order(repo):
            try:
                repo.stage_cache.restore(stage, pull=True)
            # It is to run. Its outs are then another stage's missing inputs, for which DVC has an
            # error if they are files, and none of its own if they are folders.
            except (RunCacheNotFoundError, DependencyDoesNotExistError, FileNotFoundError):
                continue


def _pull_runs(repo: Any) -> None:
    """Copies the entries of the run cache that are not here yet; DVC itself copies all."""
    remote = repo.cloud.get_remote_odb(None, "fetch --run-cache", hash_name="md5-dos2unix")
    runs = remote.fs.join(remote.path, "runs")
    names = remote.fs.find(runs) if remote.fs.exists(runs) else ()
    if outside := [name for name in names if ".." in PurePosixPath(name).parts]:
        raise PipelineError(
            f"the remote has {outside[0]}, outside its folder: it was tampered with"
        )
    repo.stage_cache.transfer(remote, repo.cache.legacy, force=False)


if __name__ == "__main__":
    try:
        pull(Path.cwd())
    except Exception as error:  # the client of each kind of remote has its own
        sys.exit(f"ERROR: {' '.join(str(error).split())}")
