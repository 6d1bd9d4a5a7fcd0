"""The flow `watch`: compares what was served since the last night with the test split."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.events import emit_event
from prefect.states import Completed

from pipelines.errors import PipelineError
from pipelines.flows import artifacts, gpu_slot, worker_output
from pipelines.flows.deployments import Overrides, WaitMinutes
from pipelines.flows.train import ended
from pipelines.names import OURS, SHIFTED
from pipelines.tracking import connection
from pipelines.tracking.connection import Need
from pipelines.watching import watch as watching
from pipelines.watching.night import Night
from pipelines.workspaces import overlays


@flow(name="watch", persist_result=False)
def watch(overrides: Overrides, wait_minutes: WaitMinutes) -> State[Any]:
    """Compares the text that the champion served with its test split, every night.

    Where it shifts, an event tells of it, once; the run itself completes. The champion is that of
    the model which `run.model` names in the project's params.yaml.

    Args:
        overrides: Merged over params.yaml: the name of another model, with
            {"run": {"model": "its-name"}}, or thresholds, with {"watch": {"distance_min": 0.2}}.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
    """
    worker_output.detach()
    folder = Path.cwd()
    try:
        sections = overlays.sections(folder, (), overrides)
        project = connection.check(folder, Need.LOG, model=sections.run.model)
        with gpu_slot.gpu(wait_minutes):
            night = watching.watch(project, sections.watch, None, tell)
    except PipelineError as error:
        artifacts.failed(folder, str(error))
        return ended(error)
    artifacts.watched(night)
    return Completed(message=str(night), name="Shifted" if night.news else None)


def tell(night: Night) -> None:
    """Sends Prefect the event, from which an automation of `setup` starts `retrain`."""
    model, f1 = night.version.name, night.f1
    emit_event(
        SHIFTED,
        resource={
            "prefect.resource.id": f"{OURS}.model.{model}",
            "prefect.resource.name": model,
        },
        payload={
            "message": str(night),
            "model": model,
            "version": str(night.version.version),
            "shifted": list(night.shifted),
            "news": list(night.news),
            "texts": night.texts,
            "f1": vars(f1) if f1 else None,
            "page": night.page,
        },
    )
