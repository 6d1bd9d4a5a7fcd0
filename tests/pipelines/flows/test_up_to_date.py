"""Nothing to do: what counts as a change, and how a run that was not needed looks."""

import hashlib
import json
import shutil
from pathlib import Path

import httpx
import pytest
import yaml

from pipelines.cli.app import main
from pipelines.dvc_repo import fingerprint
from pipelines.errors import NothingToDo
from pipelines.flows import gpu_slot, up_to_date
from pipelines.flows.prepare import Request, prepare
from pipelines.promotion import decision
from pipelines.registry import aliases
from pipelines.tracking import connection, run_log
from pipelines.workspaces import overlays, workspace
from tests.pipelines import done, standin
from tests.pipelines.logged import runs

SAID = "Nothing to do: source, code, parameters and image are those of msra-ner version 1"
SOURCE = """\
    Path("data/corpus").mkdir(parents=True, exist_ok=True)
    import hashlib
    found = {
        split: {"sha256": hashlib.sha256(Path(of["sources"][0]).read_bytes()).hexdigest()}
        for split, of in params["download"].items() if split in ("train", "test")
    }
    put("data/corpus/source.json", found)
def align"""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A project with one run that is logged."""
    project = standin.project(tmp_path_factory.mktemp("once") / "project")
    shutil.copy(empty_mlflow, project)
    finish(project)
    return project


@pytest.fixture
def finished(once: Path, tmp_path: Path) -> Path:
    """A copy of it: what MLflow's tags say is asked, not its files."""
    return Path(shutil.copytree(once, tmp_path / "project", symlinks=True))


def finish(project: Path) -> str:
    """One run more, as the flow does it; gives its version."""
    made, connected = done.run(project), connection.check(project)
    logged = run_log.log_run(connected, made)
    up_to_date.remember(connected, made, logged, pushed=True)
    return logged.version


def needed(project: Path, **asked) -> bool:
    try:
        with prepare(connection.check(project), Request(dirty=True, **asked)):
            return True
    except NothingToDo:
        return False


def test_a_run_that_finds_nothing_to_do_says_so_and_logs_nothing(
    finished: Path, run, prefect_url: str
) -> None:
    ended = run(finished)
    assert (ended.type.value, ended.name) == ("COMPLETED", "NothingToDo")
    assert ended.message == SAID
    assert len(workspace.all_of(finished)) == 1
    [logged] = runs(connection.connect(finished))
    wanted = {"flow_runs": {"id": {"any_": [str(ended.state_details.flow_run_id)]}}}
    [link] = httpx.post(f"{prefect_url}/artifacts/filter", json=wanted, trust_env=False).json()
    assert f"run `{logged.info.run_id}`" in link["data"]


def test_the_command_says_it_in_a_line(
    finished: Path, run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    assert main(["run"]) == 0
    assert capsys.readouterr().out == f"{SAID}; --force runs anyway\n"
    assert len(runs(connection.connect(finished))) == 1


def test_a_scheduled_run_does_not_even_wait_for_the_gpu(
    finished: Path, run, prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.flows.deployments import retrain

    monkeypatch.chdir(finished)
    monkeypatch.setattr(gpu_slot, "SLOT", "of-nobody")  # to wait for it would fail
    given = {"ref": "main", "promote": False, "wait_minutes": 0.01, "force": False}
    ended = retrain(**given, return_state=True)
    assert (ended.type.value, ended.name, ended.message) == ("COMPLETED", "NothingToDo", SAID)
    wanted = {"flow_runs": {"id": {"any_": [str(ended.state_details.flow_run_id)]}}}
    [left] = httpx.post(f"{prefect_url}/artifacts/filter", json=wanted, trust_env=False).json()
    assert (left["key"], left["description"]) == ("msra-ner", "msra-ner: nothing to do")
    assert SAID in left["data"]
    assert retrain(**given | {"force": True}, return_state=True).is_failed()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("stage.py", "import json", "import  json"),
        ("params.yaml", "warmup_fraction: 0.1", "warmup_fraction: 0.2"),
        ("dvc.yaml", "cmd: python stage.py train", "cmd: python  stage.py train"),
        ("dvc.yaml", "reports/predictions.jsonl]", "reports/prediction.jsonl]"),
    ],
)
def test_a_change_is_something_to_do(finished: Path, file: str, before: str, after: str) -> None:
    assert not needed(finished)
    path = finished / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert needed(finished)


def test_what_no_stage_reads_is_no_change(finished: Path) -> None:
    params = finished / "params.yaml"
    params.write_text(params.read_text().replace("free_disk_gb: 6", "free_disk_gb: 7 # more"))
    assert not needed(finished)


def test_the_fingerprint_is_the_same_before_and_after_a_run(finished: Path) -> None:
    [after] = workspace.all_of(finished)
    before = workspace.create(finished, [], dirty=True)
    assert (after / "data").exists() > (before.path / "data").exists()
    assert fingerprint.of(before.path) == fingerprint.of(after)


@pytest.mark.parametrize("lacking", ["version", "whole run", "push", "another remote"])
def test_a_run_that_did_not_finish_does_not_count(finished: Path, lacking: str) -> None:
    client = connection.connect(finished)
    [logged] = runs(client)
    if lacking == "version":
        client.delete_registered_model("msra-ner")
    elif lacking == "whole run":
        client.delete_tag(logged.info.run_id, "log_complete")
    elif lacking == "push":
        client.set_tag(logged.info.run_id, up_to_date.REMOTE, "failed")
    else:
        with (finished / ".dvc" / "config").open("a") as file:
            file.write("    remote = store\n['remote \"store\"']\n    url = /nowhere\n")
    assert needed(finished)


@pytest.mark.slow  # so that all others end within eight minutes
def test_an_unpinned_source_is_asked_and_counts_by_its_hash(
    project: Path, empty_mlflow: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_mlflow, project)
    params = yaml.safe_load((project / "params.yaml").read_text())
    for split in ("train", "test"):
        (tmp_path / split).write_text("one")
        unpinned = {"bytes": None, "git_blob": None, "sha256": "unpinned"}
        params["download"][split] = {"sources": [str(tmp_path / split)], **unpinned}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    stage, dvc_yaml = project / "stage.py", project / "dvc.yaml"
    stage.write_text(stage.read_text().replace("def align", SOURCE))
    dvc_yaml.write_text(
        dvc_yaml.read_text().replace(
            "[data/raw.txt]\n  align", "[data/raw.txt, data/corpus]\n  align"
        )
    )
    finish(project)
    [logged] = runs(connection.connect(project))
    profiles = [given.dataset.profile for given in logged.inputs.dataset_inputs]
    [profile] = map(json.loads, filter(None, profiles))
    assert profile["train"]["sha256"] == hashlib.sha256(b"one").hexdigest()
    assert not needed(project, refetch=True)
    (tmp_path / "test").write_text("two")
    assert not needed(project)  # by hand: what DVC has is good enough
    assert needed(project, refetch=True)
    (tmp_path / "test").unlink()  # the run itself says what is wrong
    assert needed(project, refetch=True)


def test_a_promotion_that_is_not_decided_yet_is_something_to_do(finished: Path) -> None:
    client = connection.connect(finished)
    assert needed(finished, promote=True)
    gates = overlays.sections(finished).promote
    decision.decide(connection.check(finished).registry, "1", gates, None)
    assert not needed(finished, promote=True)
    client.set_registered_model_alias("msra-ner", aliases.CHAMPION, "1")
    assert not needed(finished, promote=True)
    asked = Request(dirty=True, promote=True)
    with (
        pytest.raises(NothingToDo, match=r"version 1, the champion$"),
        prepare(connection.check(finished), asked),
    ):
        pass


@pytest.mark.parametrize("by", ["gates", "champion"])
def test_other_gates_or_another_champion_open_the_question_again(finished: Path, by: str) -> None:
    client = connection.connect(finished)
    decision.decide(
        connection.check(finished).registry, "1", overlays.sections(finished).promote, None
    )
    params = finished / "params.yaml"
    if by == "gates":
        params.write_text(params.read_text().replace("f1_min: 0.93", "f1_min: 0.5", 1))
    else:
        other = client.create_run(runs(client)[0].info.experiment_id)
        made = client.create_model_version("msra-ner", "x", other.info.run_id)
        client.set_registered_model_alias("msra-ner", aliases.CHAMPION, made.version)
    assert needed(finished, promote=True)
    assert not needed(finished)
