"""What the process of a stage imports before it works."""

import subprocess
import sys

from tests.conftest import ROOT


def test_a_stage_imports_nothing_that_it_does_not_use():
    command = [sys.executable, "-X", "importtime", "-m", "stages.evaluate", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert {"torch", "transformers", "stages"} <= loaded
    assert not loaded & {"accelerate", "boto3", "datasets", "pandas", "scipy", "sklearn"}
