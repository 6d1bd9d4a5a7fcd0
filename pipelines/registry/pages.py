"""Addresses of MLflow's pages, below the address of a server.

MLflow 3.17 has a view for language models and one for training, and takes the one of the address,
or else the one that the browser chose last. The experiment's own kind does not count there.
"""

VIEW = "?workflowType=machine_learning"


def experiment(experiment_id: str) -> str:
    """The runs of an experiment."""
    return f"#/experiments/{experiment_id}/runs{VIEW}"


def run(experiment_id: str, run_id: str, artifact: str | None = None) -> str:
    """A run, or one of its artifacts."""
    place = f"#/experiments/{experiment_id}/runs/{run_id}"
    return f"{place}/artifacts/{artifact}{VIEW}" if artifact else f"{place}{VIEW}"


def version(model: str, number: str) -> str:
    """A version of a registered model."""
    return f"#/models/{model}/versions/{number}{VIEW}"
