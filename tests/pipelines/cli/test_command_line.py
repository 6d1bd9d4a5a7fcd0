"""The command line itself: what it does not understand, its help and examples, version, JSON."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest
import typer

from pipelines.cli.app import COMMANDS, make_app
from tests.pipelines.standin import ROOT, clean_environment, git, pipelines

SEE = "See `python -m pipelines {}--help`.\n"
MISTYPED = [
    (["promot"], "No such command 'promot'. Did you mean 'promote'? ", ""),
    (["gc", "--dry-rum"], "No such option: --dry-rum. Did you mean --dry-run? ", "gc "),
    (["gc", "--dry"], "No such option: --dry. Did you mean --dry-run? ", "gc "),
    (["gc", "--fast"], "No such option: --fast. ", "gc "),
    (["predict", "-x"], "No such option: -x. ", "predict "),
    (["log"], "Missing argument 'RUN'. ", "log "),
    (["gc", "old"], "Got unexpected extra argument(s) (old). ", "gc "),
    (["run", "--params"], "Option '--params' requires an argument. ", ""),
    (["run", "--params", "--dirty"], "Invalid value: --dirty is an option, not a file", "run "),
    (
        ["setup", "--heartbeat-s", "x"],
        "Invalid value for '--heartbeat-s': Input should be",
        "setup ",
    ),
    (
        ["promote", "--force", "--dry-run"],
        "Invalid value for --force: not allowed with",
        "promote ",
    ),
]


@pytest.mark.parametrize(("words", "said", "place"), MISTYPED, ids=lambda value: str(value)[:20])
def test_what_it_does_not_understand_is_one_line_with_a_suggestion(
    command, words: list[str], said: str, place: str
) -> None:
    code, out, err = command(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(said)
    assert err.endswith(SEE.format(place))
    code, out, err = command(words[0], "--json", *words[1:])
    assert (code, json.loads(out), err) == (2, {"exit_code": 2, "error": ANY}, "")


def test_without_a_command_it_shows_them(command) -> None:
    code, out, err = command()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: python -m pipelines [OPTIONS] COMMAND ...\n")
    listed = re.findall(r"^  (\w+)  +\w.*[^.]\.$", err.partition("Commands:")[2], re.M)
    assert listed == [each.function.__name__ for each in COMMANDS]


@pytest.mark.parametrize("name", [each.function.__name__ for each in COMMANDS])
def test_the_examples_of_the_help_are_understood(command, name: str) -> None:
    code, out, _ = command(name, "-h")
    examples = re.findall(r"^ +python -m pipelines (.+)$", out.partition("Examples:")[2], re.M)
    assert code == 0
    assert examples
    program = typer.main.get_command(make_app())
    with program.make_context("pipelines", ["status"]) as context:
        for example in examples:
            named, found, words = program.resolve_command(context, shlex.split(example))
            assert named == name
            found.make_context(named, words, parent=context)
    in_tree = [word for each in examples for word in each.split() if word.startswith("samples/")]
    assert all((ROOT / path).is_file() for path in in_tree)


def test_the_version_has_the_commit_of_this_code_if_there_is_one(tmp_path: Path) -> None:
    commit = git(ROOT, "rev-parse", "--short=7", "HEAD").strip()
    assert pipelines(tmp_path, "--version").stdout == f"msra-ner 0.1.0 (commit {commit})\n"
    folder = tmp_path / "unpacked"
    ignore = shutil.ignore_patterns("__pycache__")
    for part in ("pipelines", "stages/contract"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    env = clean_environment() | {"PYTHONPATH": ""}
    for surroundings in ("no repository", "another one's"):
        if surroundings == "another one's":
            git(tmp_path, "init", "--quiet")
            git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "Another one's")
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", "--version"],
            cwd=folder, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("msra-ner 0.1.0\n", "")


def test_without_the_environment_it_names_the_missing_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pipelines", "--help"],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert " has no package typer: use the environment's Python, .venv/bin/python; " in done.stderr
