"""What a run prints before anything starts, and at its end."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.errors import Exit
from pipelines.flows.local_server import answers
from pipelines.workspaces import process_group, runtime
from tests.pipelines import standin
from tests.pipelines.standin import ROOT, clean_environment
from tests.pipelines.workspaces.test_process_group import wait_for


def test_run_ends_with_scores_what_was_registered_and_what_to_do_next(ran) -> None:
    _, done = ran
    assert done.returncode == 0, done.stderr
    for row in ("all types", "PER", "ORG", "LOC"):
        assert f"│ {row:9} │    0.5000 │ 1.0000 │ 0.6250 │       4 │" in done.stdout
    assert "Registered msra-ner version 1, alias challenger\n" in done.stdout
    assert "train: at work" in done.stderr
    assert re.search(r"Flow run '(\S+)' - Workspace \S+/\.runs/\1, commit ", done.stderr)
    assert "Stages run in this Python environment (NER_RUNTIME is local)\n" in done.stderr
    assert "Stage 3/5: train\n" in done.stderr
    assert re.search(r"Finished in state Completed\('Stage 3/5 took \d+\.\d s'\)", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_run_on_its_own_server_sends_no_heartbeats(ran) -> None:
    """Prefect would wait for the end of the thread that sends them, up to a second."""
    with closing(sqlite3.connect(ran[0] / ".runs" / "prefect" / "prefect.db")) as database:
        events = {event for (event,) in database.execute("select event from events")}
    assert "prefect.flow-run.Running" in events
    assert not [event for event in events if "heartbeat" in event]


@pytest.mark.slow  # MLflow's server starts in 10 s, and the gates of promote take 10
@pytest.mark.timeout(900)
def test_every_command_that_a_run_prints_runs(ran, tmp_path: Path) -> None:
    project = Path(shutil.copytree(ran[0], tmp_path / "project", symlinks=True))
    report, *commands = re.findall(r"^  (\S.*)$", ran[1].stdout, re.MULTILINE)
    assert Path(report.removeprefix("file://")).is_file()
    ui, predict, promote, *gpu = commands
    assert len(gpu) == runtime.has_gpu()
    # `python` is the one that ran; the port is MLflow's default, which may be taken here.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    port = str(standin.closed_port())
    env = clean_environment() | {"PATH": path, "MLFLOW_PORT": port, "MLFLOW_WORKERS": "1"}

    def call(command: str) -> "subprocess.CompletedProcess[str]":
        words = ["sh", "-c", command]
        return subprocess.run(words, cwd=project, env=env, capture_output=True, text=True)

    server = process_group.start(["sh", "-c", ui], project, env)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), "MLflow", 120)
    finally:
        server.communicate()
    done = call(predict)
    assert (done.returncode, json.loads(done.stdout)["provider"]) == (0, "CPUExecutionProvider")
    done = call(promote)
    assert (done.returncode, done.stderr.count("Traceback")) == (Exit.GATES, 0), done.stderr


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (None, "{}: No such file or directory\n"),
        ("train: {epochs: [3", "{} is not YAML: while parsing a flow sequence"),
        ("train: {epoch: 3}", "params.yaml with {}: {} line 1: train.epoch: "),
        (
            "train: {device: cuda}",
            "This machine has no NVIDIA driver, and params.yaml has train.de",
        ),
        (
            "download: {train: {sources: [gone.txt]}}",
            "Sources cannot be reached:\n  download.train: gone.txt: {project}/gone.txt does not",
        ),
        (
            "run: {free_disk_gb: 1000000}",
            r"\d.* are free in {project} and a run needs 1000000.0 GB",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    project: Path, tmp_path: Path, overlay: str | None, message: str
) -> None:
    if overlay and "cuda" in overlay and runtime.has_gpu():
        pytest.skip("this machine has a GPU")
    file = tmp_path / "own.yaml"
    if overlay:
        file.write_text(overlay)
    code = "import sys\nfrom pipelines.cli.app import main\n"
    code += f"code = main(['run', '--params', {str(file)!r}])\n"
    code += "print(code, sorted({'mlflow', 'prefect', 'torch'} & sys.modules.keys()))\n"
    env = clean_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=env, capture_output=True, text=True
    )
    assert done.stdout == "1 []\n"
    pattern = message.replace("{project}", str(project)).replace("{}", str(file))
    assert re.match(pattern, done.stderr), done.stderr
    assert not {".runs", "mlflow.db"} & {path.name for path in project.iterdir()}
