"""Moves the alias champion, one move at a time on all hosts, as a whole or not at all."""

import sys
from dataclasses import asdict

from pipelines.errors import Exit, Refused
from pipelines.registry import claim, descriptions, history
from pipelines.registry.aliases import CHALLENGER, CHAMPION, PREVIOUS, by_alias
from pipelines.registry.claim import Claim, Intent
from pipelines.registry.history import Event
from pipelines.registry.registry import Registry


def move(registry: Registry, event: Event, keep: bool) -> None:
    """Makes `event.version` the champion, which is then not the challenger, and stores the event.

    If the process dies, the next move finishes this one if the champion has changed, and otherwise
    undoes it.

    Args:
        registry: The registered model.
        event: What is stored in the history.
        keep: Make `event.before` the previous champion; otherwise clear `previous`.

    Raises:
        Refused: if another promotion moved the champion meanwhile, or is moving it.
    """
    about = f"{event.action} of version {event.version}"
    with claim.held(registry, about, lambda intent: _finish(registry, intent)) as mine:
        _expect(registry, event.before)
        previous = by_alias(registry, PREVIOUS)
        mine.write({"event": asdict(event), "keep": keep, "previous": previous})
        _apply(registry, mine, event, keep)
        _expect(registry, event.version)


def finish_interrupted(registry: Registry) -> None:
    """Finishes or undoes the move of a process that died.

    Raises:
        Refused: if that process is alive.
    """
    if claim.is_held(registry):
        with claim.held(registry, "clean-up", lambda intent: _finish(registry, intent)):
            pass


def _apply(registry: Registry, mine: Claim | None, event: Event, keep: bool) -> None:
    """Each step may be done again."""
    if keep and event.before:
        registry.client.set_registered_model_alias(registry.model, PREVIOUS, event.before)
    if mine:
        mine.require()
    registry.client.set_registered_model_alias(registry.model, CHAMPION, event.version)
    if not keep:
        registry.client.delete_registered_model_alias(registry.model, PREVIOUS)
    if by_alias(registry, CHALLENGER) == event.version:
        registry.client.delete_registered_model_alias(registry.model, CHALLENGER)
    history.append(registry, event)
    with descriptions.spared("new description of the model"):
        descriptions.describe_model(registry)


def _finish(registry: Registry, intent: Intent) -> None:
    try:
        event, keep, previous = Event(**intent["event"]), intent["keep"], intent["previous"]
    except (LookupError, TypeError):  # none, or one of another version of this program
        return
    champion = by_alias(registry, CHAMPION)
    if champion == event.version:
        _apply(registry, None, event, keep)
        done = "finished"
    elif champion == event.before:
        if previous:
            registry.client.set_registered_model_alias(registry.model, PREVIOUS, previous)
        else:
            registry.client.delete_registered_model_alias(registry.model, PREVIOUS)
        done = "undone"
    else:  # somebody moved the champion by other means
        return
    words = f"{event.action} of version {event.version} by {event.who} was interrupted"
    print(f"The {words}; it is {done} now", file=sys.stderr)


def _expect(registry: Registry, version: str | None) -> None:
    found = by_alias(registry, CHAMPION)
    if found != version:
        raise Refused(
            Exit.OTHER,
            f"Another promotion finished first: the champion is now version {found}, it was"
            f" {version or 'none'} when this one started. See `status`, then promote again",
        )
