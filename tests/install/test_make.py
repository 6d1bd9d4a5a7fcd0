"""The Makefile and .ci/run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}


def make(*arguments: str) -> str:
    return subprocess.check_output(["make", "-C", ROOT, *arguments], env=PLAIN, text=True)


def test_help_is_the_default_and_lists_every_target():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets.remove("environment")
    listed = re.findall(r"^([a-z-]+) +\S.*$", make("--no-print-directory"), re.MULTILINE)
    assert listed == targets


def test_environment_may_stand_elsewhere():
    commands = make("--dry-run", "run", "VENV=/kept/venv")
    assert "/kept/venv/bin/python -m pipelines run --params samples/params.yaml --dirty" in commands
    assert ".venv" not in commands


@pytest.mark.parametrize(("status", "line"), [(0, "1 passed in 0.01s"), (1, "1 failed in 0.01s")])
def test_ci_run_ends_with_pytest_closing_line(tmp_path: Path, status: int, line: str):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    recipe = f'@test "$$CI" = true && echo "=== {line} ===" && exit {status}'
    (tmp_path / "Makefile").write_text(f"test:\n\t{recipe}\n")
    result = subprocess.run(
        ["bash", tmp_path / ".ci/run"], env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.stdout.decode().splitlines()[-1] == f"=== {line} ==="
    assert (result.returncode == 0) == (status == 0)
