"""Connects to MLflow, and asks what its server lets the present user do before hours of work."""

import logging
import os
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import read_mlflow_creds
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import PipelineError, without_password
from pipelines.names import EXPERIMENT, MODEL
from pipelines.registry.aliases import is_not_found

URI = "MLFLOW_TRACKING_URI"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"  # pragma: allowlist secret
REACH = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
MARK = ("source", "python -m pipelines")  # a tag that always says the same
# Of MLflow, also where it is a database in this process that is locked, or a full disk.
FAILURES = (MlflowException, SQLAlchemyError, OSError)


class Need(Enum):
    """What is about to be done."""

    READ = auto()
    LOG = auto()
    PROMOTE = auto()


def connect(project: Path) -> MlflowClient:
    """A client of the project's MLflow, which becomes the process's own."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # With a traceback it says what it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    theirs = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri(project))
    if theirs is None:  # MLflow has set it, and it would hold for the next project as well
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return MlflowClient()


def uri(project: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite beside the project.

    User and password in it go to the variables that MLflow has for them.
    """
    given = os.environ.get(URI)
    if not given:
        return f"sqlite:///{project.resolve()}/mlflow.db"
    parts = urlsplit(given)
    login, _, host = parts.netloc.rpartition("@")
    if parts.scheme in ("http", "https") and login:
        user, _, password = login.partition(":")
        os.environ[USER], os.environ[PASSWORD] = unquote(user), unquote(password)
        given = os.environ[URI] = urlunsplit(parts._replace(netloc=host))
    return given


def check(project: Path, need: Need = Need.READ) -> None:
    """Makes sure that what is needed can be done later.

    Raises:
        PipelineError: if the tracking server does not answer, or refuses.
    """
    kept = {key: os.environ.get(key) for key in REACH}
    os.environ.update({key: value for key, value in REACH.items() if not kept[key]})
    try:
        client = connect(project)
        require(client, experiment(client, project), need)
    except FAILURES as error:
        raise PipelineError(
            refusal(error)
            or f"MLflow at {uri(project)} cannot be used ({said(error)}): start it, or"
            " correct MLFLOW_TRACKING_URI, or unset it to log beside the project"
        ) from None
    finally:
        for key in (key for key, value in kept.items() if value is None):
            del os.environ[key]


def experiment(client: MlflowClient, project: Path, name: str = EXPERIMENT) -> str:
    """The id of the experiment, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server decides itself where artifacts go.
        beside = (project / "mlartifacts").resolve().as_uri()
        location = None if os.environ.get("MLFLOW_TRACKING_URI") else beside
        return str(client.create_experiment(name, location))
    if found.lifecycle_stage != "active":
        raise MlflowException(f"experiment {name} is deleted: `mlflow experiments restore`")
    return str(found.experiment_id)


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
        if is_not_found(error):
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


def nothing_logged(project: Path) -> bool:
    """True if no server is set and no run was logged here; connecting would create mlflow.db."""
    return not os.environ.get(URI) and not (project / "mlflow.db").exists()
