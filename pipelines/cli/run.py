"""The command `run`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Params
from pipelines.errors import NothingToDo, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.flows.prepare import Prepared, Request
    from pipelines.flows.train import Outcome


@command("run", "run --params samples/params.yaml --dirty")
def run(
    params: Params,
    dirty: Annotated[
        bool,
        typer.Option(
            "--dirty",
            help="Run the working tree as it is, with uncommitted changes, and record them as a"
            " diff.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Run although a finished run had the same source, code, parameters and image.",
        ),
    ] = False,
) -> Answer:
    """Runs all stages, logs to MLflow, registers the model.

    Runs the stages of dvc.yaml in a workspace below .runs, logs them to one MLflow run and
    registers the model. Stages whose outs DVC has are not run again. If a finished run had the same
    source, code, parameters and image, there is nothing to do. MLFLOW_TRACKING_URI and
    PREFECT_API_URL name servers to use; without them everything is kept beside the project
    (mlflow.db, mlartifacts, .runs).
    """
    folder = Path.cwd()
    _require_able(folder, params, dirty)
    server = server_at_once(folder) if force or _is_first(folder) else None
    from pipelines.flows.prepare import Request  # MLflow and DVC: 3 CPU seconds

    try:
        outcome = _train(folder, Request(params, dirty, force=force), server)
    except NothingToDo as nothing:
        said = str(nothing)
        fields = {**vars(nothing.logged), "nothing_to_do": said}
        return Answer(fields, lambda: print(f"{said}; --force runs anyway"))
    from pipelines.cli import run_summary

    return Answer(_fields(outcome), lambda: run_summary.show(outcome, folder, params))


def _fields(outcome: "Outcome") -> dict[str, Any]:
    return {
        **vars(outcome.logged),
        "nothing_to_do": None,
        "workspace": str(outcome.workspace),
        "seconds": outcome.seconds,
        "figures": outcome.figures,
        "warning": outcome.warning,
    }


def _require_able(folder: Path, layers: list[Path], dirty: bool) -> None:
    """Checks all that can be known before MLflow is imported and a server starts, in a second."""
    from pipelines.workspaces import disk, places, runtime, workspace

    places.require_writable(folder)
    params = workspace.require_runnable(folder, layers, dirty)
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return
    places.require(folder, places.MLFLOW)
    if not _is_first(folder):
        return  # there may be nothing to do, or nothing to fetch: asked when that is known
    from pipelines.corpus_check.reachable import require_reachable

    runtime.require_device(params, lambda: runtime.choose(folder))
    disk.require(folder, params.run.free_disk_gb)
    require_reachable(folder, params.stages.download)


def _is_first(folder: Path) -> bool:
    """Whether nothing was ever run here: neither logged nor cached."""
    from pipelines.workspaces import dvc_config

    logged = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlflow.db").exists()
    return not (logged or dvc_config.has_run_cache(folder))


def server_at_once(folder: Path) -> "Callable[[], None] | None":
    """Starts Prefect's server of the run, while MLflow is imported; None: the user has one."""
    from pipelines.flows import local_server

    return None if local_server.configured() else local_server.start(folder)


def _train(folder: Path, request: "Request", server: "Callable[[], None] | None") -> "Outcome":
    from pipelines.flows import local_server
    from pipelines.flows.prepare import prepare
    from pipelines.tracking import live
    from pipelines.tracking.connection import Need
    from pipelines.workspaces import merging

    if server is None and local_server.configured():
        # The flow prepares the run, so that this server records it.
        return _flow(folder, request, None, local_server.start(folder))
    # Without `server` before Prefect is imported and a server starts: both take 9 CPU seconds, for
    # nothing to do.
    model = merging.model_name(folder, request.params)
    project = live.check(folder, _warn, Need.LOG, model=model)
    with prepare(project, request) as prepared:
        return _flow(folder, request, prepared, server or local_server.start(folder))


def _warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _flow(
    folder: Path, request: "Request", prepared: "Prepared | None", server: "Callable[[], None]"
) -> "Outcome":
    import httpx

    from pipelines.flows import local_server
    from pipelines.flows.train import Outcome, run_flow

    server()
    try:
        state = run_flow(folder, request, prepared)
    except httpx.HTTPError as error:
        raise PipelineError(
            f"Prefect's server at {local_server.configured()} stopped answering during the run"
            f" ({error}): look whether it still runs, and run again; finished stages are cached"
        ) from None
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, NothingToDo):
        raise outcome
    if not isinstance(outcome, Outcome):
        raise PipelineError(str(state.message))
    return outcome
