"""Runs with a growing source: each takes what stands there, and ends if that is nothing new."""

import json
import os
from pathlib import Path

import pytest
import yaml

from pipelines.cli.app import main
from pipelines.errors import PipelineError
from pipelines.flows.prepare import Request, prepare
from pipelines.maintenance.bring import bring
from pipelines.tracking import connection
from pipelines.workspaces import workspace
from stages.contract.hashing import checksums
from tests.pipelines.logged import artifacts, runs
from tests.pipelines.standin import commit

GOOD = '{"text": "安娜。", "label": [[0, 2, "PER"]]}\n'
# What `download` does with them, as far as DVC and MLflow see it.
STAGE = """\
    Path("data/corpus").mkdir(parents=True, exist_ok=True)
    files = json.loads(Path("inputs/growing/files.json").read_text())
    fixed = {split: {"sha256": "7e57"} for split in ("train", "test")}
    put("data/corpus/source.json", {"name": "corpus", **fixed, "growing": files})
    import shutil
    shutil.copytree("inputs/growing", "data/corpus/growing", dirs_exist_ok=True)
    Path("data/corpus/growing/files.json").unlink()
def align"""


@pytest.fixture
def labels(short: Path, tmp_path: Path) -> Path:
    """The growing source of the project `short`, with one file."""
    stage, dvc_yaml, params = (short / name for name in ("stage.py", "dvc.yaml", "params.yaml"))
    stage.write_text(stage.read_text().replace("def align", STAGE))
    stages = yaml.safe_load(dvc_yaml.read_text())
    [one] = stages["stages"].values()
    one["deps"], one["outs"] = [*one["deps"], "inputs"], [*one["outs"], "data/corpus"]
    dvc_yaml.write_text(yaml.safe_dump(stages))
    given = yaml.safe_load(params.read_text())
    folder = tmp_path / "labels"
    given["download"]["growing"] = {
        "source": str(folder), "broken_share_max": 0.7, "settled_s": 60.0,
    }  # fmt: skip
    params.write_text(yaml.safe_dump(given))
    commit(short)
    folder.mkdir()
    add(folder, "a.jsonl", GOOD)
    return folder


def add(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    os.utime(folder / name, (0, 0))


def names(made: Path) -> list[str]:
    """The files that the run in this workspace had."""
    source = json.loads((made / "data/corpus/source.json").read_text("utf-8"))
    return [file["name"] for file in source["growing"]]


def test_a_run_tells_what_it_left_out_and_nothing_new_is_nothing_to_do(
    short: Path, labels: Path, run, caplog, monkeypatch
) -> None:
    from pipelines.flows.deployments import retrain

    add(labels, "b.jsonl", GOOD[:9])
    run(short).result()
    said = "b.jsonl of the growing source is broken: b.jsonl:1: not JSON ("
    assert f"Growing source {labels}: 1 file, 1 sentence; 1 broken" in caplog.text
    assert said in caplog.text
    client = connection.connect(short)
    [logged] = runs(client)
    figures = {key: logged.data.metrics[f"measured/growing.{key}"] for key in ("files", "broken")}
    assert figures == {"files": 1, "broken": 1}
    assert "measured/growing.json" in artifacts(client, logged.info.run_id)
    for tag in ("data_warnings", "mlflow.note.content"):
        assert said in logged.data.tags[tag]
    datasets = [given.dataset for given in logged.inputs.dataset_inputs if given.dataset.profile]
    digests = {dataset.digest for dataset in datasets}
    assert [json.loads(d.profile)["growing"][0]["name"] for d in datasets] == ["a.jsonl"] * 2
    assert "7e57" in digests  # of test; train's has the added file in it
    assert len(digests) == 2

    add(labels, "c.jsonl", "half")
    monkeypatch.chdir(short)
    given = {"ref": "main", "promote": False, "wait_minutes": 0.01, "force": False}
    nothing = retrain(**given, return_state=True)
    assert nothing.name == "NothingToDo"
    assert "those of msra-ner version 1; b.jsonl of the growing source is broken" in nothing.message
    assert "; c.jsonl of the growing source is broken: c.jsonl:1: not JSON" in nothing.message
    add(labels, "d.jsonl", "half")
    refused = retrain(**given, return_state=True)
    assert refused.is_failed()
    assert refused.message.startswith("3 of 4 files in the growing source")


@pytest.mark.slow  # 20 s: two runs, and a third by `rebuild`
def test_a_version_is_rebuilt_after_the_source_has_grown(
    short: Path, labels: Path, run, capsys, monkeypatch
) -> None:
    first = run(short).result()
    add(labels, "c.jsonl", GOOD + GOOD)
    second = run(short).result()
    assert sorted(names(second.workspace)) == ["a.jsonl", "c.jsonl"]
    assert names(first.workspace) == ["a.jsonl"]

    monkeypatch.chdir(short)
    assert main(["rebuild", "1"]) == 0
    assert "download: its sources may change, so the data comes from DVC" in capsys.readouterr().err
    made = workspace.all_of(short)[0]
    assert names(made) == ["a.jsonl"]
    taken = [checksums(path / "inputs/growing") for path in (made, first.workspace)]
    assert taken[0] == taken[1]
    with pytest.raises(PipelineError, match=r"inputs \(copy .*/inputs/growing there\)"):
        bring(short, first.workspace.name, with_params=False)


def test_an_evaluation_takes_none(short: Path, labels: Path, empty_mlflow: Path) -> None:
    (short / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    request = Request(purpose="evaluation", force=True)
    with prepare(connection.check(short), request) as prepared:
        taken = prepared.workspace.path / "inputs" / "growing"
        assert [(path.name, path.read_text()) for path in taken.iterdir()] == [
            ("files.json", "[]\n")
        ]
    labels.rename(labels.with_name("gone"))
    refused = f"labels: {labels} is not a folder; create it, or correct the path"
    with pytest.raises(PipelineError, match=refused), prepare(connection.check(short), Request()):
        pass
    assert not workspace.all_of(short)
