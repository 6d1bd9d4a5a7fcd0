"""Commands on a terminal that is not UTF-8, with names of files that are."""

from pathlib import Path

import pytest

from tests.pipelines.standin import pipelines

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}  # as in cron, and Python may not help itself


@pytest.mark.parametrize("env", [ASCII, {"PYTHONIOENCODING": "ascii"}], ids=["locale", "output"])
def test_a_name_that_the_terminal_cannot_show(project: Path, env: dict[str, str]) -> None:
    (project / "叠加.yaml").write_text("run: {keep_workspaces: 4}")
    done = pipelines(project, "run", "--params", "叠加.yaml", **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Uncommitted changes in \\u53e0\\u52a0.yaml: commit them, or run them as they are with"
        " --dirty\n"
    )
