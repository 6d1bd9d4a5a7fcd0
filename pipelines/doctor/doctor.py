"""Whether this machine can do what params.yaml asks: each check in a process of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from pipelines.doctor.checks.finding import Asked, Cuda, Finding, Level


class Check(NamedTuple):
    """A module of pipelines.doctor.checks, its time limit, and what to do where that is over."""

    name: str
    limit_s: float
    late: str


HANGS = "the driver or a GPU hangs: see `nvidia-smi` and `dmesg`, then reboot"
# Side by side, but a row one after the other: NVML is not to see this command's own processes.
CHECKS = (
    (Check("gpu", 30, HANGS), Check("torch", 120, HANGS), Check("onnxruntime", 120, HANGS)),
    (Check("machine", 30, "a disk does not answer: see `df`"), Check("packages", 30, "ask again")),
    # Long enough for an import from a cold disk, and for MLflow's two tries.
    (Check("dvc", 30, "see whether the remote of `dvc remote list` can be reached from here"),),
    (Check("mlflow", 30, "see whether MLFLOW_TRACKING_URI can be reached from here"),),
    (Check("prefect", 30, "see whether PREFECT_API_URL can be reached from here"),),
)


def examine(project: Path, overlays: Sequence[Path] = ()) -> list[Finding]:
    """Looks at everything; a check that fails, crashes or hangs is an error among the others.

    Args:
        project: The folder that holds params.yaml; what it asks for is held against what is there.
        overlays: Merged over it in turn.
    """
    about, asked = _asked(project, overlays)
    return [about, *asyncio.run(_all(project, asked))]


def _asked(project: Path, overlays: Sequence[Path]) -> tuple[Finding, Asked]:
    try:
        from pipelines.workspaces.overlays import sections

        found = sections(project, overlays)
    except Exception as error:  # no pydantic, say: the rest can still be looked at
        said, do = " ".join(str(error).split()), "mend that; until then a GPU counts as welcome"
        return Finding("params.yaml", Level.ERROR, said, do), Asked()
    train, evaluate, export = (getattr(found.stages, n) for n in ("train", "evaluate", "export"))
    devices = {train.device, evaluate.device}
    cuda: Cuda = "unused" if devices == {"cpu"} else "welcome"
    if "cuda" in devices or export.require_cuda:
        cuda = "needed"
    said = (
        f"train on {train.device}, evaluate on {evaluate.device}, export"
        f" {'must' if export.require_cuda else 'need not'} run on CUDA"
    )
    return Finding("params.yaml", Level.OK, said), Asked(cuda, found.run.free_disk_gb)


async def _all(project: Path, asked: Asked) -> list[Finding]:
    rows = await asyncio.gather(*(_row(project, asked, row) for row in CHECKS))
    return [finding for row in rows for finding in row]


async def _row(project: Path, asked: Asked, row: Sequence[Check]) -> list[Finding]:
    return [finding for check in row for finding in await _findings(project, asked, check)]


async def _findings(project: Path, asked: Asked, check: Check) -> list[Finding]:
    command = [
        sys.executable,
        "-m",
        "pipelines.doctor.checks",
        check.name,
        json.dumps(asdict(asked)),
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
            said, do = f"no answer within {check.limit_s:g} s", check.late
        else:
            said, do = f"ended by {_end(code)}{_last_line(noise)}", "mend that, then ask again"
        return [*found, Finding(check.name, Level.ERROR, said, do)]


def _read(out: IO[bytes]) -> Iterator[Finding]:
    out.seek(0)
    for line in (line for line in out if line.endswith(b"\n")):  # else it was killed amid it
        values = json.loads(line)
        yield Finding(**{**values, "level": Level(values["level"])})


def _end(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _last_line(noise: IO[bytes]) -> str:
    noise.seek(0)
    lines = noise.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f" ({said[-1]})" if said else ""
