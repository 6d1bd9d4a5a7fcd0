"""What the registered model does when it is loaded, without a server."""

import shutil

import pytest
from mlflow.pyfunc.model import PythonModelContext

from pipelines.served import Served
from stages.ner.onnx_files import files_sha256


@pytest.fixture
def load(tiny, tmp_path, monkeypatch):
    """Loads a copy of what `export` wrote, after `harm` to it."""
    monkeypatch.delenv("NER_REQUIRE_CUDA", raising=False)

    def load(harm=lambda _: None, **config):
        folder = shutil.copytree(tiny.onnx, tmp_path / "命名 实体")
        harm(folder)
        served = Served()
        config = {"onnx_sha256": files_sha256(tiny.onnx)} | config
        served.load_context(PythonModelContext({"model": str(folder)}, config))
        return served

    return load


def test_the_registered_files(load):
    assert load().tagger.provider.endswith("ExecutionProvider")


def test_a_model_registered_before_there_was_a_hash(load):
    assert load(onnx_sha256=None).tagger(["今天没有新闻"]) == [[]]


def more_weights(folder):
    (folder / "model.onnx.data").write_bytes(b"other weights")


def one_bit(folder):
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)


@pytest.mark.parametrize(
    "harm", [one_bit, more_weights, lambda folder: (folder / "model.onnx").unlink()]
)
def test_other_files(load, harm):
    with pytest.raises(SystemExit, match="is not the one that was registered: its SHA-256 is "):
        load(harm)


def test_the_cpu_where_cuda_is_required(load, monkeypatch, cpu_only):
    with pytest.raises(SystemExit, match="offers CPUExecutionProvider only: check the NVIDIA"):
        load(lambda _: monkeypatch.setenv("NER_REQUIRE_CUDA", "1"))
