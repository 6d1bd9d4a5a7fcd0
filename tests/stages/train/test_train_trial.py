"""The trial of the export, beside a training and by itself."""

import pytest

from stages.contract.errors import StageError
from stages.onnx_export.trial import try_export
from tests.invented import write_encoder
from tests.stage_process import files
from tests.tiny import write_params

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow  # so that all others end within eight minutes
def test_a_training_ends_where_the_export_cannot_work(tiny, forks, tmp_path, cpu_only):
    work = tmp_path / "work"
    write_encoder(work / "data/encoder")
    (work / "data/aligned").symlink_to(tiny.aligned)
    params = work / "params.yaml"
    write_params(work, try_export=True, epochs=1, evals_per_epoch=1)
    params.write_text(params.read_text().replace("require_cuda: false", "require_cuda: true", 1))
    run = forks.start("train", work)
    assert run.wait() == 1
    assert run.printed.splitlines()[-1].startswith(
        "train: the trained model could not be exported, which was tried with two layers:"
        " export.require_cuda is true, but ONNX Runtime"
    )
    assert not any("models" in path or "reports" in path for path in files(work))


def test_an_encoder_that_can_be_exported(tiny, family):
    try_export(tiny.params.export, family("ALBERT"))


@pytest.mark.slow
def test_logits_that_are_too_far_from_torch(tiny, family):
    strict = tiny.params.export.model_copy(update={"logit_tolerance": 1e-12})
    with pytest.raises(StageError, match="of an encoder of type bert gives logits") as error:
        try_export(strict, family("BERT"))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_an_encoder_that_torch_cannot_export(tiny, family):
    with pytest.raises(StageError, match="cannot export an encoder of type longformer"):
        try_export(tiny.params.export, family("Longformer"))
