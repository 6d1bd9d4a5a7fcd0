"""The tiny model exported with other parameters, or refused."""

import pytest

from stages.contract.errors import StageError
from tests.stage_process import files


@pytest.fixture
def exported(tiny, tmp_path):
    """Exports with changed parameters or another model; gives what it left."""

    def exported(model=tiny.ner, **changes):
        from stages.export import Inputs, Outs, export  # torch and more: not for every test

        params = tiny.params.export.model_copy(update=changes)
        out = tmp_path / "exported"
        export(
            params,
            Inputs(
                model,
                tiny.aligned,
                tiny.path / "data/corpus/source.json",
                *map(tiny.report, ["metrics.json", "calibration.json"]),
            ),
            Outs(out / "onnx", out / "export.json", out / "predictions.jsonl"),
        )
        return files(out)

    return exported


@pytest.fixture
def refusal(exported, tmp_path):
    """The sentence with which it refuses; what stood there stays."""

    def refusal(**given):
        before = {"onnx/old": b"old"}
        (tmp_path / "exported/onnx").mkdir(parents=True)
        (tmp_path / "exported/onnx/old").write_bytes(b"old")
        with pytest.raises(StageError) as error:
            exported(**given)
        assert files(tmp_path / "exported") == before
        assert "\n" not in str(error.value)
        return str(error.value)

    return refusal
