"""The DVC cache: what killed commands of DVC left incomplete."""

from pathlib import Path

import pytest
from dvc.lock import make_lock

from pipelines.dvc_repo import cache
from pipelines.workspaces import run_state, workspace
from tests.pipelines import standin

HALF = (
    "files/md5/.FO2qXXjq4GuKfwDP4jxTZw.tmp",
    "files/md5/ab/.9u2bAqPzPjyyzeV-mkEj6w.tmp",
    "runs/ab/abcd/.0c3NQyB2m1b3lSpKlVbUqQ.tmp",
)
WHOLE = ("files/md5/ab/cdef", "files/md5/ab/cdef.dir", "runs/ab/abcd/ef.tmp")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = standin.project(tmp_path / "project")
    for name in (*HALF, *WHOLE):
        path = made / ".dvc/cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


def there(project: Path) -> set[str]:
    folder = project / ".dvc/cache"
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_what_is_half_written_goes(project: Path) -> None:
    cache.sweep(project)
    assert there(project) == set(WHOLE)


def test_not_while_a_run_is_going(project: Path) -> None:
    run = project / ".runs" / "a-run"
    run.mkdir(parents=True)
    (run / workspace.RECORD).write_text("{}")
    with run_state.running(run):
        cache.sweep(project)
        assert there(project) == {*HALF, *WHOLE}
    cache.sweep(project)
    assert there(project) == set(WHOLE)


def test_not_while_dvc_is_at_work(project: Path) -> None:
    (project / ".dvc/tmp").mkdir(exist_ok=True)
    with make_lock(str(project / ".dvc/tmp/lock")):
        cache.sweep(project)
    assert there(project) == {*HALF, *WHOLE}


def test_not_outside_of_the_project(project: Path) -> None:
    outside = project.with_name("shared")
    (project / ".dvc/cache").rename(outside)
    (project / ".dvc/config.local").write_text(f"[cache]\n    dir = {outside}\n")
    cache.sweep(project)
    assert (outside / HALF[0]).exists()
