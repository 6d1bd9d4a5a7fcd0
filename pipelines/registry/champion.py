"""Moves the alias champion, one move at a time on all hosts, as a whole or not at all."""

import sys
from dataclasses import asdict

from mlflow import MlflowClient

from pipelines.errors import Exit, Refused
from pipelines.names import MODEL
from pipelines.registry import claim, descriptions, history
from pipelines.registry.aliases import CHALLENGER, CHAMPION, PREVIOUS, by_alias
from pipelines.registry.claim import Claim, Intent
from pipelines.registry.history import Event


def move(client: MlflowClient, event: Event, keep: bool) -> None:
    """Makes `event.version` the champion, which is then not the challenger, and stores the event.

    If the process dies, the next move finishes this one if the champion has changed, and otherwise
    undoes it.

    Args:
        client: A client of the registry.
        event: What is stored in the history.
        keep: Make `event.before` the previous champion; otherwise clear `previous`.

    Raises:
        Refused: if another promotion moved the champion meanwhile, or is moving it.
    """
    about = f"{event.action} of version {event.version}"
    with claim.held(client, about, lambda intent: _finish(client, intent)) as mine:
        _expect(client, event.before)
        previous = by_alias(client, PREVIOUS)
        mine.write({"event": asdict(event), "keep": keep, "previous": previous})
        _apply(client, mine, event, keep)
        _expect(client, event.version)


def finish_interrupted(client: MlflowClient) -> None:
    """Finishes or undoes the move of a process that died.

    Raises:
        Refused: if that process is alive.
    """
    if claim.is_held(client):
        with claim.held(client, "clean-up", lambda intent: _finish(client, intent)):
            pass


def _apply(client: MlflowClient, mine: Claim | None, event: Event, keep: bool) -> None:
    """Each step may be done again."""
    if keep and event.before:
        client.set_registered_model_alias(MODEL, PREVIOUS, event.before)
    if mine:
        mine.require()
    client.set_registered_model_alias(MODEL, CHAMPION, event.version)
    if not keep:
        client.delete_registered_model_alias(MODEL, PREVIOUS)
    if by_alias(client, CHALLENGER) == event.version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    history.append(client, event)
    with descriptions.spared("new description of the model"):
        descriptions.describe_model(client)


def _finish(client: MlflowClient, intent: Intent) -> None:
    try:
        event, keep, previous = Event(**intent["event"]), intent["keep"], intent["previous"]
    except (LookupError, TypeError):  # none, or one of another version of this program
        return
    champion = by_alias(client, CHAMPION)
    if champion == event.version:
        _apply(client, None, event, keep)
        done = "finished"
    elif champion == event.before:
        if previous:
            client.set_registered_model_alias(MODEL, PREVIOUS, previous)
        else:
            client.delete_registered_model_alias(MODEL, PREVIOUS)
        done = "undone"
    else:  # somebody moved the champion by other means
        return
    words = f"{event.action} of version {event.version} by {event.who} was interrupted"
    print(f"The {words}; it is {done} now", file=sys.stderr)


def _expect(client: MlflowClient, version: str | None) -> None:
    found = by_alias(client, CHAMPION)
    if found != version:
        raise Refused(
            Exit.OTHER,
            f"Another promotion finished first: the champion is now version {found}, it was"
            f" {version or 'none'} when this one started. See `status`, then promote again",
        )
