"""What `export` refuses, each with one sentence, leaving what stood there."""

import re
import shutil

import onnxruntime as ort
import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.onnx_export.opened import not_opened

pytestmark = pytest.mark.usefixtures("one_thread")


def test_logits_that_are_no_numbers(tiny, refusal, tmp_path):
    shutil.copytree(tiny.ner, tmp_path / "ner")
    path = tmp_path / "ner/model.safetensors"
    weights = load_file(path)
    weights["classifier.bias"][3] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    said = refusal(model=tmp_path / "ner")
    assert said == (
        "a logit of the fp32 model, ONNX or torch, is not a number; lower train.learning_rate"
    )


def test_a_model_that_is_not_there(refusal, tmp_path):
    assert refusal(model=tmp_path / "none") == (
        f"{tmp_path}/none holds no model.safetensors: run `dvc repro train` first"
    )


def test_cuda_that_is_not_there(refusal, cpu_only):
    said = refusal(require_cuda=True)
    start = f"export.require_cuda is true, but ONNX Runtime {ort.__version__} gets no CUDA: "
    assert said.startswith(f"{start}libonnxruntime_providers_cuda.so does not load (libcu")
    assert re.search(r"\); install nvidia-\w+, or set export\.require_cuda: false$", said), said


def test_int8_that_gives_other_tags(refusal):
    said = refusal(precision="int8", tag_agreement_min=1.0, f1_delta_max=0.0)
    assert said.endswith("; set export.precision: fp32")


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"precision": "fp16"}, "set export.precision: fp32"),
        ({"precision": "fp32"}, "try another export.opset (now 20)"),
        (
            {"precision": "fp32", "require_cuda": True},
            "try another export.opset (now 20), or set export.require_cuda: false",
        ),
    ],
)
def test_no_remedy_that_is_set_already(tiny, changes, remedy):
    params = tiny.params.export.model_copy(update=changes)
    assert not_opened(params, "no kernel").endswith(f" (no kernel); {remedy}")


@pytest.mark.slow  # exports a model
def test_bf16_without_a_gpu(refusal, cpu_only):
    said = refusal(precision="bf16")
    assert said.startswith(
        f"ONNX Runtime {ort.__version__} cannot open the bf16 model on the CPU (["
    )
    assert " NOT_IMPLEMENTED : " in said
    assert said.endswith("); set export.precision: fp32")
