"""The sweep of docs/experiments.md, by DVC's own queue."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.dvc_repo.stages import environment
from tests.pipelines import standin
from tests.pipelines.workspaces.test_process_group import wait_for


@pytest.mark.slow  # DVC starts a queue's worker, and itself a dozen times
@pytest.mark.timeout(600)
def test_train_alone_is_swept_and_the_chosen_one_applied(tmp_path: Path) -> None:
    project = standin.project(tmp_path / "project")

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(
            command, cwd=project, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("repro")
    standin.commit(project)
    dvc("exp", "run", "--queue", "-S", "train.learning_rate=0.25,0.5", "train")
    dvc("queue", "start")
    try:
        wait_for(
            lambda: dvc("queue", "status").count("Success") == 2, lambda: dvc("queue", "status")
        )
    finally:
        dvc("queue", "stop", "--kill")
    table = list(csv.DictReader(dvc("exp", "show", "--csv", "--only-changed").splitlines()))
    of = {
        row["train.learning_rate"]: row["Experiment"] for row in table if row["State"] == "Success"
    }
    assert of.keys() == {"0.25", "0.5"}
    assert (project / "models/ner/weights").read_text() not in of
    dvc("exp", "apply", of["0.5"])
    assert (project / "models/ner/weights").read_text() == "0.5"
    ran = [line for line in dvc("repro").splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'evaluate':", "Running stage 'export':"]
