"""Two corpora in one checkout: two registered models, with a champion each."""

from pathlib import Path

import pytest

from pipelines.errors import Exit
from pipelines.names import MODEL
from pipelines.promotion.promote import rollback
from pipelines.registry.registry import Registry
from tests.pipelines.promotion.promoting import go, refused
from tests.pipelines.registered import Registered

DISHES = ["O", "B-DISH", "I-DISH"]


@pytest.fixture
def dishes(made: Registered):
    """A model of another corpus in the project of `made`, with a run."""
    other = Registered(made.project, Registry(made.client, "dishes"), made.settings)
    other.log("dishes", 95, labels=DISHES)
    yield other
    other.forget()


def test_another_name_is_another_champion_without_force(made: Registered, dishes) -> None:
    first = made.version("good")
    assert go(made).event.version == first
    assert dishes.version("dishes") == "1"
    done = go(dishes)
    assert (done.event.before, done.event.forced) == (None, False)
    labels = {gate.name: gate.detail for gate in done.gates}["labels"]
    assert labels == "no champion to compare with"
    for model in (made, dishes):
        assert model.aliases() == {"champion": "1"}
        name = model.registry.model
        description = model.client.get_registered_model(name).description
        assert f"(#/models/{name}/versions/1?" in description
    page = made.client.download_artifacts(dishes.runs["dishes"], "comparison.html")
    assert "dishes version 1" in Path(page).read_text(encoding="utf-8")


@pytest.mark.slow  # ten seconds; test_promote.py has the moves of one
def test_the_moves_of_one_leave_the_other(made: Registered, dishes) -> None:
    for run in ("good", "better"):
        made.version(run)
        go(made)
    dishes.version("dishes")
    go(dishes)
    assert refused(Exit.NO_PREVIOUS, rollback, dishes.registry, made.project)
    assert rollback(made.registry, made.project).version == "1"
    assert dishes.aliases() == {"champion": "1"}
    assert str(refused(Exit.ALREADY, go, dishes, "1")).startswith("Version 1 of dishes is already")


@pytest.mark.slow  # seven seconds; test_gates.py knows the gate
def test_under_one_name_the_labels_must_be_the_champions(made: Registered, dishes) -> None:
    made.version("good")
    go(made)
    dishes.registry = made.registry
    number = dishes.version("dishes")
    said = str(refused(Exit.GATES, go, made, number))
    assert f"Version {number} of {MODEL} was not promoted" in said
    assert "\n  labels: not the champion's labels (added: B-DISH, I-DISH; missing: B-LOC," in said
