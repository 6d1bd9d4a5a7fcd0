"""Who may move the aliases: one promotion at a time, here and on other hosts."""

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
ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), "INVALID_PARAMETER_VALUE")
CLAIM = "moving"
SETTLE_S = 1.0  # longer than another host takes from looking to writing
STALE_S = 120.0  # a claim so old is of a host that died: moving takes seconds


def who() -> str:
    """user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


@contextmanager
def one_here(project: Path, about: str) -> Iterator[None]:
    """Holds the project's promotion lock; the kernel frees it however the process ends.

    Raises:
        Refused: naming who holds it.
    """
    path = project / ".runs" / "promote.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Refused(
                Exit.OTHER, f"Another one is under way ({file.read().strip()}): wait until it ends"
            ) from None
        file.truncate(0)
        file.write(f"{about}, by {who()}, process {os.getpid()}")
        file.flush()
        yield


@contextmanager
def one_anywhere(client: MlflowClient, about: str) -> Iterator[None]:
    """Holds the registry's claim, a tag of the registered model.

    MLflow has no compare-and-swap, so this is Fischer's algorithm (Lamport, A Fast Mutual Exclusion
    Algorithm, 1987): look, write, wait longer than others take from looking to writing, read back.

    Raises:
        Refused: if another has it.
    """
    token = secrets.token_hex(8)
    holder = _holder(client)
    if holder and time.time() - float(holder["since"]) < STALE_S:
        raise _lost(holder)
    mine = {"token": token, "about": about, "by": who(), "since": time.time()}
    client.set_registered_model_tag(MODEL, CLAIM, json.dumps(mine, ensure_ascii=False))
    time.sleep(SETTLE_S)
    holder = _holder(client)
    if holder is None or holder["token"] != token:
        raise _lost(holder or {"about": "it is over already", "by": "somebody"})
    try:
        yield
    finally:
        holder = _holder(client)
        if holder and holder["token"] == token:
            client.delete_registered_model_tag(MODEL, CLAIM)


def move(client: MlflowClient, version: str, before: str | None, keep: bool) -> None:
    """Makes `version` the champion and reads that back.

    Args:
        client: Of the registry.
        version: The new champion; it is the challenger no more.
        before: The champion that this was decided against; None: there was none.
        keep: Whether `before` becomes the previous one; else there is none afterwards.

    Raises:
        Refused: if another promotion has moved the champion meanwhile.
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
            f"Another promotion won: the champion is version {found} now, it was"
            f" {version or 'none'} when this one began; look at `status`, then promote again",
        )


def _holder(client: MlflowClient) -> dict[str, Any] | None:
    text = client.get_registered_model(MODEL).tags.get(CLAIM)
    return json.loads(text) if text else None


def _lost(holder: dict[str, Any]) -> Refused:
    return Refused(
        Exit.OTHER, f"Another one won ({holder['about']}, by {holder['by']}): look at `status`"
    )


def by_alias(client: MlflowClient, alias: str) -> str | None:
    """The version that has the alias."""
    try:
        return str(client.get_model_version_by_alias(MODEL, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise
