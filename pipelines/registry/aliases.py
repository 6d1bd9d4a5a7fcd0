"""Moves the aliases of the registered model, one promotion at a time on all hosts."""

import fcntl
import getpass
import json
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from pipelines.errors import Exit, Refused
from pipelines.names import MODEL

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
NOT_FOUND = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), "INVALID_PARAMETER_VALUE")
CLAIM = "moving"  # a tag of the registered model
SETTLE_S = 1.0  # longer than another host takes from its read to its write
STALE_S = 120.0  # moving takes seconds: an older claim belongs to a host that died


def who() -> str:
    """The present user, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, in a container
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


@contextmanager
def project_lock(project: Path, action: str) -> Iterator[None]:
    """Takes the project's promotion lock; the kernel releases it however the process ends.

    Raises:
        Refused: if another process has it, naming that process.
    """
    path = project / ".runs" / "promote.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Refused(
                Exit.OTHER,
                f"Another promotion is running ({file.read().strip()}): wait until it ends",
            ) from None
        file.truncate(0)
        file.write(f"{action}, by {who()}, process {os.getpid()}")
        file.flush()
        yield


@contextmanager
def registry_lock(client: MlflowClient, action: str) -> Iterator[None]:
    """Takes the lock that all hosts share, a tag of the registered model.

    MLflow has no compare-and-swap, so this is Fischer's algorithm (Lamport, A Fast Mutual Exclusion
    Algorithm, 1987): read, write, wait longer than others take from read to write, read again.

    Raises:
        Refused: if another host has it.
    """
    token = secrets.token_hex(8)
    holder = _holder(client)
    if holder and time.time() - float(holder["since"]) < STALE_S:
        raise _refusal(holder)
    mine = {"token": token, "about": action, "by": who(), "since": time.time()}
    client.set_registered_model_tag(MODEL, CLAIM, json.dumps(mine, ensure_ascii=False))
    time.sleep(SETTLE_S)
    holder = _holder(client)
    if holder is None or holder["token"] != token:
        raise _refusal(holder or {"about": "already finished", "by": "another user"})
    try:
        yield
    finally:
        holder = _holder(client)
        if holder and holder["token"] == token:
            client.delete_registered_model_tag(MODEL, CLAIM)


def move(client: MlflowClient, version: str, before: str | None, keep: bool) -> None:
    """Makes `version` the champion and verifies it.

    Args:
        client: A client of the registry.
        version: The new champion; it stops being the challenger.
        before: The champion that the gates compared it with; None if there was none.
        keep: Make `before` the previous champion; otherwise clear `previous`.

    Raises:
        Refused: if another promotion moved the champion meanwhile.
    """
    _expect(client, before)
    if keep and before:
        client.set_registered_model_alias(MODEL, PREVIOUS, before)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    if not keep:
        client.delete_registered_model_alias(MODEL, PREVIOUS)
    if by_alias(client, CHALLENGER) == version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    _expect(client, version)


def _expect(client: MlflowClient, version: str | None) -> None:
    found = by_alias(client, CHAMPION)
    if found != version:
        raise Refused(
            Exit.OTHER,
            f"Another promotion finished first: the champion is now version {found}, it was"
            f" {version or 'none'} when this one started. See `status`, then promote again",
        )


def _holder(client: MlflowClient) -> dict[str, Any] | None:
    text = client.get_registered_model(MODEL).tags.get(CLAIM)
    return json.loads(text) if text else None


def _refusal(holder: dict[str, Any]) -> Refused:
    return Refused(
        Exit.OTHER,
        f"Another promotion is running ({holder['about']}, by {holder['by']}): see `status`",
    )


def by_alias(client: MlflowClient, alias: str) -> str | None:
    """The number of the version with the alias; None if no version has it."""
    try:
        return str(client.get_model_version_by_alias(MODEL, alias).version)
    except MlflowException as error:
        if is_not_found(error):
            return None
        raise


def is_not_found(error: MlflowException) -> bool:
    """True if MLflow says that there is no such model, version or alias."""
    return error.error_code in NOT_FOUND
