"""A move of the alias champion that is cut off at any step, and who is named for it."""

import itertools
import os
import platform
import pwd

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.names import MODEL
from pipelines.registry import champion, claim, history
from pipelines.registry.registry import Registry
from tests.pipelines.registered import Registered


class Killed(BaseException):
    """Ends a process between two calls of MLflow: nothing in it runs after that."""


class Mortal:
    """A client that dies at its call number `after` that changes the registry."""

    def __init__(self, client: MlflowClient, after: int) -> None:
        self.client, self.left, self.dead = client, after, False

    def __getattr__(self, name: str):
        def call(*arguments):
            changes = name.startswith(("set_", "delete_"))
            self.left -= changes
            if self.dead or (changes and self.left < 0):
                self.dead = True
                raise Killed
            return getattr(self.client, name)(*arguments)

        return call


@pytest.mark.parametrize(
    "action",
    ["promote", pytest.param("rollback", marks=pytest.mark.slow)],  # the same steps
)
def test_killed_at_any_step_a_move_is_finished_or_undone_by_the_next(
    made: Registered, monkeypatch, capsys, action: str
) -> None:
    monkeypatch.setattr(claim, "DEAD_S", 0.02)
    oldest, old, new = (made.version(run) for run in ("worse", "good", "better"))
    client, keep = made.client, action == "promote"
    version = new if keep else oldest
    words = set()
    for after in itertools.count():
        client.set_registered_model_alias(MODEL, "champion", old)
        client.set_registered_model_alias(MODEL, "previous", oldest)
        client.set_registered_model_alias(MODEL, "challenger", new)
        before, stored = made.aliases(), len(history.events(made.registry))
        event = history.new_event(
            made.registry, action, old, version, f"killed after {after}", False
        )
        mortal = Mortal(client, after)
        try:
            champion.move(Registry(mortal, MODEL), event, keep)
        except Killed:
            champion.finish_interrupted(made.registry)
        words |= set(capsys.readouterr().err.split("; it is ")[1:])
        new_events = history.events(made.registry)[stored:]
        if new_events:
            assert new_events == [event]
            assert made.aliases() == (
                {"champion": new, "previous": old}
                if keep
                else {"champion": oldest, "challenger": new}
            )
            assert made.tags(version)["promoted.why"] == event.why
        else:
            assert made.aliases() == before
        assert not claim.is_held(made.registry)
        if not mortal.dead:
            break
    assert after > 6
    assert {word.strip() for word in words} == {"undone now", "finished now"}


def test_an_mlflow_that_fails_in_between_is_undone_at_once(made: Registered) -> None:
    old, new = made.version("good"), made.version("better")
    made.client.set_registered_model_alias(MODEL, "champion", old)
    before = made.aliases()
    event = history.new_event(made.registry, "promote", old, new, "x", False)

    class Failing(Mortal):
        def __getattr__(self, name: str):
            def call(*arguments):
                if (name, arguments[1:]) == ("set_registered_model_alias", ("champion", new)):
                    raise MlflowException("the disk is full")
                return getattr(self.client, name)(*arguments)

            return call

    with pytest.raises(MlflowException, match="the disk is full"):
        champion.move(Registry(Failing(made.client, 0), MODEL), event, keep=True)
    assert made.aliases() == before
    assert not claim.is_held(made.registry)


def test_who_is_mlflows_user_and_not_what_the_environment_says(monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    account = pwd.getpwuid(os.getuid()).pw_name
    assert history.who() == f"{account}@{platform.node()}"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "mei")
    assert history.who() == f"mei@{platform.node()}"
