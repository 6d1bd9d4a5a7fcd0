"""Checks that this machine can do what params.yaml requires, each check in its own process."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from pipelines.doctor.checks.finding import Cuda, Finding, Level, Requirements


class Check(NamedTuple):
    """A module of pipelines.doctor.checks, its time limit, and the remedy if it is exceeded."""

    name: str
    limit_s: float
    timeout_remedy: str


HANGS = "the driver or a GPU hangs: see `nvidia-smi` and `dmesg`, then reboot"
# Rows run in parallel, the checks of a row in sequence: NVML must not see this command's processes.
CHECKS = (
    (Check("gpu", 30, HANGS), Check("torch", 120, HANGS), Check("onnxruntime", 120, HANGS)),
    (Check("machine", 30, "a disk does not respond: see `df`"), Check("packages", 30, "try again")),
    (Check("network", 60, "check the proxies that HTTP_PROXY and the like name"),),
    # Enough time for an import from a cold disk, and for MLflow's two attempts.
    (Check("dvc", 30, "check that the remote of `dvc remote list` is reachable from here"),),
    (Check("mlflow", 30, "check that MLFLOW_TRACKING_URI is reachable from here"),),
    (Check("prefect", 30, "check that PREFECT_API_URL is reachable from here"),),
)


def diagnose(project: Path, overlays: Sequence[Path] = ()) -> list[Finding]:
    """Runs all checks; a check that crashes or hangs becomes a finding of level error.

    Args:
        project: The folder with params.yaml, which says what is required.
        overlays: Files merged over params.yaml in order.
    """
    finding, required = _requirements(project, overlays)
    return [finding, *asyncio.run(_all(project, required))]


def _requirements(project: Path, overlays: Sequence[Path]) -> tuple[Finding, Requirements]:
    try:
        from pipelines.workspaces.overlays import sections

        found = sections(project, overlays)
    except Exception as error:  # without pydantic, say, the other checks can still run
        message, remedy = (
            " ".join(str(error).split()),
            "fix this; until then a GPU counts as optional",
        )
        return Finding("params.yaml", Level.ERROR, message, remedy), Requirements()
    train, evaluate, export = (getattr(found.stages, n) for n in ("train", "evaluate", "export"))
    devices = {train.device, evaluate.device}
    cuda: Cuda = "unused" if devices == {"cpu"} else "welcome"
    if "cuda" in devices or export.require_cuda:
        cuda = "needed"
    message = (
        f"train on {train.device}, evaluate on {evaluate.device}, export"
        f" {'must' if export.require_cuda else 'need not'} run on CUDA"
    )
    return Finding("params.yaml", Level.OK, message), Requirements(cuda, found.run.free_disk_gb)


async def _all(project: Path, required: Requirements) -> list[Finding]:
    rows = await asyncio.gather(*(_row(project, required, row) for row in CHECKS))
    return [finding for row in rows for finding in row]


async def _row(project: Path, required: Requirements, row: Sequence[Check]) -> list[Finding]:
    return [finding for check in row for finding in await _findings(project, required, check)]


async def _findings(project: Path, required: Requirements, check: Check) -> list[Finding]:
    command = [
        sys.executable,
        "-m",
        "pipelines.doctor.checks",
        check.name,
        json.dumps(asdict(required)),
    ]
    with TemporaryFile() as out, TemporaryFile() as noise:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=project, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=noise
        )
        try:
            code = await asyncio.wait_for(process.wait(), check.limit_s)
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        found = list(_read(out))
        if code == 0:
            return found
        if code is None:
            message, remedy = f"no answer within {check.limit_s:g} s", check.timeout_remedy
        else:
            message, remedy = (
                f"ended by {_end(code)}{_last_line(noise)}",
                "fix this, then try again",
            )
        return [*found, Finding(check.name, Level.ERROR, message, remedy)]


def _read(out: IO[bytes]) -> Iterator[Finding]:
    out.seek(0)
    for line in (line for line in out if line.endswith(b"\n")):  # an incomplete line: it was killed
        values = json.loads(line)
        yield Finding(**{**values, "level": Level(values["level"])})


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _last_line(noise: IO[bytes]) -> str:
    noise.seek(0)
    lines = noise.read().decode("utf-8", "replace").split("\n")
    written = [line.strip() for line in lines if line.strip()]
    return f" ({written[-1]})" if written else ""
