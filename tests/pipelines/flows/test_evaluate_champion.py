"""The nightly look at the champion: real model, real split, figures worked out by hand."""

import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.flows import gpu_slot
from pipelines.flows.nightly.evaluate_champion import cell_tags
from pipelines.tracking import connection
from tests.pipelines.flows.test_flow import task_runs
from tests.pipelines.standin import ROOT, commit

ALIGN = """\
    import pyarrow as pa, pyarrow.parquet as pq
    Path("data/aligned").mkdir(exist_ok=True)
    tags = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    put("data/aligned/labels.json", {"tags": tags, "window_tokens": 8, "window_overlap_tokens": 2,
        "cls_id": 1, "sep_id": 2, "unknown_id": 3})
    # The stand-in finds 北京, be it two cells or one, and misses the person: P 2/2, R 2/3, F1 0.8.
    cells = [["他", "在", "北", "京"], ["李", "明"], ["北京", "人"]]
    labels = [[-100, 0, 0, 1, 2, -100], [-100, 3, 4, -100], [-100, 1, 0, -100]]
    pq.write_table(pa.table({"sentence": [0, 1, 2], "cells": cells, "labels": labels,
        "input_ids": [[9] * len(row) for row in labels]}), "data/aligned/test.parquet")
"""


@pytest.fixture(scope="module")
def watched(ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with version 1 and a test split."""
    project = tmp_path_factory.mktemp("watched") / "project"
    shutil.copytree(ran[0], project, symlinks=True, ignore=shutil.ignore_patterns(".runs"))
    stage, yaml = project / "stage.py", project / "dvc.yaml"
    stage.write_text(
        stage.read_text().replace(
            '    put("data/aligned.txt"', ALIGN + '    put("data/aligned.txt"'
        )
    )
    yaml.write_text(
        yaml.read_text().replace("[data/aligned.txt]", "[data/aligned.txt, data/aligned]")
    )
    commit(project)
    return project


@pytest.fixture
def evaluate(watched: Path, prefect_url: str, monkeypatch: pytest.MonkeyPatch):
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from pipelines.flows.nightly.evaluate_champion import evaluate_champion

    monkeypatch.chdir(watched)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with temporary_settings({PREFECT_API_URL: prefect_url}):
        with get_client(sync_client=True) as client:
            client.upsert_global_concurrency_limit_by_name(gpu_slot.SLOT, 1)
        yield lambda f1_min: evaluate_champion(gate(watched, f1_min), {}, 1, return_state=True)


@pytest.fixture
def champion(watched: Path):
    client = connection.connect(watched)
    client.set_registered_model_alias("msra-ner", "champion", "1")
    yield client
    client.delete_registered_model_alias("msra-ner", "champion")


def gate(project: Path, f1_min: float) -> str:
    """Commits the gate, gives the commit."""
    params = project / "params.yaml"
    params.write_text(re.sub(r"f1_min: [\d.]+", f"f1_min: {f1_min}", params.read_text(), count=1))
    return commit(project)


def artifact(flow_run_id) -> str:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        [found] = client.read_artifacts(flow_run_filter=wanted)
    return str(found.data)


@pytest.mark.slow  # so that all others end within eight minutes
def test_a_drop_below_the_floor_fails_with_figure_and_floor(
    watched: Path, evaluate, champion: MlflowClient
) -> None:
    fine, low = evaluate(0.75), evaluate(0.9)
    said = "msra-ner version 1, the champion: F1 0.8000 on the test split,"
    assert fine.is_completed(), fine.message
    assert fine.message == f"{said} the floor is 0.75"
    assert low.is_failed()
    assert low.message.startswith(f"{said} below the floor of 0.9: ")
    assert set(task_runs(low.state_details.flow_run_id)) == {"download", "align"}
    assert "| all types | 1.0000 | 0.6667 | 0.8000 |" in artifact(low.state_details.flow_run_id)
    experiment = champion.get_experiment_by_name("msra-ner-champion")
    [run] = champion.search_runs([experiment.experiment_id])
    assert run.data.tags["version"] == "1"
    assert run.data.tags["prefect_run_id"] == str(low.state_details.flow_run_id)
    points = champion.get_metric_history(run.info.run_id, "aggregate/f1")
    assert [(p.step, round(p.value, 6)) for p in points] == [(0, 0.8), (1, 0.8)]
    assert run.data.metrics["test/PER.recall"] == 0
    assert run.data.metrics["test/LOC.support"] == 2


def test_no_champion_is_said(evaluate) -> None:
    state = evaluate(0.5)
    assert state.is_failed()
    assert state.message == "msra-ner has no champion: promote a version"
    assert "msra-ner has no champion: promote a version" in artifact(
        state.state_details.flow_run_id
    )


def test_an_entity_covers_the_cells_that_it_touches() -> None:
    entity = (1, 4, "LOC")
    assert cell_tags(["a", "bc", "de", "f"], [entity]) == ["O", "B-LOC", "I-LOC", "O"]
    assert cell_tags(["a"], []) == ["O"]


def test_a_server_without_the_slot_is_said(evaluate, monkeypatch) -> None:
    monkeypatch.setattr(gpu_slot, "SLOT", "of-nobody")
    state = evaluate(0.7)
    assert state.is_failed()
    assert re.match(
        r"Prefect has no slot of-nobody \(.*\): run `python -m pipelines setup`",
        state.message,
    )
