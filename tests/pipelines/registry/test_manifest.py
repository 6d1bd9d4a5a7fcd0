"""The checksums of a registered model: what is in them, and what they refuse at a promotion."""

import shutil
import subprocess
from pathlib import Path

import mlflow
import pytest

from pipelines.errors import Exit
from pipelines.names import MODEL
from pipelines.promotion import version_files
from pipelines.registry import manifest
from pipelines.registry.keys import PROGRAMS
from stages.contract.hashing import as_text, checksums, difference, from_text
from tests.pipelines.promotion.promoting import go, refused
from tests.pipelines.promotion.test_promote_files import model_folder
from tests.pipelines.registered import Registered


@pytest.fixture
def kept(made: Registered, tmp_path: Path):
    """The folder of `worse`, in which a test may do harm, and its version."""
    model = model_folder(made, "worse")
    shutil.copytree(model, tmp_path / "whole")
    yield model, made.version("worse")
    shutil.rmtree(model)
    shutil.copytree(tmp_path / "whole", model)


def test_it_names_each_file_and_sha256sum_reads_it(made: Registered, kept, tmp_path: Path) -> None:
    model, version = kept
    tagged = made.client.get_model_version(MODEL, version)
    text = Path(made.client.download_artifacts(made.runs["worse"], manifest.FILE)).read_text()
    fetched = version_files.fetch(tagged, tmp_path / "fetched")
    files = {p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()}
    assert from_text(text).keys() == {name for name in files if "__pycache__" not in name}
    assert {"MLmodel", "artifacts/onnx/labels.json", "code/stages/serving/tagger.py"} <= files
    subprocess.run(
        ["sha256sum", "--check", "--strict"],
        cwd=fetched,
        input=text,
        text=True,
        check=True,
        capture_output=True,
    )


def code(model: Path) -> None:
    (model / "code/stages/serving/tagger.py").write_text("import os")


def an_empty_file_more(model: Path) -> None:
    (model / "code/stages/serving/torch.py").touch()


def one_less(model: Path) -> None:
    (model / "requirements.txt").unlink()


def the_way_out(model: Path) -> None:
    text = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(text.replace("path: artifacts/onnx", "path: ../../../.."))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (code, "is not the one that was registered: code/stages/serving/tagger.py has SHA-256 "),
        (
            an_empty_file_more,
            "registered: code/stages/serving/torch.py was not there; restore its ",
        ),
        (one_less, "registered: requirements.txt is gone; restore its artifacts"),
        (the_way_out, "its MLmodel points outside its folder, to "),
    ],
)
def test_a_changed_model_is_not_promoted(made: Registered, kept, harm, said: str) -> None:
    model, version = kept
    harm(model)
    error = refused(Exit.FILES, go, made, version, force=True, reason="now")
    assert said in str(error)
    assert "\n" not in str(error)
    assert made.aliases() == {"challenger": version}


def test_what_python_compiled_is_not_trusted(made: Registered, kept, tmp_path: Path) -> None:
    model, version = kept
    cache = model / "code" / "stages" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "tagger.cpython-311.pyc").write_bytes(b"anything")
    tagged = made.client.get_model_version(MODEL, version)
    assert list(version_files.fetch(tagged, tmp_path / "fetched").rglob("__pycache__")) == []


def test_the_checksums_themselves_cannot_be_changed(made: Registered, kept) -> None:
    model, version = kept
    text = Path(made.client.download_artifacts(made.runs["worse"], manifest.FILE)).read_text()
    code(model)
    forged = from_text(text) | {"code/stages/serving/tagger.py": "0" * 64}
    made.client.log_text(made.runs["worse"], as_text(forged), manifest.FILE)
    try:
        error = refused(Exit.FILES, go, made, version, force=True, reason="now")
        assert "registered: checksums.sha256 has SHA-256 " in str(error)
    finally:
        made.client.log_text(made.runs["worse"], text, manifest.FILE)


def test_equal_folders_have_no_difference(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "二  .txt").write_text("x")
    sums = checksums(tmp_path)
    assert list(sums) == ["a b/二  .txt"]
    assert difference(sums, from_text(as_text(sums))) is None


@pytest.mark.parametrize("of_the_run_too", [False, True])
def test_a_deleted_tag_hides_no_change(made: Registered, kept, of_the_run_too: bool) -> None:
    model, version = kept
    code(model)
    made.client.delete_model_version_tag(MODEL, version, f"{PROGRAMS}{manifest.TAG}")
    said = "code/stages/serving/tagger.py has SHA-256 "
    if of_the_run_too:
        digest = made.client.get_run(made.runs["worse"]).data.tags[manifest.TAG]
        made.client.delete_tag(made.runs["worse"], manifest.TAG)
        said = f"the tag {manifest.TAG} of the version and of its run was deleted"
    try:
        assert said in str(refused(Exit.FILES, go, made, version, force=True, reason="now"))
    finally:
        if of_the_run_too:
            made.client.set_tag(made.runs["worse"], manifest.TAG, digest)


def test_a_change_of_code_is_seen_whenever_it_is_loaded(made: Registered, kept) -> None:
    model, version = kept
    assert mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}").predict(["北京"])
    code(model)
    with pytest.raises(SystemExit, match=r"is not the one that was registered: serving/tagger\.py"):
        mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}")
