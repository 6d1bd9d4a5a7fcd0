"""The colours of types, and whether each text can be read on what is behind it, light and dark."""

import re
from itertools import product
from pathlib import Path

import pytest

from stages.report import colours as module
from stages.report.colours import COLOURS, LINES, colours

CSS = Path(module.__file__).with_name("shell.css").read_text(encoding="utf-8")
TYPES = [f"c{n}" for n in range(COLOURS)]
MARKED = ["ground", "better", "worse"]  # behind an entity
PAIRS = {
    4.5: [  # text
        *product(["ink", "soft", "link"], ["ground", "raised"]),
        *product(["ink", "link"], ["warned"]),
        *product([*TYPES, "ink"], MARKED),
        *[("right", "better"), ("wrong", "worse"), *product(["right", "wrong"], ["ground"])],
    ],
    3: [("bar", "ground"), ("soft", "raised"), ("soft", "warned")],  # dots, columns and frames
}


def palette(dark):
    """Name → colour; what the dark one leaves out is the light one's."""
    light, *rest = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    blocks = [light, *rest] if dark else [light]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", "".join(blocks)))


def luminance(colour):
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(first, second):
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("least", PAIRS)
def test_everything_can_be_read(dark, least):
    of = palette(dark)
    assert len(of) == len(palette(not dark))
    low = {pair: contrast(of[pair[0]], of[pair[1]]) for pair in PAIRS[least]}
    assert {pair: ratio for pair, ratio in low.items() if ratio < least} == {}


def test_a_type_has_one_look_whatever_the_order_and_whoever_else_is_there():
    expected = {"LOC": "c0 l0", "ORG": "c1 l1", "PER": "c2 l2"}
    assert colours(["PER", "ORG", "LOC"]) == colours(["LOC", "ORG", "PER"]) == expected
    assert colours(expected, ["GPE", "LOC"]) == expected | {"GPE": "c3 l3"}
    looks = colours(map(str, range(10, 22))).values()
    assert len({*looks}) == 12
    classes = {f"c{n}" for n in range(COLOURS)} | {f"l{n}" for n in range(LINES)}
    assert classes <= {*re.findall(r"\.([cl]\d)\b", CSS)}
