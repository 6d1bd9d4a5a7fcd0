"""Prints the summary at the end of a run."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipelines.errors import without_password
from pipelines.flows import artifacts
from pipelines.names import LAUNCHED, Logged
from pipelines.registry import aliases, pages
from pipelines.registry.registry import Registry
from pipelines.tracking import connection, report_values, run_log
from pipelines.workspaces import merging, overlays, runtime
from pipelines.workspaces.places import shown

if TYPE_CHECKING:
    from pipelines.flows.train import Outcome


def show(outcome: "Outcome", project: Path, params: Sequence[Path] = ()) -> None:
    """Prints the scores, the registered version, the time it took and the next commands."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(_scores(outcome))
    model, version = outcome.logged.model, outcome.logged.version
    console.print(
        f"{model} version {version} is the same result (dvc.lock): nothing new was registered"
        if outcome.logged.already_logged
        else f"Registered {model} version {version}, alias {aliases.CHALLENGER}"
    )
    console.print(f"{outcome.seconds:.0f} seconds, in {outcome.workspace}\n")
    if outcome.warning:
        console.print(f"{outcome.warning}\n", markup=False)
    for warning in report_values.data_warnings(outcome.workspace):
        console.print(f"Warning about the corpus: {warning}\n", markup=False)
    connected = connection.check(project, model=model)
    if report := run_log.report(connected, outcome.logged):
        console.print(f"Open the report in a browser:\n  {report}", markup=False)
    for purpose, command in _next_commands(project, outcome.logged, params):
        console.print(f"{purpose}:\n  {command}", markup=False)


def _scores(outcome: "Outcome") -> Table:
    table = Table(title="Test scores (strict IOB2 entities)")
    table.add_column("")
    for name in artifacts.COLUMNS:
        table.add_column(name, justify="right")
    for row in artifacts.score_rows(outcome.figures):
        table.add_row(*row)
    return table


def _next_commands(
    project: Path, logged: Logged, params: Sequence[Path]
) -> Iterator[tuple[str, str]]:
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    store = (
        without_password(connection.uri(project)) if server else f"sqlite:///{shown('mlflow.db')}"
    )
    registry = Registry(connection.connect(project), logged.model)
    runs = pages.experiment(connection.experiment(registry.client, project, registry.model))
    if server.startswith("http"):
        yield "Open it in MLflow", f"{without_password(server)}/{runs}"
    else:
        ui = f"{_python()} -m mlflow ui --backend-store-uri {shlex.quote(store)}"
        yield f"Open it in MLflow (http://127.0.0.1:5000/{runs})", ui
    program = sys.argv[0] if LAUNCHED else f"{_python()} -m pipelines"
    version, options = logged.version, [f"--params {shlex.quote(shown(path))}" for path in params]
    others = options if logged.model != merging.model_name(project) else []
    predict = " ".join([program, "predict", *others, '"李明在北京。"'])
    yield "Find the names in a sentence of yours", predict
    if version != aliases.by_alias(registry, aliases.CHAMPION):
        # Without a version `promote` takes the challenger, which an equal result need not be.
        default = version == aliases.by_alias(registry, aliases.CHALLENGER)
        command = " ".join([program, "promote", *([] if default else [version]), *options])
        yield f"Promote it to {aliases.CHAMPION} if it passes the gates", command
    if runtime.has_gpu():
        corpus = overlays.sections(project).stages.download.name
        yield f"Run the full job: {corpus}, on the GPU", f"{program} run"


def _python() -> str:
    """The running interpreter, as the user would type it."""
    own = Path(".venv", "bin")
    if Path.cwd() / own == Path(sys.executable).parent:
        return shown(own / "python")
    return sys.executable if LAUNCHED else "python"
