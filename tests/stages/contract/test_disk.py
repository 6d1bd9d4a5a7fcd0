"""A disk that is full while a stage writes, on a real one of two megabytes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.training import checkpoint

LARGE = np.random.default_rng(0).bytes(4_000_000)


def write_bytes(path):
    path.write_bytes(LARGE)


def write_torch(path):
    with path.open("wb") as file:
        torch.save(torch.frombuffer(bytearray(LARGE), dtype=torch.uint8), file)


def write_safetensors(path):
    save_file({"a": torch.frombuffer(bytearray(LARGE), dtype=torch.uint8)}, path)


def write_parquet(path):
    pq.write_table(pa.table({"a": [LARGE]}), path)


WRITERS = [write_bytes, write_torch, write_safetensors, write_parquet]


@pytest.mark.parametrize("write", WRITERS)
def test_outs_stay_and_one_sentence_says_why(small_disk, write):
    out = small_disk / "data/out"
    out.parent.mkdir()
    out.write_text("old")
    with pytest.raises(StageError) as error, whole(out) as [path]:
        write(path)
    message = str(error.value)
    assert message.startswith(f"the disk of {out.parent} is full (")
    assert message.endswith(" MB free); make room, and run again")
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert out.read_text() == "old"


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="a layer"), whole(tmp_path / "out"):
        raise RuntimeError("a layer")


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(small_disk):
    checkpoint.save(small_disk, 1, {"step": 1})
    before = [*small_disk.iterdir()]
    large = {"step": 2, "weights": torch.frombuffer(bytearray(LARGE), dtype=torch.uint8)}
    with pytest.raises(
        StageError,
        match=r"^cannot write a checkpoint: the disk of .* is full .*; "
        "make room, or set NER_CHECKPOINTS to a folder on another disk$",
    ):
        checkpoint.save(small_disk, 2, large)
    assert [*small_disk.iterdir()] == before
    assert checkpoint.load(small_disk) == {"step": 1}
