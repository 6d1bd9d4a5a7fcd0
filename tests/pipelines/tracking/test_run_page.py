"""What a person sees of a run in MLflow."""

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mlflow import MlflowClient

from pipelines.names import MODEL
from pipelines.tracking import connection, run_page
from pipelines.tracking.connection import Need, Project
from pipelines.workspaces import workspace
from pipelines.workspaces.workspace import Workspace
from tests.pipelines.logged import artifacts, runs
from tests.pipelines.standin import git

SCORES = {"f1": 0.8, "f1_low": 0.7, "f1_high": 0.9}
METRICS = {"test": {**SCORES, "ece": 0.1, "PER": SCORES, "LOC": SCORES}}
FILES = {
    "reports/train.csv": "step,loss,lr,dev_f1\n1,2.0,0.1,\n2,1.0,0.1,0.5\n",
    "reports/metrics.json": json.dumps(METRICS),
    "reports/reliability.csv": "low,high,confidence,precision,support\n0.5,1.0,0.9,0.8,7\n",
}


def mistake(sentence: str, side: str, text: str, against: str, confidence: float) -> str:
    """A line of errors.jsonl."""
    found = {"kind": "too_short", "side": side, "text": text, "type": "PER"}
    found |= {"against": [{"text": against, "type": "PER"}], "sentence": sentence}
    return json.dumps(found | {"confidence": confidence}) + "\n"


@pytest.fixture
def opened(copied: Path) -> tuple[Project, Workspace, str]:
    """A logged run: its project, workspace and id."""
    connected = connection.check(copied)
    [run] = runs(connected.client)
    made = workspace.find(copied, workspace.all_of(copied)[0].name)
    return connected, made, run.info.run_id


def test_plots_stand_beside_their_data_and_sentences_in_a_table(opened, tmp_path: Path) -> None:
    client = opened[0].client
    run_id = client.create_run(opened[0].experiment_id).info.run_id
    errors = mistake("一", "predicted", "李", "李明", 0.75) + mistake(
        "二", "gold", "王", "王芳", 0.5
    )
    errors += mistake("二", "predicted", "王芳", "王", 0.5)
    paths = {}
    for name, text in {**FILES, "reports/errors.jsonl": errors}.items():
        paths[name] = tmp_path / Path(name).name
        paths[name].write_text(text)
    run_page.log_pictures(client, run_id, paths)
    plots = {path for path in artifacts(client, run_id) if path.endswith(".svg")}
    names = ("loss", "dev_f1", "f1_by_type", "reliability")
    assert plots == {f"reports/{name}.svg" for name in names}
    drawn = client.download_artifacts(run_id, run_page.TYPES)
    by_type = ElementTree.parse(drawn)  # noqa: S314  our own
    words = {element.text for element in by_type.iter() if element.tag.endswith("}text")}
    assert {"F1 on test by type, with intervals", "PER", "LOC"} <= words
    table = Path(client.download_artifacts(run_id, run_page.WORST))
    assert json.loads(table.read_text()) == {
        "columns": ["sentence", "predicted", "gold", "mistakes", "weight"],
        "data": [
            ["二", "王芳 PER", "王 PER", "too short", 1.0],
            ["一", "李 PER", "李明 PER", "too short", 0.75],
        ],
    }


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("git@github.com:us/ner.git", "https://github.com/us/ner/commit/"),
        (
            "https://me:secret@git.example.org/us/ner",  # pragma: allowlist secret
            "https://git.example.org/us/ner/commit/",
        ),
        ("ssh://git@example.org:2222/ner.git", "https://example.org/ner/commit/"),
        ("/srv/ner.git", None),
    ],
)
def test_the_description_links_to_report_flow_and_commit(opened, origin, page) -> None:
    project, made, run_id = opened
    git(project.folder, "remote", "add", "origin", origin)
    text = run_page.description(project, made, run_id)
    here = f"#/experiments/{project.experiment_id}/runs/{run_id}"
    view = "?workflowType=machine_learning"
    assert f"[Run]({here}{view}) · [Report]({here}/artifacts/reports/index.html{view})" in text
    commit = f"commit `{made.commit[:8]}`"
    assert (f"[{commit}]({page}{made.commit})" if page else f"· {commit}") in text
    assert "secret" not in text


def test_the_logged_report_alone_names_version_commit_and_date(opened) -> None:
    project, made, _ = opened
    run_id = project.client.create_run(project.experiment_id).info.run_id
    of_stage = made.path / run_page.REPORT
    text = "<dl><div data-run><dt>Version</dt><dd>elsewhere</dd></div></dl>"
    of_stage.unlink()  # it may be a link to DVC's cache
    of_stage.write_text(text)
    run_page.log_report(project, replace(made, dirty_diff="<b>"), run_id, "7")
    logged = Path(project.client.download_artifacts(run_id, run_page.REPORT)).read_text()
    facts = dict(re.findall("<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", logged))
    assert facts == {
        "Model": f"{MODEL} version 7",
        "Commit": f"{made.commit[:8]} with uncommitted changes",
        "Date": f"{datetime.strptime(made.run_id[:14], '%Y%m%dT%H%M%S'):%Y-%m-%d %H:%M} UTC",
        "Run": made.run_id,
    }
    assert "elsewhere" not in logged
    assert of_stage.read_text() == text


def test_run_version_and_model_have_the_card(opened) -> None:
    client, run_id = opened[0].client, opened[2]
    texts = [
        client.get_run(run_id).data.tags["mlflow.note.content"],
        client.get_model_version(MODEL, "1").description,
        client.get_registered_model(MODEL).description,
    ]
    assert all("# The card" in text and "[Run](#/" in text for text in texts)
    assert texts[2].startswith("There is no champion yet.\n\n## Version 1\n")


def test_the_experiment_is_one_of_training_unless_a_person_chose(opened) -> None:
    project, client, key = opened[0].folder, opened[0].client, connection.KIND[0]

    def kind(client: MlflowClient) -> str | None:
        return client.get_experiment(opened[0].experiment_id).tags.get(key)

    assert kind(client) == "custom_model_development"
    client.delete_experiment_tag(opened[0].experiment_id, key)
    connection.check(project, Need.LOG)
    assert kind(client) == "custom_model_development"
    client.set_experiment_tag(opened[0].experiment_id, key, "genai_development")
    connection.check(project, Need.LOG)
    assert kind(client) == "genai_development"
