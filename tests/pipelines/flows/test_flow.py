"""The flow on the stand-in project, with a real Prefect server and a real MLflow."""

import shutil
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from pipelines.errors import PipelineError
from pipelines.maintenance import resume_logging
from pipelines.names import MODEL, Logged
from pipelines.registry.aliases import by_alias
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from pipelines.workspaces import run_state, workspace
from tests.pipelines.dvc_repo.test_stages import FIVE
from tests.pipelines.logged import METRICS, artifacts, not_of_the_machine, runs, versions
from tests.pipelines.standin import closed_port, commit


def task_runs(flow_run_id) -> dict:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        return {run.name: run for run in client.read_task_runs(flow_run_filter=wanted)}


def made(project: Path) -> Path:
    """The one workspace that there is."""
    [path] = workspace.all_of(project)
    return path


def overlay(folder: Path, rate: float) -> Path:
    path = folder / f"{rate}.yaml"
    path.write_text(f"train: {{learning_rate: {rate}}}")
    return path


@pytest.mark.slow  # two runs of the flow
def test_equal_results_are_logged_once_and_others_beside_them(short, run, tmp_path) -> None:
    first = run(short).result()
    again = run(short, force=True).result()
    other = run(short, params=[overlay(tmp_path, 0.5)]).result()
    client = connection.connect(short)
    assert again.logged == Logged(first.logged.run_id, MODEL, "1", already_logged=True)
    assert again.workspace != first.workspace
    assert (other.logged.version, other.logged.already_logged) == ("2", False)
    found = {r.info.run_id: r.data.params["train.learning_rate"] for r in runs(client)}
    assert found == {first.logged.run_id: "0.0002", other.logged.run_id: "0.5"}
    assert by_alias(Registry(client, MODEL), "challenger") == "2"
    assert other.figures["test.PER.recall"] == 1.0


@pytest.mark.slow  # so that all others end within eight minutes
def test_tasks_are_the_stages_with_their_dependencies(project, run, prefect_url, tmp_path) -> None:
    with (project / "dvc.yaml").open("a") as file:
        file.write(
            "  compare:\n    cmd: >-\n      echo '{\"gap\": 0.5}' > reports/compare.json\n"
            "    deps: [models/onnx]\n    metrics: [reports/compare.json]\n"
        )
    in_the_way = f"{project / 'stage.py'}/store"
    with (project / ".dvc" / "config").open("a") as file:
        file.write(f"    remote = store\n['remote \"store\"']\n    url = {in_the_way}\n")
    commit(project)
    own = tmp_path / "own.yaml"
    own.write_text("run: {model: Dishes_2.x}")
    ended = run(project, params=[own])
    found = task_runs(ended.state_details.flow_run_id)
    by_id = {task.id: name for name, task in found.items()}
    upstream = {
        name: tuple(sorted(by_id[source.id] for source in task.task_inputs["wait_for"]))
        for name, task in found.items()
        if "wait_for" in task.task_inputs
    }
    expected = {stage.name: stage.upstream for stage in FIVE} | {"compare": ("export",)}
    assert {name: upstream.get(name, ()) for name in found} == expected
    spans = sorted((task.start_time, task.end_time) for task in found.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    warning = ended.result().warning
    assert warning.startswith("The outs were not pushed to the DVC remote store (")
    assert "nothing is lost" in warning
    client = connection.connect(project)
    [logged] = runs(client, "Dishes_2.x")
    assert (ended.result().logged.model, versions(client)) == ("Dishes_2.x", [])
    assert client.get_experiment_by_name(MODEL) is None
    assert logged.data.metrics["compare/gap"] == 0.5
    assert "reports/compare.json" in artifacts(client, logged.info.run_id)
    wanted = {"flow_runs": {"id": {"any_": [str(ended.state_details.flow_run_id)]}}}
    [flow_run] = httpx.post(f"{prefect_url}/flow_runs/filter", json=wanted, trust_env=False).json()
    assert (flow_run["name"], flow_run["tags"]) == (made(project).name, ["Dishes_2.x"])
    [link] = httpx.post(f"{prefect_url}/artifacts/filter", json=wanted, trust_env=False).json()
    assert link["key"] == "dishes-2-x"
    assert "| all types | 0.5000 | 1.0000 | 0.6250 | 4 |" in link["data"]
    assert f"- MLflow run `{logged.info.run_id}`" in link["data"]
    assert "- Version `1` of the model" in link["data"]
    assert f"- Report: `{logged.info.artifact_uri}/reports/index.html`" in link["data"]
    assert f"- Workspace `{made(project)}`" in link["data"]


def test_a_failing_stage_fails_the_flow_and_says_why(project, run, tmp_path, caplog) -> None:
    ended = run(project, params=[overlay(tmp_path, 2)])
    assert ended.is_failed()
    assert "train: the loss is not a number at step 3, learning_rate is 2" in ended.message
    assert f"To repeat it: cd {project / '.runs'}" in ended.message
    assert "dvc repro --single-item train" in ended.message
    assert set(task_runs(ended.state_details.flow_run_id)) == {"download", "align", "train"}
    assert "Traceback" not in caplog.text
    assert versions(connection.connect(project)) == []
    said = run_state.read(made(project))
    assert (said.state, said.reason) == (
        "failed",
        "Stage train failed with exit code 1. Its last lines:",
    )
    [logged] = runs(connection.connect(project))
    assert (logged.info.status, logged.data.tags["stage"]) == ("FAILED", "train")
    assert logged.data.metrics["align/entities_in"] == 7
    assert "the loss is not a number at step 3" in logged.data.tags["mlflow.note.content"]


@pytest.mark.slow  # so that all others end within eight minutes
def test_only_download_is_tried_again(project, run, monkeypatch, tmp_path) -> None:
    from pipelines.flows import stage_tasks

    monkeypatch.setattr(stage_tasks, "RETRY_AFTER_S", 0)
    tries = tmp_path / "tries"
    (project / "stage.py").write_text(
        "import sys, pathlib\n"
        f"tries = pathlib.Path({str(tries)!r})\n"
        "tries.open('a').write(sys.argv[1] + ' ')\n"
        "if tries.read_text().count('download') < 3 or sys.argv[1] == 'align': sys.exit(1)\n"
        "pathlib.Path('data').mkdir(exist_ok=True)\n"
        "pathlib.Path('data/raw.txt').write_text('raw')\n"
    )
    ended = run(project, dirty=True)
    assert ended.is_failed()
    assert tries.read_text().split() == ["download", "download", "download", "align"]


@pytest.mark.slow  # 10 s; test_up_to_date.py has the question itself
def test_a_retrain_asks_unpinned_sources_again(short, run, empty_mlflow, tmp_path) -> None:
    from prefect import flow

    from pipelines.flows.prepare import Request, prepare
    from pipelines.flows.train import train

    def trained(request: Request) -> None:
        with prepare(connection.check(short), request) as prepared:
            train(prepared)

    shutil.copy(empty_mlflow, short)
    asked, stage = tmp_path / "asked", short / "stage.py"
    count = f"    open({str(asked)!r}, 'a').write('x')\ndef align"
    stage.write_text(stage.read_text().replace("def align", count))
    commit(short)
    source = {"bytes": None, "git_blob": None, "sha256": "unpinned"}
    overrides = {"download": {"train": source}}
    again = flow(name="again", persist_result=False, validate_parameters=False)(trained)
    for refetch, times in ((True, 1), (True, 2), (False, 2)):
        again(Request(overrides=overrides, refetch=refetch, force=True))
        assert len(asked.read_text()) == times


def test_an_unreachable_mlflow_stops_no_training(
    short, run, empty_mlflow, monkeypatch, caplog
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    ended = run(short)
    assert f"MLflow at {url} cannot be used" in caplog.text
    assert "The run goes on without it, and is logged at its end" in caplog.text
    assert ended.is_failed()
    assert ended.message.startswith("All stages are done, but MLflow did not take the result")
    assert "\n" not in ended.message
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    shutil.copy(empty_mlflow, short)
    stages_over = time.time() * 1000
    assert resume_logging.log(short, made(short).name).version == "1"
    [logged] = runs(connection.connect(short))
    assert not_of_the_machine(logged.data.metrics) == METRICS
    begun = workspace.find(short, made(short).name).made_ms
    assert begun == logged.info.start_time < logged.info.end_time < stages_over


@pytest.mark.slow  # so that all others end within eight minutes
def test_an_mlflow_that_fails_later_loses_nothing(short, run) -> None:
    in_the_way, away = short / "mlartifacts", short.parent / "away"
    command = f"test -e {away} || (mv {in_the_way} {away} && touch {in_the_way})"
    with (short / "dvc.yaml").open("a") as file:
        file.write(f"  block:\n    cmd: {command}\n    deps: [models/onnx]\n")
    commit(short)
    ended = run(short)
    stages_over = time.time() * 1000
    assert "All stages are done, but MLflow did not take the result" in ended.message
    assert "\n" not in ended.message
    assert run_state.word(made(short)) == "unlogged"
    with pytest.raises(PipelineError, match=f"^MLflow did not accept {made(short).name}"):
        resume_logging.log(short, made(short).name)
    assert run_state.word(made(short)) == "unlogged"
    [failed] = runs(connection.connect(short))
    assert (failed.info.status, failed.data.params["train.learning_rate"]) == ("FAILED", "0.0002")
    in_the_way.unlink()
    away.rename(in_the_way)
    assert f"`python -m pipelines log {made(short).name}`" in ended.message
    logged = resume_logging.log(short, made(short).name)
    assert (logged.version, logged.already_logged) == ("1", False)
    assert run_state.word(made(short)) == "complete"
    [found] = runs(connection.connect(short))
    assert found.info.run_id == logged.run_id == failed.info.run_id
    assert found.info.status == "FINISHED"
    assert found.info.start_time < found.info.end_time < stages_over
    assert found.data.tags["prefect_run_id"] == str(ended.state_details.flow_run_id)
    assert resume_logging.log(short, made(short).name[:16]).already_logged


def test_the_parameters_are_described_for_a_form(run) -> None:
    from pipelines.flows.train import msra_ner

    shown = msra_ner.parameters.properties
    assert set(shown) == {"params", "dirty", "project", "force"}
    assert all(field["description"] for field in shown.values())
