"""What train refuses, and that it then leaves nothing."""

import shutil
import signal

import pytest
import torch

from stages.contract.errors import StageError
from stages.text.labels import Labels
from stages.train import train
from stages.training.memory import explain_exhaustion
from tests.invented import write_encoder
from tests.stage_process import files
from tests.tiny import write_params

OLD = {"models/ner/old": b"model", "reports/train.json": b"{}", "reports/train.csv": b"step\n"}


@pytest.fixture
def refusal(tiny, tmp_path):
    """The sentence with which train refuses changed parameters or inputs."""

    def refusal(aligned=tiny.aligned, encoder=tiny.encoder, **changes):
        out = tmp_path / "out"
        with pytest.raises(StageError) as error:
            train(
                tiny.params.train.model_copy(update=changes),
                aligned,
                encoder,
                *(out / name for name in ("ner", "train.json", "train.csv")),
            )
        assert not out.exists() or list(out.iterdir()) == []
        assert "\n" not in str(error.value)
        return str(error.value)

    return refusal


def test_bf16_on_the_cpu(refusal):
    assert refusal(precision="bf16") == (
        "train.precision is bf16, which this device does not have: the CPU; set it to auto or fp32"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(refusal):
    said = refusal(device="cuda")
    assert said.startswith(f"train.device asks for CUDA, but torch {torch.__version__} (")
    assert said.endswith("finds no CUDA GPU; see `nvidia-smi`, or set train.device: cpu")


def test_no_data(refusal, tiny, tmp_path):
    missing = tmp_path / "aligned"
    assert refusal(aligned=missing) == (
        f"{missing}/train.parquet is not here: run `dvc repro align` first"
    )
    shutil.copytree(tiny.aligned, missing)
    (missing / "labels.json").unlink()
    assert refusal(aligned=missing) == f"{missing}/labels.json is not here: run `dvc repro` first"


def test_no_encoder(refusal, tmp_path):
    missing = tmp_path / "someone" / "bert"
    assert refusal(encoder=missing) == (
        f"{missing} holds no config.json: run `dvc repro download` first"
    )


def test_windows_longer_than_the_encoder(refusal, tmp_path):
    encoder = write_encoder(tmp_path / "short", max_position_embeddings=63)
    assert refusal(encoder=encoder) == (
        f"align.window_tokens is 64, but the encoder in {encoder} takes at most 63 tokens; lower it"
    )


def test_a_loss_that_is_no_number(refusal):
    said = refusal(learning_rate=1e30, warmup_fraction=0.0)
    assert said.startswith("the loss is nan at step ")
    assert said.endswith("; lower train.learning_rate (now 1e+30)")


@pytest.mark.parametrize(
    ("precision", "more"),
    [("auto", ""), ("bf16", ""), ("fp32", ", or set train.precision: auto (now fp32)")],
)
def test_out_of_memory_names_what_to_turn(tiny, precision, more):
    labels = Labels.read(tiny.aligned)
    params = tiny.params.train.model_copy(update={"precision": precision})
    with pytest.raises(StageError) as error, explain_exhaustion(params, labels):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    assert str(error.value) == (
        "the GPU is out of memory; lower train.tokens_per_batch (now 256) or"
        f" align.window_tokens (now 64){more}"
    )


@pytest.mark.parametrize(
    ("how", "old"),
    [
        pytest.param(signal.SIGINT, OLD, id="SIGINT", marks=pytest.mark.slow),  # as SIGTERM
        pytest.param(signal.SIGTERM, {}, id="SIGTERM"),
    ],
)
def test_interrupted_it_leaves_what_was_there(tiny, forks, tmp_path, how, old):
    work = tmp_path / "work"
    shutil.copytree(tiny.path / "data", work / "data")
    write_params(work, epochs=500, evals_per_epoch=1, patience_evals=500)
    for name, content in old.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    before = files(work)
    run = forks.start("train", work)
    assert run.end(how, lambda: "\n" in run.printed) == 128 + how, run.printed
    assert run.printed.startswith("step ")
    assert "Traceback" not in run.printed
    left = {name for name in files(work) if not name.startswith(".checkpoints/")}
    assert left == before.keys()
    assert all((work / name).read_bytes() == before[name] for name in left)
    assert len([*work.glob(".checkpoints/*/*.pt")]) == (how == signal.SIGTERM)
    assert list(work.rglob("*.partial")) == []
