"""Runs one check: `python -m pipelines.doctor.checks NAME REQUIREMENTS` prints its findings."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from typing import TextIO

from pipelines.doctor.checks.finding import Finding, Level, Requirements, in_container
from pipelines.errors import without_password

PACKAGES = {"pynvml": "nvidia-ml-py", "yaml": "pyyaml", "onnxruntime": "onnxruntime-gpu"}
OF_THE_STAGES = ("torch", "onnxruntime", "machine", "packages")
OF_A_RUN = ("dvc", "mlflow", "prefect")
LAST_LINE_CHARACTERS = 300


def main(name: str, required: str) -> None:
    """Prints the findings of the check `name` as JSON; output of libraries goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for finding in _findings(name, Requirements(**json.loads(required))):
            _print(finding, out)


def _findings(name: str, required: Requirements) -> Iterator[Finding]:
    try:
        yield from import_module(f"pipelines.doctor.checks.{name}").check(required)
    except ModuleNotFoundError as error:
        yield _missing(name, (error.name or str(error)).partition(".")[0])
    except Exception as error:
        words = without_password(f"{type(error).__name__}: {error}")
        message = " ".join(words.split())[:LAST_LINE_CHARACTERS]
        yield Finding(name, Level.ERROR, message, "fix this, then try again")


def _missing(name: str, module: str) -> Finding:
    package = PACKAGES.get(module, module)
    message = f"{package} is not installed here"
    if name in OF_THE_STAGES:
        return Finding(name, Level.ERROR, message, f"pip install -c constraints.txt {package}")
    if name in OF_A_RUN and in_container():
        return Finding(name, Level.OK, f"{message}, and the stages do not need it")
    remedy = f"`make run` installs all packages; or pip install -c constraints.txt {package}"
    return Finding(name, Level.WARNING, message, remedy)


def _print(finding: Finding, out: TextIO) -> None:
    print(json.dumps(asdict(finding)), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
