"""Promotion where files are gone, cut or of another test split."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from dvc.config import Config

from pipelines.errors import Exit
from pipelines.promotion import isolated_model
from pipelines.promotion.promote import rollback
from tests.pipelines import registered
from tests.pipelines.promotion.promoting import forced, go, refused
from tests.pipelines.registered import Registered


def test_files_that_are_gone_stop_even_force(made: Registered, tmp_path: Path) -> None:
    model = model_folder(made, "worse")
    version = made.version("worse")
    for gone in (model / "artifacts/onnx/model.onnx", model / "MLmodel", model):
        shutil.move(gone, tmp_path / "away")
        for given in ({}, {"force": True, "reason": "now"}):
            error = refused(Exit.FILES, go, made, version, **given)
            assert str(error).startswith(f"Files of version {version} of msra-ner are missing (")
            assert "\n" not in str(error)
        shutil.move(tmp_path / "away", gone)
    onnx = model / "artifacts/onnx/model.onnx"
    onnx.write_text("another")
    error = refused(Exit.FILES, go, made, version, force=True, reason="now")
    assert "is not the file that was exported" in str(error)
    onnx.write_text("onnx")
    run_id = made.runs["worse"]
    name = "reports/predictions.jsonl"
    counts = Path(made.client.download_artifacts(run_id, name)).read_text()
    lines = counts.splitlines(keepends=True)
    other = counts.replace('"predicted": [[0, 2', '"predicted": [[0, 1', 1)
    for changed in (counts + lines[0], "".join(lines[:-1]), counts[:-9], other, "[1]\n", "<html>"):
        made.client.log_text(run_id, changed, name)
        error = refused(Exit.FILES, go, made)
        assert str(error).startswith(
            f"{name} of version {version} of msra-ner is missing or damaged ("
        )
    made.client.log_text(run_id, counts, name)
    assert made.aliases() == {"challenger": version}


def test_a_changed_model_does_not_load(made: Registered) -> None:
    onnx = model_folder(made, "worse") / "artifacts/onnx/model.onnx"
    onnx.write_text("another")
    version = made.version("worse", onnx_sha256=None, checksums_sha256=None)
    try:
        said = str(refused(Exit.FILES, go, made))
        assert said.startswith(f"The model of version {version} of msra-ner is not the one that ")
        assert ": artifacts/onnx/model.onnx has SHA-256 " in said
        said = str(refused(Exit.FILES, isolated_model.entities, onnx.parents[2], ["北京"]))
        assert said.startswith("The artifacts's model does not run here (The model in ")
        assert "is not the one that was registered: model.onnx has SHA-256 " in said
    finally:
        onnx.write_text("onnx")


def test_a_model_that_does_not_run_is_not_promoted(made: Registered) -> None:
    tagger = made.project / "stages/serving/tagger.py"
    code = tagger.read_text()
    tagger.write_text(code.replace('== "onnx"', '== "of another opset"'))
    try:
        made.log("broken", 95)
    finally:
        tagger.write_text(code)
    made.version("broken")
    error = refused(Exit.FILES, go, made)
    assert str(error) == "The challenger's model does not run here (AssertionError)"


def test_a_registered_models_process_has_no_password(
    made: Registered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pipelines.promotion import isolated_model

    # Python runs it first, in that process too.
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\nopen({str(tmp_path / 'seen')!r}, 'w').write(' '.join(os.environ))\n"
    )
    for key, value in {"PYTHONPATH": str(tmp_path), "MLFLOW_TRACKING_PASSWORD": "p4ss"}.items():
        monkeypatch.setenv(key, value)
    found = isolated_model.entities(model_folder(made, "worse"), ["我在北京"])
    assert found == [{(2, 4, "LOC")}]
    seen = (tmp_path / "seen").read_text().split()
    assert "PYTHONPATH" in seen
    assert "MLFLOW_TRACKING_PASSWORD" not in seen


def test_a_champion_whose_files_are_gone_fails_the_comparison(
    made: Registered, tmp_path: Path
) -> None:
    first = forced(made, "worse")
    second = made.version("better")
    model = model_folder(made, "worse")
    shutil.move(model, tmp_path / "away")
    try:
        error = refused(Exit.GATES, go, made, second)
        [failed] = [gate for gate in error.gates if not gate["passed"]]
        assert failed["name"] == "not_worse"
        assert failed["said"].startswith(
            "the champion has no F1 to compare with: Files of version"
            f" {first} of msra-ner are missing"
        )
        go(made, second, force=True, reason="it is gone")
        assert made.aliases() == {"champion": second, "previous": first}
        error = refused(Exit.FILES, rollback, made.registry, made.project)
        assert made.aliases() == {"champion": second, "previous": first}
    finally:
        shutil.move(tmp_path / "away", model)


class TestOtherTestData:
    """The champion was scored on another test split than the challenger."""

    @pytest.fixture
    def split(self, made: Registered, tmp_path: Path) -> Iterator[Path]:
        """A run on a split of its own; the path is where DVC's cache has that."""
        md5, sha = registered.write_test_split(tmp_path / "test.parquet")
        if "other" not in made.runs:
            made.log("other", registered.SENTENCES, **{"export.test_sha256": sha})
            run_id = made.runs["other"]
            found = [[[1, 3, "LOC"]], [[0, 2, "LOC"], [3, 5, "LOC"]], []] * 20
            rows = "".join(json.dumps({"gold": s, "predicted": s}) + "\n" for s in found)
            made.client.log_text(run_id, rows, "reports/predictions.jsonl")
            made.client.log_text(run_id, "", "reports/slices.jsonl")
            made.client.log_text(run_id, registered.dvc_lock(md5), "dvc.lock")
            made.client.log_metric(run_id, "export.test_sentences", 60)
        cached = made.project / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        cached.parent.mkdir(parents=True)
        shutil.move(tmp_path / "test.parquet", cached)
        yield cached
        shutil.rmtree(made.project / ".dvc" / "cache")

    def test_the_champion_is_scored_again_on_a_split_from_the_remote(
        self, made: Registered, split: Path, tmp_path: Path
    ) -> None:
        away = tmp_path / "remote" / split.relative_to(made.project / ".dvc" / "cache")
        away.parent.mkdir(parents=True)
        shutil.move(split, away)
        local = made.project / ".dvc" / "config.local"
        with Config(str(made.project / ".dvc")).edit("local") as config:
            config["remote"] = {"store": {"url": str(tmp_path / "remote")}}
            config["core"] = {"remote": "store"}
        try:
            forced(made, "good")
            version = made.version("other")
            go(made, version)
            # It finds 北京 in 40 sentences and misses 上海 in 20: F1 is 80 / 100.
            gate = made.tags(version)["gate.not_worse"]
            assert gate.startswith("passed F1 +0.2000 against the champion, 95% interval [+0.1")
            assert gate.endswith(", champion rescored on this test data")
            assert split.is_file()
        finally:
            local.unlink()

    def test_a_split_that_is_nowhere_fails_with_what_to_do(
        self, made: Registered, split: Path
    ) -> None:
        split.unlink()
        forced(made, "good")
        made.version("other")
        error = refused(Exit.GATES, go, made)
        [failed] = [gate for gate in error.gates if not gate["passed"]]
        assert failed["said"].startswith(
            "the champion has no F1 to compare with: The test split of version 2 is missing ("
        )
        assert "run `dvc pull data/aligned/test.parquet` at its commit c0ffee" in failed["said"]
        assert "\n" not in failed["said"]


def model_folder(made: Registered, run: str) -> Path:
    [output] = made.client.get_run(made.runs[run]).outputs.model_outputs
    location = mlflow.get_logged_model(output.model_id).artifact_location
    return Path(location.removeprefix("file://"))
