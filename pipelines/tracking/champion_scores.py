"""Logs the champion's nightly scores to MLflow: one run per version, one step per night."""

from pipelines.registry import keys
from pipelines.tracking import nightly_runs
from pipelines.tracking.connection import Project
from pipelines.workspaces.workspace import Workspace


def log_champion(
    project: Project,
    version: str,
    scores: dict[str, float],
    made: Workspace,
    prefect_run_id: str | None,
) -> None:
    """Adds the scores to the run of `version`, as the next step of each metric's curve.

    The tags name the commit and the flow run of the last night.
    """
    client = project.client
    run_id = nightly_runs.of_version(project, "champion", version).info.run_id
    # The first nights of an older run have the figures' own names.
    names = ("test.f1", keys.metric("test.f1"))
    step = sum(len(client.get_metric_history(run_id, name)) for name in names)
    for key, value in scores.items():
        client.log_metric(run_id, keys.metric(key), value, step=step)
    client.set_tag(run_id, "commit", made.commit or "none")
    client.set_tag(run_id, "prefect_run_id", prefect_run_id or "none")
