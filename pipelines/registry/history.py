"""The history of champions: who promoted which version when, and why.

Each event is one tag of the registered model and is never changed. Writing it needs no read, so
two writers at once lose nothing.
"""

import hashlib
import json
import os
import platform
import pwd
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow.utils.credentials import read_mlflow_creds

from pipelines.registry.keys import tags
from pipelines.registry.registry import Registry

PREFIX = "history."


@dataclass(frozen=True)
class Event:
    """One move of the alias `champion`.

    Attributes:
        action: promote or rollback.
        when: UTC, ISO 8601.
        who: user@host.
        before: The champion before; None if there was none.
        version: The champion after.
        why: The reason given, or `gates passed`.
        forced: True if the gates were skipped.
        f1_before: `export.f1` of `before`; None if unknown.
        f1: `export.f1` of `version`; None if unknown.
    """

    action: str
    when: str
    who: str
    before: str | None
    version: str
    why: str
    forced: bool
    f1_before: float | None
    f1: float | None


def new_event(
    registry: Registry, action: str, before: str | None, version: str, why: str, forced: bool
) -> Event:
    """An event of the present moment and user."""
    return Event(
        action=action,
        when=datetime.now(UTC).isoformat(timespec="microseconds"),
        who=who(),
        before=before,
        version=version,
        why=why,
        forced=forced,
        f1_before=_f1(registry, before),
        f1=_f1(registry, version),
    )


def append(registry: Registry, event: Event) -> None:
    """Stores the event on the registered model, and on the version as `promoted.who` and so on."""
    # The same for the same event, so that an interrupted move can store it again.
    digest = hashlib.sha256(json.dumps(asdict(event), sort_keys=True).encode()).hexdigest()
    key = f"{PREFIX}{event.when}.{digest[:6]}".replace("+00:00", "Z").replace(":", "")
    text = json.dumps(asdict(event), ensure_ascii=False)
    registry.client.set_registered_model_tag(registry.model, key, text)
    for name, value in asdict(event).items():
        if value is not None and name != "version":
            registry.client.set_model_version_tag(
                registry.model, event.version, f"promoted.{name}", str(value)
            )


def who() -> str:
    """The present user, as user@host: MLflow's, or else the account of the operating system."""
    if user := read_mlflow_creds().username:
        return f"{user}@{platform.node()}"
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # not $LOGNAME, which anyone can set
    except KeyError:  # a user id without a name, in a container
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def events(registry: Registry) -> list[Event]:
    """All events, oldest first."""
    found: dict[str, Any] = registry.client.get_registered_model(registry.model).tags
    return [Event(**json.loads(found[key])) for key in sorted(found) if key.startswith(PREFIX)]


def _f1(registry: Registry, version: str | None) -> float | None:
    if version is None:
        return None
    text = tags(registry.client.get_model_version(registry.model, version)).get("export.f1")
    try:
        return float(text) if text else None
    except ValueError:
        return None
