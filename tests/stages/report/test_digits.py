"""The two rules of digits."""

import pytest

from stages.report.digits import ends, score, signed, signed_ends


@pytest.mark.parametrize(
    ("interval", "printed"),
    [
        ((0.911, 0.928), "0.919"),  # ±0.0085
        ((0.908, 0.9295), "0.92"),
        ((0.9187, 0.9187), "0.92"),  # all samples equal: how sure it is is not known
        (None, "0.92"),
    ],
)
def test_three_digits_only_for_a_narrow_interval(interval, printed):
    assert score(0.9187, interval) == printed
    assert score(None, interval) == "–"


def test_the_ends_have_the_digits_of_their_interval():
    assert ends((0.911, 0.928)) == "0.911–0.928"
    assert ends((0.9, 1.0)) == "0.90–1.00"
    assert ends((1.0, 1.0)) == ends(None) == "–"


def test_a_difference_has_the_sign_of_the_exact_figure():
    wide, narrow = (-0.0049, 0.03), (-0.0049, 0.01)
    assert (signed(0.012, wide), signed_ends(wide)) == ("+0.01", "-0.00 to +0.03")
    assert (signed(-0.0021, narrow), signed_ends(narrow)) == ("-0.002", "-0.005 to +0.010")
    assert signed(None, None) == signed_ends(None) == "–"
