"""Connects to MLflow and checks, before hours of work, what its server lets the user do."""

import logging
import os
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.credentials import read_mlflow_creds
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import MlflowAway, PipelineError, without_password
from pipelines.registry.aliases import is_not_found
from pipelines.registry.registry import Registry
from pipelines.tracking import local_store, outages
from pipelines.workspaces import merging, places

URI = "MLFLOW_TRACKING_URI"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"  # pragma: allowlist secret
# What an outer job set for its own run: MLflow's fluent API would log ours there.
OF_AN_OUTER_RUN = (
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_CONTEXT",
    "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)
# An older MLflow then opens an experiment on its runs; MLflow 3.17 ignores it (`pages.VIEW`).
KIND = ("mlflow.experimentKind", "custom_model_development")
MARK = ("source", "python -m pipelines")  # a tag whose value never changes
# What MLflow raises, also where it is a database in this process: locked, or on a full disk.
FAILURES = (MlflowException, SQLAlchemyError, OSError)


class Need(Enum):
    """What the caller is about to do with MLflow."""

    READ = auto()
    LOG = auto()
    PROMOTE = auto()


@dataclass(frozen=True)
class Project:
    """A project, one of its models and its MLflow, connected once by `check`.

    Attributes:
        folder: The folder with dvc.yaml and params.yaml.
        uri: The address of MLflow, without user and password.
        client: Its client.
        model: The name of the registered model there, and of its experiment.
        experiment_id: Of that experiment; "" while MLflow's server has not answered.
    """

    folder: Path
    uri: str
    client: MlflowClient
    model: str
    experiment_id: str

    @property
    def away(self) -> bool:
        """Whether MLflow's server has not answered."""
        return not self.experiment_id

    @property
    def registry(self) -> Registry:
        """The registered model."""
        return Registry(self.client, self.model)


def connect(project: Path) -> MlflowClient:
    """A client of the project's MLflow, which becomes MLflow's default in this process.

    Variables that an outer job set for its own run are dropped from this process.

    Raises:
        PipelineError: if the project's own database is missing or cannot be read.
    """
    for key in OF_AN_OUTER_RUN:
        os.environ.pop(key, None)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It logs, with a traceback, what it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    address = uri(project)
    if os.environ.get(URI):
        mlflow.set_tracking_uri(address)
        return MlflowClient()
    local_store.require_database(project)
    with local_store.one_at_a_time(project):
        local_store.follow_project(project)
        mlflow.set_tracking_uri(address)
        os.environ.pop(URI, None)  # MLflow has set it, and it would apply to the next project too
        with local_store.tables(project):
            client = MlflowClient()
            client.search_experiments(max_results=1)  # makes the tables
    return client


def uri(project: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite beside the project.

    A user and password in it move to the variables that MLflow reads them from.
    """
    address = os.environ.get(URI)
    if not address:
        places.require(project, places.MLFLOW)
        return places.sqlite(project.resolve() / local_store.DATABASE)
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    if parts.scheme in ("http", "https") and login:
        user, _, password = login.partition(":")
        os.environ[USER], os.environ[PASSWORD] = unquote(user), unquote(password)
        address = os.environ[URI] = urlunsplit(parts._replace(netloc=host))
    return address


def check(folder: Path, *needs: Need, model: str | None = None) -> Project:
    """Connects to the MLflow of the project in `folder` and checks that it allows all `needs`.

    `model` is the name of the registered model, by default that of the project's params.yaml.

    Raises:
        MlflowAway: if the tracking server does not answer.
        PipelineError: if it refuses.
    """
    try:
        with outages.briefly():
            client = connect(folder)
            model = model or merging.model_name(folder)
            experiment_id = experiment(client, folder, model)
            for need in needs:
                require(Registry(client, model), experiment_id, need)
    except FAILURES as error:
        kind = MlflowAway if outages.no_answer(error) else PipelineError
        raise kind(
            refusal(error, model or "")
            or f"MLflow at {uri(folder)} cannot be used ({said(error)}): start it, or"
            " correct MLFLOW_TRACKING_URI, or unset it to log beside the project"
        ) from None
    return Project(folder, uri(folder), client, model, experiment_id)


def of_model(project: Project, model: str, *needs: Need) -> Project:
    """The same project with another of its models; raises as `check`."""
    if project.away:
        return replace(project, model=model)
    return project if model == project.model else check(project.folder, *needs, model=model)


def experiment(client: MlflowClient, project: Path, name: str) -> str:
    """The id of the experiment, which is created if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server decides itself where artifacts go.
        location = None if os.environ.get(URI) else local_store.artifacts_uri(project)
        try:
            return str(client.create_experiment(name, location, dict([KIND])))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            return experiment(client, project, name)  # somebody was quicker
    if found.lifecycle_stage != "active":
        raise MlflowException(f"experiment {name} is deleted: `mlflow experiments restore`")
    return str(found.experiment_id)


def open_on_runs(client: MlflowClient, experiment_id: str) -> None:
    """Sets the kind of an experiment that has none, so that its page opens on the runs."""
    if KIND[0] not in client.get_experiment(experiment_id).tags:
        client.set_experiment_tag(experiment_id, *KIND)


def require(registry: Registry, experiment_id: str, need: Need) -> None:
    """Tries an operation that changes nothing: a server's permissions cannot be read.

    Raises:
        MlflowException: if the server refuses; `refusal` explains it.
    """
    client, model = registry.client, registry.model
    if need is Need.READ:
        return
    if need is Need.LOG:
        client.set_experiment_tag(experiment_id, *MARK)
        open_on_runs(client, experiment_id)
    try:
        client.get_registered_model(model)
    except MlflowException as error:
        if is_not_found(error):
            return
        raise
    if need is Need.LOG:
        client.set_registered_model_tag(model, *MARK)
    else:
        # Moving aliases deletes some, for which EDIT is not enough: it would stop halfway.
        client.delete_registered_model_alias(model, "nobody")


def refusal(error: BaseException, model: str = "") -> str | None:
    """A sentence for the user if MLflow refused access; None if the error is another one."""
    code, server = getattr(error, "error_code", None), f"MLflow at {mlflow.get_tracking_uri()}"
    user = read_mlflow_creds().username
    if code == "UNAUTHENTICATED" and user is None:
        return f"{server} requires a login: set {USER} and {PASSWORD}"
    if code == "UNAUTHENTICATED":
        return f"{server} refused user {user!r} and that password: correct {USER} and {PASSWORD}"
    # A wrong Host header gives the same code.
    if code == "PERMISSION_DENIED" and "Permission denied" in str(error):
        return (
            f"{server} does not allow {f'user {user!r}' if user else 'you'} to do that: ask its"
            f" administrator for EDIT on the experiment and the registered model"
            f"{f' {model}' if model else ''}, or MANAGE to promote (docs/operations.md), or set"
            f" {USER} to a user with that permission"
        )
    return None


def said(error: BaseException) -> str:
    """The refusal, or else the error's own message, on one line."""
    words = " ".join(str(error).split()).partition(" [SQL: ")[0]
    return refusal(error) or without_password(words)


def nothing_logged(project: Path) -> bool:
    """True if no server is set and no run was logged here; connecting would create mlflow.db.

    Raises:
        PipelineError: if models were logged here and mlflow.db is missing.
    """
    if os.environ.get(URI):
        return False
    local_store.require_database(project)
    return not (project / local_store.DATABASE).exists()
