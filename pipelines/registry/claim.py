"""The lock that all hosts share while the alias champion moves, a tag of the registered model.

MLflow has no compare-and-swap, so this is Fischer's algorithm (Lamport, A Fast Mutual Exclusion
Algorithm, 1987): read, write, wait longer than others take from read to write, read again. No clock
of another host is trusted: a holder is dead if its tag does not change while this host watches it.
The tag also has the holder's intent, so that the next one can finish or undo what it left.
"""

import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import Exit, Refused
from pipelines.registry import history
from pipelines.registry.registry import Registry

TAG = "moving"
SETTLE_S = 1.0  # longer than another host takes from its read to its write
DEAD_S = 30.0  # longer than a living holder leaves its tag as it is
POLL_S = 0.5
Intent = dict[str, Any]
"""What the holder is about to do; empty before it changes anything."""


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
        file.write(f"{action}, by {history.who()}, process {os.getpid()}")
        file.flush()
        yield


@dataclass
class Claim:
    """A holder's claim; the tag has the other fields as JSON."""

    registry: Registry = field(repr=False)
    about: str
    by: str = field(default_factory=history.who)
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    intent: Intent = field(default_factory=dict)

    def write(self, intent: Intent) -> None:
        """Records the intent, before the holder acts on it."""
        self.intent = intent
        content = {key: value for key, value in vars(self).items() if key != "registry"}
        text = json.dumps(content, ensure_ascii=False)
        self.registry.client.set_registered_model_tag(self.registry.model, TAG, text)

    def require(self) -> None:
        """Raises Refused if the tag is no longer this holder's."""
        holder = _holder(self.registry)
        if holder is None or holder.token != self.token:
            raise _refusal(holder or Claim(self.registry, "already finished", "another user"))

    def release(self) -> None:
        """Deletes the tag, if it is still this holder's."""
        holder = _holder(self.registry)
        if holder and holder.token == self.token:
            self.registry.client.delete_registered_model_tag(self.registry.model, TAG)


@contextmanager
def held(registry: Registry, about: str, finish: Callable[[Intent], None]) -> Iterator[Claim]:
    """Takes the lock; `finish` gets the intent that a dead holder left, or this one after an error.

    If the process dies, or `finish` fails too, the tag stays for the next holder.

    Raises:
        Refused: if another holder is alive.
    """
    left = _dead(registry)
    claim = Claim(registry, about)
    claim.write(left.intent if left else {})
    time.sleep(SETTLE_S)
    claim.require()
    if claim.intent:
        finish(claim.intent)
        claim.write({})
    try:
        yield claim
    except Refused:
        claim.release()
        raise
    except BaseException:
        finish(claim.intent)
        claim.release()
        raise
    claim.release()


def is_held(registry: Registry) -> bool:
    """Whether there is a claim, of a living holder or a dead one."""
    return _holder(registry) is not None


def _dead(registry: Registry) -> Claim | None:
    """The claim of a holder that does nothing any more; None if there is no claim.

    Raises:
        Refused: if the claim changes while this watches it.
    """
    first = _holder(registry)
    if first is None:
        return None
    if DEAD_S > POLL_S:
        words = f"{first.about}, by {first.by}, is not finished: waiting up to {DEAD_S:.0f} s"
        print(f"{words} to see whether it goes on", file=sys.stderr)
    watched = time.monotonic() + DEAD_S
    while time.monotonic() < watched:
        time.sleep(min(POLL_S, DEAD_S))
        if _holder(registry) != first:
            raise _refusal(first)
    return first


def _holder(registry: Registry) -> Claim | None:
    text = registry.client.get_registered_model(registry.model).tags.get(TAG)
    if not text:
        return None
    try:
        stored = json.loads(text)
        about, by, token = (str(stored[name]) for name in ("about", "by", "token"))
        return Claim(registry, about, by, token, dict(stored["intent"]))
    except (ValueError, LookupError, TypeError):  # damaged, or of a version before intents
        return Claim(registry, f"an unreadable tag {TAG!r}", "an unknown user", text)


def _refusal(holder: Claim) -> Refused:
    return Refused(
        Exit.OTHER,
        f"Another promotion is running ({holder.about}, by {holder.by}): see `status`",
    )
