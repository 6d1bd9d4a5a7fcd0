"""The aliases of the registered model."""

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from pipelines.registry.registry import Registry

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
NOT_FOUND = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), "INVALID_PARAMETER_VALUE")


def by_alias(registry: Registry, alias: str) -> str | None:
    """The number of the version with the alias; None if no version has it."""
    try:
        return str(registry.client.get_model_version_by_alias(registry.model, alias).version)
    except MlflowException as error:
        if is_not_found(error):
            return None
        raise


def is_not_found(error: MlflowException) -> bool:
    """True if MLflow says that there is no such model, version or alias."""
    return error.error_code in NOT_FOUND
