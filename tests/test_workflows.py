"""What code hosts and editors read calls what the project has, and is valid."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"]
)
def test_the_workflow_is_valid_and_runs_what_ci_runs(schema: str) -> None:
    file = ROOT / ".github/workflows/test.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    job = yaml.safe_load(file.read_text())["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_a_commit_is_checked_by_what_make_lint_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [repository] = config["repos"]
    lint = re.search(r"^lint:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    tools = {words.split()[0].removeprefix("$(VENV)/bin/") for words in lint.split(" && ")}
    hooks = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in repository["hooks"]}
    assert hooks == tools == {"ruff", "mypy", "lint-imports"}


def test_the_devcontainer_is_the_interactive_image() -> None:
    folder = ROOT / ".devcontainer"
    text = re.sub(r"^//.*\n", "", (folder / "devcontainer.json").read_text(), flags=re.M)
    container = json.loads(text)
    script = (ROOT / container["initializeCommand"]).read_text()
    assert f'tag "$image" {container["image"]}\n' in script
    assert "docker/name interactive" in script
