import shutil
import threading

import pytest
import torch

from stages.contract.errors import StageError
from stages.training import checkpoint
from tests.tiny import write_params


@pytest.fixture
def params(tmp_path):
    return write_params(tmp_path).train


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"rows")
    return path


def state(step):
    return {"step": step, "weights": torch.full((3, 2), step / 3), "rows": [{"loss": 0.1}]}


@pytest.fixture
def folder(tmp_path, params, data):
    with checkpoint.locked_folder(tmp_path / "shared", params, [data]) as folder:
        yield folder


def test_the_newest_stands_alone_and_comes_back_exactly(folder):
    assert checkpoint.load(folder) is None
    for step in (1, 2):
        checkpoint.save(folder, step, state(step))
    assert len([*folder.glob("*.pt")]) == 1
    loaded = checkpoint.load(folder)
    assert torch.equal(loaded.pop("weights"), state(2)["weights"])
    assert loaded == {"step": 2, "rows": [{"loss": 0.1}]}


@pytest.mark.parametrize("how", ["half", "one bit", "renamed"])
def test_a_damaged_one_is_not_used_and_that_is_said(folder, capsys, how):
    checkpoint.save(folder, 7, state(7))
    [path] = folder.glob("*.pt")
    content = bytearray(path.read_bytes())
    if how == "renamed":
        path = path.rename(folder / "00000007-abc.pt")
    elif how == "half":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert checkpoint.load(folder) is None
    assert capsys.readouterr().err == f"{path} is damaged: not used\n"


def test_one_that_was_being_written_is_no_checkpoint(folder):
    (folder / "partial").write_bytes(b"PK")
    assert checkpoint.load(folder) is None
    checkpoint.save(folder, 1, state(1))
    assert sorted(path.suffix for path in folder.iterdir()) == ["", ".pt"]  # the lock


def test_no_code_is_read(folder, capsys):
    checkpoint.save(folder, 1, {"code": pytest.approx(1)})
    assert checkpoint.load(folder) is None
    assert "weights_only" in capsys.readouterr().err.replace("Weights only", "weights_only")


def test_the_folder_is_of_these_parameters_and_data(tmp_path, params, data):
    def name(params, data):
        with checkpoint.locked_folder(tmp_path / "other", params, [data]) as folder:
            return folder.name

    first = name(params, data)
    assert name(params, data) == first
    assert name(params.model_copy(update={"checkpoint_minutes": 0.5}), data) == first
    assert name(params.model_copy(update={"seed": 1}), data) != first
    data.write_bytes(b"more rows")
    assert name(params, data) != first
    assert list((tmp_path / "other").iterdir()) == []


def test_it_is_of_the_code_that_train_imports(tmp_path, params, data, monkeypatch):
    shutil.copytree(checkpoint.ROOT / "stages", tmp_path / "code/stages")
    monkeypatch.setattr(checkpoint, "ROOT", tmp_path / "code")

    def name_after(edited):
        with (tmp_path / "code/stages" / edited).open("a") as file:
            file.write("# edited\n")
        with checkpoint.locked_folder(tmp_path / "other", params, [data]) as folder:
            return folder.name

    first = name_after("report/page.py")
    assert {name_after("report/plots.py"), name_after("export.py")} == {first}
    assert len({first, name_after("training/loop.py"), name_after("text/labels.py")}) == 3


@pytest.mark.slow  # 8 s
def test_a_folder_that_another_run_deletes_is_made_again(tmp_path, params, data):
    """Each of the two finds it deleted at any moment, and never works in one that is gone."""
    over = threading.Event()

    def again_and_again():
        while not over.is_set():
            with checkpoint.locked_folder(tmp_path / "shared", params, [data]):
                pass

    thread = threading.Thread(target=again_and_again)
    thread.start()
    try:
        held = 0
        while held < 20:
            with checkpoint.locked_folder(tmp_path / "shared", params, [data]) as folder:
                if folder is not None:
                    checkpoint.save(folder, 1, {"step": held})
                    checkpoint.remove(folder)
                    held += 1
    finally:
        over.set()
        thread.join()


def test_two_runs_of_the_same_do_not_share_it(folder, tmp_path, params, data, capsys):
    with checkpoint.locked_folder(tmp_path / "shared", params, [data]) as second:
        assert second is None
    assert capsys.readouterr().err == (
        f"another run uses {folder}: this run keeps no checkpoints\n"
    )
    assert folder.is_dir()


def test_a_folder_that_is_a_file(tmp_path, params, data):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StageError) as error,
        checkpoint.locked_folder(tmp_path / "file", params, [data]),
    ):
        pass
    assert str(error.value).endswith(": Not a directory; set NER_CHECKPOINTS to a writable folder")


def test_the_root_is_where_the_environment_says(monkeypatch):
    monkeypatch.delenv("NER_CHECKPOINTS", raising=False)
    assert str(checkpoint.root()) == ".checkpoints"
    monkeypatch.setenv("NER_CHECKPOINTS", "shared")
    assert str(checkpoint.root()) == "shared"
