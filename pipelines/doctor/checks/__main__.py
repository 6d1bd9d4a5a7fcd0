"""Runs one check: `python -m pipelines.doctor.checks NAME ASKED` prints a finding a line."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from typing import TextIO

from pipelines.doctor.checks.finding import Asked, Finding, Level, in_container

PACKAGES = {"pynvml": "nvidia-ml-py", "yaml": "pyyaml", "onnxruntime": "onnxruntime-gpu"}
OF_THE_STAGES = ("torch", "onnxruntime", "machine", "packages")
OF_A_RUN = ("dvc", "mlflow", "prefect")
LAST_LINE_CHARACTERS = 300


def main(name: str, asked: str) -> None:
    """Prints what the check `name` finds, as JSON; what libraries print goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for finding in _findings(name, Asked(**json.loads(asked))):
            _print(finding, out)


def _findings(name: str, asked: Asked) -> Iterator[Finding]:
    try:
        yield from import_module(f"pipelines.doctor.checks.{name}").check(asked)
    except ModuleNotFoundError as error:
        yield _missing(name, (error.name or str(error)).partition(".")[0])
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:LAST_LINE_CHARACTERS]
        yield Finding(name, Level.ERROR, said, "mend that, then ask again")


def _missing(name: str, module: str) -> Finding:
    package = PACKAGES.get(module, module)
    said = f"{package} is not installed here"
    if name in OF_THE_STAGES:
        return Finding(name, Level.ERROR, said, f"pip install -c constraints.txt {package}")
    if name in OF_A_RUN and in_container():
        return Finding(name, Level.OK, f"{said}, and the stages do without it")
    do = f"`make run` makes an environment with all, or pip install -c constraints.txt {package}"
    return Finding(name, Level.WARNING, said, do)


def _print(finding: Finding, out: TextIO) -> None:
    print(json.dumps(asdict(finding)), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
