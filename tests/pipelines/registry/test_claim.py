"""The lock of a promotion that all hosts share."""

import json
import threading

import pytest

from pipelines.errors import Exit, Refused
from pipelines.names import MODEL
from pipelines.registry import claim
from tests.pipelines.registered import Registered
from tests.pipelines.workspaces.test_process_group import wait_for


def test_a_claim_keeps_others_out_while_its_holder_lives(made: Registered, monkeypatch) -> None:
    made.version("good")
    monkeypatch.setattr(claim, "POLL_S", 0.01)
    over = threading.Event()
    with claim.held(made.registry, "the first", print) as first:

        def act() -> None:
            number = 0
            while not over.wait(0.02):
                number += 1
                first.write({"step": number})

        thread = threading.Thread(target=act)
        thread.start()
        with (
            pytest.raises(
                Refused, match=r"^Another promotion is running \(the first, by "
            ) as error,
            claim.held(made.registry, "the second", print),
        ):
            pytest.fail("two at once")
        over.set()
        thread.join()
    assert error.value.exit_code == Exit.OTHER
    assert not claim.is_held(made.registry)


@pytest.mark.parametrize("tag", ["not JSON", "[]", '{"token": 1, "since": 9e99}'])
def test_a_dead_holder_is_known_without_its_clock(made: Registered, monkeypatch, tag: str) -> None:
    made.version("good")
    monkeypatch.setattr(claim, "DEAD_S", 0.02)
    made.client.set_registered_model_tag(MODEL, claim.TAG, tag)
    with claim.held(made.registry, "the next", print):
        pass
    assert not claim.is_held(made.registry)


def test_who_writes_last_has_the_claim(made: Registered, monkeypatch) -> None:
    made.version("good")
    monkeypatch.setattr(claim, "SETTLE_S", 2.0)
    theirs = {"token": "theirs", "about": "theirs", "by": "them", "intent": {}}

    def overwrite() -> None:
        wait_for(lambda: claim.TAG in model().tags, "the first claim")
        made.client.set_registered_model_tag(MODEL, claim.TAG, json.dumps(theirs))

    def model():
        return made.client.get_registered_model(MODEL)

    thread = threading.Thread(target=overwrite)
    thread.start()
    with (
        pytest.raises(Refused, match=r"^Another promotion is running \(theirs, by them\)"),
        claim.held(made.registry, "mine", print),
    ):
        pytest.fail("two at once")
    thread.join()
    assert json.loads(model().tags[claim.TAG]) == theirs
