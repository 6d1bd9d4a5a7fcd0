"""Commands from a folder inside the project, from none, and by bin/msra-ner."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.workspaces import places
from tests.pipelines.cli.test_run_summary import shown
from tests.pipelines.registered import Registered
from tests.pipelines.standin import ROOT, clean_environment

LAUNCHER = ROOT / "bin" / "msra-ner"


@pytest.fixture
def below(made: Registered, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a project with a version, where the user stands."""
    folder = made.project / "data" / "texts"
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_command_is_the_same_from_below(made: Registered, below: Path, command) -> None:
    made.version("good")
    code, out, err = command("status", "--json")
    assert (code, json.loads(out)["challenger"]["version"]) == (0, "1"), err
    assert Path.cwd() == below
    code, _, err = command("promote", "--dry-run", "--params", "absent.yaml")
    assert (code, err) == (1, f"{below}/absent.yaml: No such file or directory\n")
    code, _, err = command("predict", "--input", "../absent.csv")
    assert (code, err) == (1, f"There is no file {below}/../absent.csv: correct --input\n")
    assert not list(below.iterdir())


def test_the_commands_that_are_printed_are_right_there(
    made: Registered, below: Path, capsys
) -> None:
    version = made.version("good")
    with places.in_project():
        assert Path.cwd() == made.project
        text = shown(made, version, capsys, places.given(Path("../a.yaml")))
    assert "promote --params ../a.yaml\n" in text
    assert "mlflow ui --backend-store-uri sqlite:///../../mlflow.db\n" in text
    assert places.shown("mlflow.db") == "mlflow.db"


def test_a_runs_own_copy_is_no_project(made: Registered, monkeypatch) -> None:
    copy = made.project / ".runs" / "20261124T120000Z-abcdef"
    (copy / "reports").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (copy / name).touch()
    monkeypatch.chdir(copy / "reports")
    with places.in_project():
        assert Path.cwd() == made.project


def test_outside_a_project_only_doctor_looks(tmp_path: Path, monkeypatch, command) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["run"], ["status"], ["predict", "北京"], ["gc"], ["setup"]):
        code, out, err = command(*words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"No project here: neither {tmp_path} nor a folder above it has dvc.")
        assert err.endswith(f": cd into a clone, such as {ROOT}\n")
    with pytest.raises(PipelineError), places.in_project():
        pass
    with places.in_project(anywhere=True):
        assert Path.cwd() == tmp_path
    assert not list(tmp_path.iterdir())


def launched(folder: Path, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    env = clean_environment() | {"VENV": str(Path(sys.executable).parents[1])} | env
    del env["PYTHONPATH"]
    return subprocess.run(
        [*map(str, words)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.slow  # so that all others end within eight minutes
def test_the_launcher_runs_this_code_from_any_folder(project: Path, tmp_path: Path) -> None:
    folder = project / "data"
    folder.mkdir(exist_ok=True)
    (folder / "git.py").write_text("raise SystemExit('the module of another folder')")
    link = tmp_path / "msra-ner"
    link.symlink_to(LAUNCHER)
    for way in (LAUNCHER, link, os.path.relpath(LAUNCHER, folder)):
        done = launched(folder, way, "status")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("No version of msra-ner is registered. ")
        assert "See `msra-ner gc --help`" in launched(folder, way, "gc", "--all").stderr
    absent = launched(folder, LAUNCHER, "status", VENV="/absent")
    assert absent.stderr == f"There is no /absent/bin/python: run make -C {ROOT} environment\n"


def test_bash_completes_the_launcher(tmp_path: Path) -> None:
    """What its --show-completion prints, as bash calls it."""
    show = f'eval "$({LAUNCHER} --show-completion; :)"'
    for line, found in (
        ("msra-ner ro", {"rollback"}),
        ("msra-ner gc --d", {"--dry-run"}),
        ("msra-ner log --", {"--json", "--help"}),
    ):
        words = line.split()
        ask = (
            f"{show}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
            f'_msra_ner_completion {LAUNCHER}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        )
        done = launched(tmp_path, "bash", "-c", ask)
        assert set(done.stdout.split()) == found, done.stderr


def test_python_m_offers_no_completion(command) -> None:
    assert "completion" not in command("--help")[1]
