"""What the registered model does when it is loaded, without a server."""

import shutil
from pathlib import Path

import pytest
from mlflow.pyfunc.model import PythonModelContext

from pipelines.registry.pyfunc_model import Served
from stages.contract.hashing import as_text, checksums


@pytest.fixture
def load(tiny, tmp_path, monkeypatch):
    """Loads a copy of what `export` wrote, after `harm` to it."""
    monkeypatch.delenv("NER_REQUIRE_CUDA", raising=False)

    def load(harm=lambda _: None, **config):
        folder = shutil.copytree(tiny.onnx, tmp_path / "命名 实体")
        harm(folder)
        served = Served()
        config = {"files_sha256": as_text(checksums(tiny.onnx))} | config
        served.load_context(PythonModelContext({"model": str(folder)}, config))
        return served

    return load


def test_the_registered_files(load):
    assert load().tagger.provider.endswith("ExecutionProvider")


@pytest.mark.parametrize("threads", [1, 7])
def test_threads_are_those_of_the_environment(load, monkeypatch, cpu_only, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    before = threads_of_this_process()
    served = load()  # by a name, so that its threads are there still
    assert threads_of_this_process() - before == threads - 1
    assert served.tagger


def threads_of_this_process():
    return len([*Path("/proc/self/task").iterdir()])


def more_weights(folder):
    (folder / "model.onnx.data").write_bytes(b"other weights")


def one_bit(folder):
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (one_bit, "model.onnx has SHA-256 "),
        (more_weights, "model.onnx.data was not there; "),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is gone; "),
        (lambda folder: (folder / "labels.json").write_text("{}"), "labels.json has SHA-256 "),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is gone; "),
    ],
)
def test_other_files(load, harm, said):
    with pytest.raises(SystemExit, match=f"is not the one that was registered: {said}") as error:
        load(harm)
    assert "\n" not in str(error.value)


def test_the_cpu_where_cuda_is_required(load, monkeypatch, cpu_only):
    with pytest.raises(SystemExit, match="offers CPUExecutionProvider only: check the NVIDIA"):
        load(lambda _: monkeypatch.setenv("NER_REQUIRE_CUDA", "1"))
