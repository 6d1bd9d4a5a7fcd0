"""The command line, as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.tracking import connection, unfinished
from pipelines.workspaces import run_state, workspace
from tests.pipelines.logged import runs
from tests.pipelines.standin import ROOT, SLOW, clean_environment, git, pipelines
from tests.pipelines.workspaces.test_process_group import gone, wait_for


def test_run_leaves_the_users_tree_and_home_alone(ran) -> None:
    project, _ = ran
    assert git(project, "status", "--porcelain") == ""
    made = {path.name for path in project.iterdir()} - set(git(project, "ls-files").split())
    code = {"pipelines", "stages"}
    assert made == code | {".git", ".dvc", ".runs", ".checkpoints", "mlflow.db", "mlartifacts"}
    assert {path.name for path in (project / ".dvc").iterdir()} == {"config", ".gitignore", "cache"}


def test_a_run_with_nothing_to_do_starts_no_prefect_and_makes_one_workspace(
    ran, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(ran[0], tmp_path / "project", symlinks=True))
    shutil.rmtree(project / ".runs" / "prefect")
    before = sorted((project / ".runs").iterdir())
    code = (
        "import sys\n"
        "from pipelines.cli.app import main\n"
        "from pipelines.workspaces import workspace\n"
        "create, made = workspace.create, []\n"
        "def counted(*args, **options):\n"
        "    made.append(create(*args, **options))\n"
        "    return made[-1]\n"
        "workspace.create = counted\n"
        "print(main(['run', '--json']), len(made), 'prefect' in sys.modules)\n"
    )
    env = clean_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=env, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    answer = json.loads(lines[0])
    assert answer.pop("nothing_to_do").startswith("Nothing to do: "), done.stderr
    assert set(answer) == {"exit_code", "run_id", "model", "version", "already_logged"}
    assert (answer["exit_code"], answer["version"], lines[1:]) == (0, "1", ["0 1 False"])
    assert sorted((project / ".runs").iterdir()) == before


def test_predict_prints_a_line_of_json_a_text(ran) -> None:
    project, _ = ran
    done = pipelines(project, "predict", "他在北京，又回北京。", "", os.fsdecode(b"\xff"))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {"text": "北京", "type": "LOC", "score": 0.5}
    assert lines[0] == {
        "text": "他在北京，又回北京。",
        "entities": [{**found, "start": 2, "end": 4}, {**found, "start": 7, "end": 9}],
        "error": None,
        "provider": "CPUExecutionProvider",
    }
    assert lines[1] == lines[0] | {"text": "", "entities": []}
    assert lines[2]["error"].startswith("text has half of a surrogate pair at 0")
    said = ["Using version 1 of msra-ner, the challenger", "a library says something"]
    assert done.stderr.splitlines() == said


def test_the_model_runs_by_its_own_code_and_without_torch(ran, tmp_path: Path) -> None:
    project, _ = ran
    code = (
        "import sys, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/msra-ner@challenger')\n"
        "frame = pd.DataFrame({'text': ['北京', None, 3]})\n"
        "for rows in (frame, ['北京'], pd.Series(['北京']), [1]):\n"
        "    print([(len(r['entities']), r['error']) for r in model.predict(rows)])\n"
        "print({'torch', 'transformers', 'prefect', 'dvc', 'stages'} & set(sys.modules))\n"
    )
    env = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    del env["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[1:] == [
        "[(1, None), (0, 'text is null'), (0, 'text must be a string, it is a number')]",
        "[(1, None)]",
        "[(1, None)]",
        "[(0, 'text must be a string, it is a number')]",
        "set()",
    ], done.stderr


def test_predict_without_a_model_says_what_to_do(project: Path, command, monkeypatch) -> None:
    monkeypatch.chdir(project)
    code, _, err = command("predict", "北京")
    assert code == 1
    assert err.startswith("No version of msra-ner is registered. Register a version first: ")
    assert err.count("\n") == 1
    assert not (project / "mlflow.db").exists()


def test_a_folder_that_is_no_project_is_left_empty(tmp_path: Path) -> None:
    done = pipelines(tmp_path, "run")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"No project here: neither {tmp_path} nor a folder above it has ")
    assert list(tmp_path.iterdir()) == []


def test_after_a_run_gc_log_and_bring_are_one_command_each(
    ran, tmp_path: Path, command, monkeypatch
) -> None:
    project = Path(shutil.copytree(ran[0], tmp_path / "project", symlinks=True))
    monkeypatch.chdir(project)
    [made] = workspace.all_of(project)
    _, out, err = command("gc", "--dry-run")
    assert out == "0 objects of the DVC cache\nwould be deleted\n", err
    gone = json.loads(command("gc", "--dry-run", "--json")[1])
    assert (gone["exit_code"], gone["dry_run"], gone["cache_objects"]) == (0, True, 0)
    assert gone["workspaces"] == gone["mlflow_runs"] == []
    _, out, err = command("log", made.name)
    assert out.endswith(" in MLflow, version 1 of the model\n"), err
    _, out, err = command("log", made.name, "--json")
    answer = json.loads(out)
    assert (answer["version"], answer["already_logged"], len(answer["run_id"])) == ("1", True, 32)
    with (project / "stage.py").open("a") as file:
        file.write("# edited\n")
    code, out, err = command("bring", "1")
    assert (code, out) == (1, "")
    assert err.startswith("The inputs of 1 differ from your tree: stage.py. ")
    code, out, err = command("bring", "1", "--json")
    answer = json.loads(out)
    assert (code, answer["exit_code"], err) == (1, 1, "")
    assert answer["error"].startswith("The inputs of 1 differ from your tree: stage.py. ")
    git(project, "checkout", "--quiet", "stage.py")
    answer = json.loads(command("bring", "1", "--json")[1])
    assert answer == {"exit_code": 0, "wrote": ["dvc.lock"], "not_cached": [], "remote": None}


@pytest.mark.slow  # eight seconds; a test above predicts without torch
def test_no_module_imports_torch(tmp_path: Path) -> None:
    paths = (ROOT / "pipelines").rglob("[!_]*.py")
    # The checks of doctor look at torch and ONNX Runtime, each in a process of its own.
    files = sorted(path.relative_to(ROOT) for path in paths if path.parent.name != "checks")
    modules = [".".join(file.with_suffix("").parts) for file in files]
    code = f"import sys, {', '.join(modules)}\n"
    code += "print({'torch', 'transformers', 'datasets', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr
    assert "pipelines.flows.train" in modules


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("run", "log", "bring", "gc", "predict")),
        (("log",), ("RUN", "What is logged already is not logged again")),
        (("bring",), ("RUN|VERSION", "--params", "dvc repro")),
        (("gc",), ("--dry-run", "delete the version first")),
        (("run",), ("--params FILE", "--dirty", "MLFLOW_TRACKING_URI")),
        (("predict",), ("TEXT", "--input FILE", "--output FILE", "--model URI", "@challenger")),
        (("doctor",), ("--params FILE", "--json", "1  the worst is a warning")),
        (
            ("setup",),
            ("--heartbeat-s N", "--notify FILE|env:NAME|off", "PREFECT_API_URL", "GPU slot"),
        ),
    ],
)
def test_help_is_quick_and_names_everything(tmp_path: Path, arguments, words) -> None:
    before_s = psutil.Process().cpu_times().children_user
    done = pipelines(tmp_path, *arguments, "--help")
    spent_s = psutil.Process().cpu_times().children_user - before_s
    assert done.returncode == 0
    assert all(word in done.stdout for word in words)
    assert spent_s < 0.5


def test_help_imports_no_framework(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pipelines.cli.app import COMMANDS, main\n"
        "for words in ([], *([each.function.__name__] for each in COMMANDS)):\n"
        "    assert main([*words, '--help']) == 0\n"
        "heavy = 'torch transformers mlflow prefect dvc pydantic numpy rich'.split()\n"
        "print(set(heavy) & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True
    )
    assert "COMMAND" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


@pytest.mark.parametrize(
    ("way", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
@pytest.mark.slow  # ten seconds each; the same of a stage is in test_stages_ends.py
def test_however_a_run_is_ended_nothing_of_it_is_left(
    project: Path, prefect_url: str, empty_mlflow: Path, way: signal.Signals, code: int
) -> None:
    (project / "stage.py").write_text(SLOW + "time.sleep(600)\n")
    shutil.copy(empty_mlflow, project)
    # Its own Prefect server where nothing but the closed pipe can end that.
    url = {} if way is signal.SIGKILL else {"PREFECT_API_URL": prefect_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", "--dirty"],
        cwd=project,
        env={**clean_environment(), "PYTHONPATH": str(ROOT), **url},
        stderr=subprocess.PIPE,
        text=True,
    )
    started = ".runs/2*/pid"
    wait_for(lambda: [p for p in project.glob(started) if p.read_text()], "the stage starts", 90)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(way)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert len(below) >= (5 if way is signal.SIGKILL else 3)
    for left in below:
        wait_for(lambda left=left: gone(left.pid), f"{left} ends")
    assert "Traceback" not in said
    [made] = workspace.all_of(project)
    if way is signal.SIGKILL:
        assert run_state.word(made) == "running"
        [killed] = runs(connection.connect(project))
        assert killed.info.status == "RUNNING"
        unfinished.sweep(project)
    assert run_state.word(made) == ("failed" if way is signal.SIGKILL else "cancelled")
    assert not list((made / ".dvc" / "tmp").glob("*lock*"))
    [killed] = runs(connection.connect(project))
    assert (killed.info.status, killed.data.tags["stage"]) == ("KILLED", "download")
    assert "Stage 1/5" in killed.data.tags["mlflow.note.content"]
