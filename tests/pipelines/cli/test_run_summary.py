"""The commands that a run prints at its end."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.cli import run_summary
from pipelines.flows.train import Outcome
from pipelines.names import MODEL, Logged
from pipelines.tracking import connection
from tests.pipelines.registered import Registered


@pytest.mark.parametrize(
    ("alias", "command"),
    [("challenger", "promote --params a.yaml"), ("previous", "promote 1 --params a.yaml")],
)
def test_it_promotes_the_version_of_this_result(
    made: Registered, capsys, alias: str, command: str
) -> None:
    version = made.version("good")
    if alias != "challenger":
        assert made.version("better") == "2"  # it is the challenger now
        made.client.set_registered_model_alias(MODEL, alias, version)
    assert f"-m pipelines {command}\n" in shown(made, version, capsys)


def test_the_champion_needs_no_promotion(made: Registered, capsys) -> None:
    version = made.version("good")
    made.client.set_registered_model_alias(MODEL, "champion", version)
    text = shown(made, version, capsys)
    assert "nothing new was registered" in text
    assert "pipelines predict" in text
    assert "promote" not in text


def test_it_says_what_is_wrong_with_the_corpus(made: Registered, capsys) -> None:
    version = made.version("good")
    reports = made.project / ".runs/x/reports"
    reports.mkdir(parents=True)
    warning = {"message": "2 texts of test are empty", "remedy": "delete them"}
    (reports / "align.json").write_text(json.dumps({"warnings": [warning]}))
    text = shown(made, version, capsys)
    shutil.rmtree(reports.parent)
    assert "Warning about the corpus: 2 texts of test are empty; delete them\n" in text


def shown(made: Registered, version: str, capsys, params: Path = Path("a.yaml")) -> str:
    logged = Logged(made.runs["good"], MODEL, version, already_logged=True)
    project = connection.check(made.project, model=MODEL)
    outcome = Outcome(project, made.project / ".runs" / "x", {}, logged, 1.0)
    run_summary.show(outcome, made.project, [params])
    return capsys.readouterr().out
