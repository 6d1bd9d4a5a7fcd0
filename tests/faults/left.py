"""What may not be left once a run was killed and another has completed."""

import fcntl
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

from pipelines.dvc_repo import lockfile
from pipelines.names import MODEL
from pipelines.registry import aliases, keys
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from pipelines.workspaces import run_state, workspace
from tests.pipelines.logged import runs, versions
from tests.pipelines.workspaces.test_process_group import wait_for

MARK = "NER_FAULTS_PROJECT"  # in the environment of each process that a test started


def nothing(project: Path, dvc_lock: str) -> None:
    """Fails unless the one result is there, whole and once, and nothing else.

    `dvc_lock` is the hash of what an undisturbed run leaves.
    """
    wait_for(lambda: not processes(project), lambda: processes(project))
    assert not [path.name for path in (project / ".runs").glob(".*.partial*")]
    for path in workspace.all_of(project):
        assert run_state.word(path) not in ("running", None), path
        assert not list((path / ".dvc" / "tmp").glob("*lock*"))
    for lock in (project / ".runs").glob("*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    complete = [path for path in workspace.all_of(project) if run_state.word(path) == "complete"]
    assert complete
    _hashes(project, complete[0], dvc_lock)
    _registered_once(project, dvc_lock)


def registered(project: Path, results: int) -> list[str]:
    """The versions; fails unless as many runs have one model and one version each, all whole."""
    client = connection.connect(project)
    found = {run.info.run_id: run for run in runs(client)}
    assert len(found) == results
    for run in found.values():
        assert (run.info.status, run.data.tags["log_complete"]) == ("FINISHED", "true")
    models = client.search_logged_models([run.info.experiment_id])
    assert sorted((str(m.status), m.source_run_id) for m in models) == [
        ("READY", run_id) for run_id in sorted(found)
    ]
    made = versions(client)
    assert {client.get_model_version(MODEL, v).run_id for v in made} == found.keys()
    assert len(made) == results
    return made


def processes(project: Path) -> list[str]:
    """What still runs of the commands that were started for `project`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(project):
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def _hashes(project: Path, path: Path, dvc_lock: str) -> None:
    """The outs are those of dvc.lock, and every object of the cache is what its name says."""
    assert lockfile.sha256(path / "dvc.lock") == dvc_lock
    stages = yaml.safe_load((path / "dvc.lock").read_text())["stages"].values()
    for out in (out for stage in stages for out in stage.get("outs", ())):
        found = path / out["path"]
        if found.is_dir():
            listed = _cache(project, out["md5"]).read_text()
            files = {file["relpath"]: file["md5"] for file in json.loads(listed)}
            assert files == {
                file.relative_to(found).as_posix(): _md5(file)
                for file in found.rglob("*")
                if file.is_file()
            }
        else:
            assert _md5(found) == out["md5"], found
    for file in (project / ".dvc/cache/files/md5").rglob("*"):
        assert file.is_dir() or f"{file.parent.name}{file.stem}" == _md5(file), file


def _registered_once(project: Path, dvc_lock: str) -> None:
    [version] = registered(project, 1)
    client = connection.connect(project)
    assert aliases.by_alias(Registry(client, MODEL), "challenger") == version
    assert keys.tags(client.get_model_version(MODEL, version))["dvc_lock"] == dvc_lock


def _cache(project: Path, md5: str) -> Path:
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
