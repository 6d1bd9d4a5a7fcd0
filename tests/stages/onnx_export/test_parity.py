"""Which differences from torch are refused, at which precision."""

import numpy as np
import pytest

from stages.contract.errors import StageError
from stages.contract.section import read
from stages.onnx_export.parity import Compared, checked, tag_agreement
from stages.params.export import Export
from tests.conftest import ROOT

PARAMS = read(Export, ROOT / "params.yaml")
MASK = np.array([[1] * 1000, [1] * 500 + [0] * 500])


def logits(wrong=0, error=0.0):
    """Tag 1 for all tokens but the first `wrong`; `error` on each logit."""
    result = np.zeros((2, 1000, 3), dtype=np.float32)
    result[..., 1] = 1
    result[0, :wrong, 2] = 2
    result[1, 500:] = 99  # padding, which counts for nothing
    return result + error


def compared(**found):
    result = Compared(lambda *_: logits(**found), lambda *_: logits() - (MASK == 0)[..., None])
    given = result(MASK, MASK)
    np.testing.assert_array_equal(given, logits(**found))
    return result


def said(precision, f1_delta=0.0, same=1.0, **found):
    params = PARAMS.model_copy(update={"precision": precision})
    with pytest.raises(StageError) as error:
        checked(params, compared(**found).difference, same, 0.9 + f1_delta, 0.9)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_figures():
    assert checked(PARAMS, compared(error=0.0005).difference, 1.0, 0.9, 0.9) == {
        "logit_difference_max": pytest.approx(0.0005, rel=1e-3),
        "tag_agreement": 1.0,
        "f1_delta": 0.0,
    }
    half = PARAMS.model_copy(update={"precision": "fp16"})
    assert checked(half, compared(wrong=1).difference, 0.9995, 0.8995, 0.9) == {
        "logit_difference_max": 2.0,
        "tag_agreement": 0.9995,
        "f1_delta": pytest.approx(-0.0005),
    }


def test_tags_agree_where_the_decoded_labels_are_equal():
    ours, torchs = ([np.array(row) for row in rows] for rows in ([[0, 1], [2]], [[0, 2], [2]]))
    assert tag_agreement(ours, ours) == 1
    assert tag_agreement(ours, torchs) == pytest.approx(2 / 3)


def test_fp32_is_held_to_the_logits():
    assert said("fp32", error=0.002) == (
        "a logit of the ONNX model is 2.00e-03 away from torch's, more than"
        " export.logit_tolerance = 0.001; try another opset (now 20)"
    )


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_the_others_are_held_to_tags_and_f1(precision):
    assert said(precision, same=0.99867) == (
        f"the {precision} model gives torch's tag to 99.867% of the cells, fewer than"
        " export.tag_agreement_min = 99.900%; set export.precision: fp32"
    )
    for delta in (0.0011, -0.0011):
        assert said(precision, f1_delta=delta) == (
            f"F1 of the {precision} model is {delta:+.4f} from torch's, further than"
            " export.f1_delta_max = 0.001; set export.precision: fp32"
        )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_no_number_is_refused_at_any(precision):
    assert said(precision, error=np.nan).startswith(
        f"a logit of the {precision} model, ONNX or torch, is not a number"
    )
