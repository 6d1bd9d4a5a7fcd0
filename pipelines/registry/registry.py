"""The registered model of a project: its name, and the client that reaches it."""

from dataclasses import dataclass

from mlflow import MlflowClient


@dataclass(frozen=True)
class Registry:
    """The versions of one registered model.

    Attributes:
        client: A client of MLflow's registry.
        model: The model's name there, `run.model` of params.yaml.
    """

    client: MlflowClient
    model: str
