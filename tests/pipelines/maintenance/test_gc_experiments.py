"""`gc` and `dvc exp`: what an experiment needs is kept until the experiment is removed."""

from pathlib import Path

import pytest

from pipelines.dvc_repo import cache
from tests.pipelines import done, standin


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With one experiment that is done (0.25), and one queued on a dvc.lock of its own (0.75)."""
    project = standin.project(tmp_path / "project")
    done.call(
        project, "exp", "run", "--name", "finished", "--set-param", "train.learning_rate=0.25"
    )
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("0.25", "0.75"))
    done.repro(project)
    standin.git(project, "add", "dvc.lock")
    more = ("--set-param", "evaluate.errors=7")
    done.call(project, "exp", "run", "--queue", "--name", "waiting", *more)
    standin.git(project, "reset", "--quiet", "--hard")
    return project


def weights(project: Path) -> set[str]:
    files = (path for path in (project / ".dvc/cache/files").rglob("*") if path.is_file())
    return {path.read_text() for path in files} & {"0.25", "0.75"}


@pytest.mark.slow  # a dozen commands of DVC
def test_a_live_experiment_keeps_its_files_and_a_removed_one_does_not(project: Path) -> None:
    assert not (project / "dvc.lock").exists()
    assert cache.prune(project, [], dry_run=True) == 0
    cache.prune(project, [], dry_run=False)
    assert weights(project) == {"0.25", "0.75"}
    done.call(project, "exp", "remove", "finished")
    cache.prune(project, [], dry_run=False)
    assert weights(project) == {"0.75"}
    done.call(project, "exp", "remove", "--queue")
    cache.prune(project, [], dry_run=False)
    assert weights(project) == set()
