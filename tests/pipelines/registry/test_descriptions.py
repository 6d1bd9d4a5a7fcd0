"""Texts that MLflow shows, beside those of people."""

import pytest

from pipelines.names import MODEL
from pipelines.promotion.promote import rollback
from pipelines.registry import descriptions
from tests.pipelines.logged import no_room
from tests.pipelines.promotion.promoting import forced, go
from tests.pipelines.registered import Registered


class TestAPersonsText:
    def test_what_stands_below_stays(self) -> None:
        first = descriptions.renewed(None, "One.")
        both = f"{first}\n\nMine, with <!-- a comment -->."
        assert descriptions.renewed(both, "Two.") == (
            f"{descriptions.renewed('', 'Two.')}\n\nMine, with <!-- a comment -->."
        )

    @pytest.mark.parametrize("edit", [("One.", "One!"), ("One.", "Mine.\n\nOne."), (" -->", "")])
    def test_a_changed_text_is_left_alone(self, edit: tuple[str, str]) -> None:
        first = descriptions.renewed(None, "One.\n\nTwo.")
        assert descriptions.renewed(first.replace(*edit), "Three.") is None

    def test_other_ends_of_lines_are_no_change(self) -> None:
        first = descriptions.renewed(None, "One.\nTwo.")
        edited = first.replace("One.\n", "One.\r\n")
        assert descriptions.renewed(edited, "Three.") == descriptions.renewed(None, "Three.")


def test_a_long_text_ends_at_a_line_within_mlflows_column() -> None:
    text = descriptions.renewed(None, "| a | b |\n" * 2000)
    assert 4_000 < len(text) < 5_000
    assert text.count("| a&emsp; | b&emsp; |\n") == text.count("| a")
    assert descriptions.renewed(text, "x") is not None


def test_the_model_shows_the_history_and_the_champions_card(made: Registered) -> None:
    first, second = forced(made, "good"), made.version("better")
    descriptions.describe_version(made.registry, second, "The card of two.")
    assert "The card" not in made.client.get_registered_model(MODEL).description
    go(made, second, force=True, reason="more | data")
    text = made.client.get_registered_model(MODEL).description
    assert text.startswith(f"Version {second} is the champion.\n\n## Champions\n")
    assert f"## Version {second}\n\nThe card of two." in text
    one, two = (
        f"[{number}](#/models/msra-ner/versions/{number}?workflowType=machine_learning)&emsp;"
        for number in (first, second)
    )
    [newest, oldest] = [line for line in text.splitlines() if line.startswith("| 2")]
    assert f"| {one} | {two} | 0.9600&emsp; | 0.9800&emsp; |" in newest
    assert newest.endswith("| more \\| data&emsp; |")
    assert f"| none&emsp; | {one} |" in oldest

    made.client.update_registered_model(MODEL, "Mine.")
    rollback(made.registry, made.project)
    assert made.client.get_registered_model(MODEL).description == "Mine."


def test_a_move_is_done_also_if_the_description_is_refused(made: Registered, capsys) -> None:
    with no_room(made.project, "registered_models"):
        version = forced(made, "good")
    assert made.aliases() == {"champion": version}
    said = capsys.readouterr().err
    assert "MLflow has no new description of the model (MlflowException: " in said
