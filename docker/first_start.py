"""What the servers of compose.yaml need once: the buckets, MLflow's users, the deployments.

Again, it changes only what differs; `make up` runs it each time.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient

from pipelines.tracking import connection
from pipelines.workspaces import merging


def main() -> None:
    """Reads its settings from the environment that compose.yaml gives to `setup`."""
    make_buckets(os.environ["NER_BUCKETS"].split())
    for who in ("NER_WORKER", "NER_SERVER"):
        let_in(os.environ[who], os.environ[f"{who}_PASSWORD"])
    let_promote(os.environ["NER_WORKER"])
    for command in (["pipelines", "setup"], ["prefect", "--no-prompt", "deploy", "--all"]):
        subprocess.run([sys.executable, "-m", *command], check=True)


def make_buckets(names: list[str]) -> None:
    """Makes them in the store of AWS_ENDPOINT_URL_S3."""
    store = boto3.client("s3")
    there = [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]
    for name in names:
        if name not in there:
            store.create_bucket(Bucket=name)


def let_in(user: str, password: str) -> None:
    """Gives MLflow that user, who may look."""
    with unless_there():
        AuthServiceClient(connection.uri(Path.cwd())).create_user(user, password)


def let_promote(user: str) -> None:
    """Gives the user the rights to train and to promote."""
    client, model = connection.connect(Path.cwd()), merging.model_name(Path.cwd())
    experiment = connection.experiment(client, Path.cwd(), model)
    users = AuthServiceClient(connection.uri(Path.cwd()))
    for kind, name in (("experiment", experiment), ("registered_model", model)):
        with unless_there():
            users.grant_user_permission(user, kind, name, "MANAGE")


@contextmanager
def unless_there() -> Iterator[None]:
    """Lets pass that MLflow has it already."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


if __name__ == "__main__":
    main()
