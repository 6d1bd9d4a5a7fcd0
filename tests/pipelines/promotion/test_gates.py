"""Each gate at its threshold, and on either side."""

import math
import re
from pathlib import Path

import pytest
import scipy.stats

from pipelines.promotion import gates
from pipelines.promotion.bootstrap import Difference
from pipelines.promotion.gates import Figures
from pipelines.promotion.shadow_evidence import Evidence, wilson
from pipelines.settings import ShadowGate
from pipelines.workspaces import overlays
from tests.conftest import ROOT

SETTINGS = overlays.sections(ROOT).promote
FINE = Figures(0.95, {"PER": 0.95, "ORG": 0.9, "LOC": 0.95}, 2e-5, 0.02, True, "7e57", 10)


def of(figures: Figures, **changes) -> dict[str, str]:
    found = gates.of_figures(figures, SETTINGS.model_copy(update=changes))
    return {gate.name: str(gate) for gate in found}


def test_the_real_thresholds_stand_in_params_yaml() -> None:
    assert of(FINE) == {
        "f1": "passed 0.9500 >= 0.93",
        "f1.PER": "passed 0.9500 >= 0.93",
        "f1.ORG": "passed 0.9000 >= 0.86",
        "f1.LOC": "passed 0.9500 >= 0.92",
        "calibration": "passed 0.0200 <= 0.03",
        "parity": "passed 2.00e-05 <= 0.001",
        "cuda": "passed the exported file ran on CUDA",
    }


def test_the_help_of_promote_names_each_gate(command) -> None:
    page = (ROOT / "docs" / "promotion.md").read_text(encoding="utf-8")
    rows = page.split("| gate | passes if |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [name for row in rows for name in re.findall("`([a-z].*?)`", row.split("|")[1])]
    names = [name for name in cells if not name.startswith("promote.")]
    assert {*of(FINE), "slice.NAME", "shadow"} <= {*names, "f1.PER", "f1.ORG", "f1.LOC"}
    _, shown, _ = command("promote", "--help")
    assert [name for name in names if not re.search(rf"\b{name}[, ]", shown)] == []


def test_an_overlay_for_another_corpus_takes_floors_away(tmp_path: Path) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text("promote: {type_f1_min: {PER: null, ORG: null, DISH: 0.5}}")
    floors = overlays.sections(ROOT, [overlay]).promote.type_f1_min
    assert floors == {"LOC": 0.92, "DISH": 0.5}


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ({"f1": 0.9299}, "f1", "failed 0.9299 < 0.93"),
        ({"f1": 0.93}, "f1", "passed 0.9300 >= 0.93"),
        ({"f1": math.nan}, "f1", "failed nan is not a number, expected >= 0.93"),
        ({"type_f1": {**FINE.type_f1, "ORG": 0.5}}, "f1.ORG", "failed 0.5000 < 0.86"),
        ({"logit_difference": 0.0011}, "parity", "failed 1.10e-03 > 0.001"),
        (
            {"logit_difference": math.nan},
            "parity",
            "failed nan is not a number, expected <= 0.001",
        ),
        ({"ece": 0.0301}, "calibration", "failed 0.0301 > 0.03"),
        ({"ece": 0.03}, "calibration", "passed 0.0300 <= 0.03"),
        ({"ece": math.nan}, "calibration", "failed nan is not a number, expected <= 0.03"),
        ({"cuda_validated": False}, "cuda", "failed the exported file did not run on CUDA"),
    ],
)
def test_one_figure_decides_one_gate(change: dict, name: str, said: str) -> None:
    found = of(Figures(**{**vars(FINE), **change}))
    assert found.pop(name) == said
    assert all(text.startswith("passed") for text in found.values())


@pytest.mark.parametrize(
    ("agreement", "delta", "said"),
    [
        (
            0.9995,
            -0.0004,
            "passed fp16: 99.950% of the tags equal torch's >= 99.900%, F1 difference 0.0004",
        ),
        (
            0.9985,
            0.0,
            "failed fp16: 99.850% of the tags equal torch's < 99.900%, F1 difference 0.0000",
        ),
        (
            1.0,
            -0.0011,
            "failed fp16: 100.000% of the tags equal torch's >= 99.900%, F1 difference 0.0011",
        ),
        (
            math.nan,
            0.0,
            "failed fp16: nan% of the tags equal torch's < 99.900%, F1 difference 0.0000",
        ),
        (
            1.0,
            math.nan,
            "failed fp16: 100.000% of the tags equal torch's >= 99.900%, F1 difference nan",
        ),
    ],
)
def test_other_precisions_are_held_to_tags_and_f1(agreement, delta, said) -> None:
    change = {"precision": "fp16", "tag_agreement": agreement, "f1_delta": delta}
    found = of(Figures(**{**vars(FINE), "logit_difference": 0.02, **change}))
    sign = "<=" if abs(delta) <= 0.001 else ">"
    assert found.pop("parity") == f"{said} {sign} 0.001"
    assert all(text.startswith("passed") for text in found.values())


def test_cuda_counts_only_where_it_is_required() -> None:
    found = of(Figures(**{**vars(FINE), "cuda_validated": False}), require_cuda=False)
    assert found["cuda"] == "passed the exported file did not run on CUDA, not required"


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(-0.005, "passed"), (-0.00501, "failed"), (0.1, "passed"), (math.nan, "failed")],
)
def test_the_lower_end_of_the_interval_decides(low: float, verdict: str) -> None:
    gate = gates.of_difference(Difference(0.001, low, 0.2), SETTINGS)
    sign = ">=" if verdict == "passed" else "<"
    assert str(gate) == (
        f"{verdict} F1 +0.0010 against the champion, 95% interval [{low:+.4f}, +0.2000],"
        f" lower end {sign} -0.005"
    )


def test_the_slowest_length_decides_the_latency() -> None:
    found = gates.of_latency({16: (1.0, 400.0), 64: (120.0, 200.0)}, SETTINGS)
    assert [(gate.name, str(gate)) for gate in found] == [
        ("latency_p50", "failed 120.00 ms > 100 ms, at 64 characters"),
        ("latency_p99", "failed 400.00 ms > 300 ms, at 16 characters"),
    ]
    assert all(gate.passed for gate in gates.of_latency({16: (100.0, 300.0)}, SETTINGS))


def test_labels_in_another_order_are_the_same_set() -> None:
    assert str(gates.of_labels(["O", "B-X"], ["B-X", "O"])) == "passed the champion's 2 labels"
    assert str(gates.of_labels(["O"], None)) == "passed no champion to compare with"
    gate = gates.of_labels(["O", "B-X"], ["O", "B-Y"])
    assert str(gate) == "failed not the champion's labels (added: B-X; missing: B-Y)"


ASKED = ShadowGate(disagreement_max=0.05, texts_min=500, folder="kept")


@pytest.mark.parametrize(
    ("differing", "texts", "said"),
    [
        (
            15,
            500,
            "passed 15 of 500 texts differ from version 7, 95% interval [0.0183, 0.0489],"
            " upper end <= 0.05",
        ),
        (
            16,
            500,
            "failed 16 of 500 texts differ from version 7, 95% interval [0.0198, 0.0513],"
            " upper end > 0.05",
        ),
        (
            0,
            499,
            "failed 499 texts that version 7 answered too are in kept, 500 are needed:"
            " let `serve --shadow` run longer",
        ),
    ],
)
def test_the_upper_end_decides_how_much_a_shadow_may_differ(differing, texts, said) -> None:
    assert str(gates.of_shadow(Evidence("7", texts, differing, {}, []), ASKED, 0.95)) == said


def test_without_a_champion_there_is_no_shadow_to_ask() -> None:
    assert str(gates.of_shadow(None, ASKED, 0.95)) == "passed no champion to compare with"


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (1, 10), (10, 10), (3, 2000), (1999, 2000)])
def test_the_interval_is_wilsons(hits: int, trials: int) -> None:
    expected = scipy.stats.binomtest(hits, trials).proportion_ci(0.9, "wilson")
    assert wilson(hits, trials, 0.9) == pytest.approx((expected.low, expected.high))


def test_of_no_texts_nothing_is_known() -> None:
    assert wilson(0, 0, 0.95) == (0.0, 1.0)
