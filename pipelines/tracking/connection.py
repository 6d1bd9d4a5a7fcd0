"""What an MLflow server with users lets the present one do, asked before hours of work."""

from enum import Enum, auto

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import read_mlflow_creds
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import without_password
from pipelines.registry.versions import ABSENT, MODEL
from pipelines.tracking.mlflow_uri import PASSWORD, USER

MARK = ("source", "python -m pipelines")  # a tag that always says the same

# Of MLflow, also where it is a database in this process that is locked, or a full disk.
FAILURES = (MlflowException, SQLAlchemyError, OSError)


class Need(Enum):
    """What is about to be done."""

    READ = auto()
    LOG = auto()
    PROMOTE = auto()


def require(client: MlflowClient, experiment_id: str, need: Need) -> None:
    """Asks by doing something that changes nothing: other servers' rules cannot be read.

    Raises:
        MlflowException: if the server refuses; `refusal` says it in words.
    """
    if need is Need.READ:
        return
    if need is Need.LOG:
        client.set_experiment_tag(experiment_id, *MARK)
    try:
        client.get_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return
        raise
    if need is Need.LOG:
        client.set_registered_model_tag(MODEL, *MARK)
    else:
        # Moving aliases deletes some, for which EDIT is not enough: it would stop half-way.
        client.delete_registered_model_alias(MODEL, "nobody")


def refusal(error: BaseException) -> str | None:
    """A sentence for the user whom MLflow refused; None where the error is another."""
    code, server = getattr(error, "error_code", None), f"MLflow at {mlflow.get_tracking_uri()}"
    user = read_mlflow_creds().username
    if code == "UNAUTHENTICATED" and user is None:
        return f"{server} wants to know who asks: set {USER} and {PASSWORD}"
    if code == "UNAUTHENTICATED":
        return f"{server} knows no user {user!r} with that password: correct {USER} and {PASSWORD}"
    # A wrong Host header has the same code.
    if code == "PERMISSION_DENIED" and "Permission denied" in str(error):
        return (
            f"{server} does not let {f'user {user!r}' if user else 'you'} do that: ask its"
            f" administrator for EDIT on the experiment and the registered model {MODEL}, or MANAGE"
            f" to promote (docs/operations.md), or set {USER} to one who may"
        )
    return None


def said(error: BaseException) -> str:
    """The refusal, or else what the error says, on one line."""
    words = " ".join(str(error).split()).partition(" [SQL: ")[0]
    return refusal(error) or without_password(words)
