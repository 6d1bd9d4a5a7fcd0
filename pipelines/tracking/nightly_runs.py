"""Finds the MLflow run that has a curve of a version's nights, a step a night."""

from mlflow.entities import Run

from pipelines.tracking import connection
from pipelines.tracking.connection import Project


def of_version(project: Project, what: str, version: str) -> Run:
    """The run of `version` in the experiment MODEL-`what`, which is created if there is none."""
    client = project.client
    experiment = connection.experiment(client, project.folder, f"{project.model}-{what}")
    connection.open_on_runs(client, experiment)
    runs = client.search_runs([experiment], f"tags.version = '{version}'")
    if runs:
        return runs[0]
    run = client.create_run(experiment, run_name=f"version {version}", tags={"version": version})
    client.set_terminated(run.info.run_id)
    return client.get_run(run.info.run_id)
