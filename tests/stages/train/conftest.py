"""Two workspaces whose trainings must come to the same, and whether they did."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from stages.model.decode import Decoder
from stages.text.labels import Labels
from tests.invented import write_encoder
from tests.stage_process import files
from tests.tiny import write_params


@pytest.fixture
def head():
    return "linear"


@pytest.fixture
def workspaces(tiny, tmp_path, head):
    """Two of the same parameters, an encoder without dropout and steps of seven rows."""
    encoder = write_encoder(
        tmp_path / "encoder", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    for name, gpus in (("alone", 1), ("together", 2)):
        folder = tmp_path / name
        folder.mkdir()
        write_params(
            folder,
            epochs=2,
            gpus=gpus,
            head=head,
            tokens_per_step=448,
            tokens_per_batch=128,
            evals_per_epoch=1,
            checkpoint_minutes=1e-9,
        )
        shutil.copytree(tiny.aligned, folder / "data/aligned")
        shutil.copytree(encoder, folder / "data/encoder")
    return tmp_path / "alone", tmp_path / "together"


def same(alone: Path, together: Path) -> None:
    assert files(alone).keys() == files(together).keys()
    curves = [np.genfromtxt(f / "reports/train.csv", delimiter=",")[1:] for f in (alone, together)]
    assert len(curves[0]) == 20
    np.testing.assert_allclose(*curves, rtol=2e-3)
    weights = [load_file(folder / "models/ner/model.safetensors") for folder in (alone, together)]
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, atol=2e-3, err_msg=name)
    tags = Labels.read(alone / "data/aligned").tags
    ours, theirs = (Decoder.read(f / "models/ner", tags).transitions for f in (alone, together))
    if ours and theirs:
        np.testing.assert_allclose(theirs.scores, ours.scores, atol=2e-3)
        assert np.abs(ours.scores[np.isfinite(ours.scores)]).max() > 0.05
