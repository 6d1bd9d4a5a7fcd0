"""Compares the figures of a version with the gates that a champion must pass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.promotion.bootstrap import Difference
from pipelines.promotion.shadow_evidence import Evidence
from pipelines.settings import Promote, ShadowGate

SHADOW = "shadow"


@dataclass(frozen=True)
class Gate:
    """One gate's verdict.

    Attributes:
        name: As in the version's tag `gate.NAME`.
        passed: True if the threshold was met.
        detail: The figure and its threshold.
    """

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        """The value of the tag: `passed 0.9053 >= 0.85`."""
        return f"{'passed' if self.passed else 'failed'} {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """The gate in the output of --json."""
        return {"name": self.name, "passed": self.passed, "said": self.detail}


@dataclass(frozen=True)
class Figures:
    """The figures in a version's tags.

    Attributes:
        f1: F1 of the exported file on the test split.
        type_f1: Entity type → F1.
        logit_difference: The largest difference between a logit of ONNX and of torch.
        ece: Calibration error of an entity's score on the test split.
        cuda_validated: True if the exported file ran on CUDA when it was made.
        test_sha256: Hash of the test split.
        test_sentences: Number of test sentences.
        precision: Of the exported weights; the next two apply to all but fp32.
        tag_agreement: Share of cells with the same tag as torch.
        f1_delta: F1 of the exported file minus F1 of torch.
    """

    f1: float
    type_f1: dict[str, float]
    logit_difference: float
    ece: float
    cuda_validated: bool
    test_sha256: str
    test_sentences: int
    precision: str = "fp32"
    tag_agreement: float = math.nan
    f1_delta: float = math.nan


def of_figures(figures: Figures, settings: Promote) -> list[Gate]:
    """The gates `f1`, `f1.TYPE`, `calibration`, `parity` and `cuda`."""
    return [
        _at_least("f1", figures.f1, settings.f1_min),
        *(
            _at_least(f"f1.{type_}", figures.type_f1[type_], floor)
            for type_, floor in settings.type_f1_min.items()
        ),
        _at_most("calibration", figures.ece, settings.ece_max),
        _parity(figures, settings),
        _cuda(figures.cuda_validated, settings.require_cuda),
    ]


def of_slices(f1: Mapping[str, float], settings: Promote) -> list[Gate]:
    """The gates `slice.NAME`, one for each slice with a floor; `f1` maps slice → F1."""
    return [
        _at_least(f"slice.{name}", f1[name], floor) for name, floor in settings.slice_f1_min.items()
    ]


def of_latency(figures: dict[int, tuple[float, float]], settings: Promote) -> list[Gate]:
    """The gates `latency_p50` and `latency_p99`.

    Args:
        figures: Length in characters → median and 99th percentile in milliseconds.
        settings: The budget.
    """
    found = []
    for name, index, most in (
        ("latency_p50", 0, settings.latency.p50_ms_max),
        ("latency_p99", 1, settings.latency.p99_ms_max),
    ):
        length, slowest = max(((n, ms[index]) for n, ms in figures.items()), key=lambda at: at[1])
        sign = "<=" if slowest <= most else ">"
        detail = f"{slowest:.2f} ms {sign} {most:g} ms, at {length} characters"
        found.append(Gate(name, slowest <= most, detail))
    return found


def of_labels(labels: list[str], champions: list[str] | None) -> Gate:
    """The gate `labels`: the same set as the champion's, None if there is no champion."""
    if champions is None:
        return Gate("labels", True, "no champion to compare with")
    if set(labels) == set(champions):
        return Gate("labels", True, f"the champion's {len(labels)} labels")
    changes = {"added": set(labels) - set(champions), "missing": set(champions) - set(labels)}
    words = [f"{word}: {', '.join(sorted(tags))}" for word, tags in changes.items() if tags]
    return Gate("labels", False, f"not the champion's labels ({'; '.join(words)})")


def of_difference(difference: Difference, settings: Promote, rescored: bool = False) -> Gate:
    """The gate `not_worse`: not worse than the champion on the same test data.

    Args:
        difference: F1 of the version minus F1 of the champion.
        settings: How much worse is still noise.
        rescored: The champion was scored again, because its own test data is different.
    """
    passed = difference.low >= -settings.not_worse_by
    return Gate(
        "not_worse",
        passed,
        f"F1 {difference.f1:+.4f} against the champion,"
        f" {settings.confidence:.0%} interval [{difference.low:+.4f}, {difference.high:+.4f}],"
        f" lower end {'>=' if passed else '<'} {-settings.not_worse_by:g}"
        + (", champion rescored on this test data" if rescored else ""),
    )


def of_shadow(evidence: Evidence | None, asked: ShadowGate, confidence: float) -> Gate:
    """The gate `shadow`: it finds what the champion finds in texts that were served.

    Args:
        evidence: Of this version and the champion; None: there is no champion.
        asked: The threshold, and how many texts it needs.
        confidence: Of the interval.
    """
    if evidence is None:
        return Gate(SHADOW, True, "no champion to compare with")
    if evidence.texts < asked.texts_min:
        return Gate(
            SHADOW,
            False,
            f"{evidence.texts} texts that version {evidence.champion} answered too are in"
            f" {asked.folder}, {asked.texts_min} are needed: let `serve --shadow` run longer",
        )
    low, high = evidence.interval(confidence)
    passed = high <= asked.disagreement_max
    return Gate(
        SHADOW,
        passed,
        f"{evidence.differing} of {evidence.texts} texts differ from version {evidence.champion},"
        f" {confidence:.0%} interval [{low:.4f}, {high:.4f}],"
        f" upper end {'<=' if passed else '>'} {asked.disagreement_max:g}",
    )


def _parity(figures: Figures, settings: Promote) -> Gate:
    if figures.precision == "fp32":
        found, most = figures.logit_difference, settings.logit_difference_max
        return Gate("parity", found <= most, _compared(found, most, "e", "<=", ">"))
    tags, f1 = figures.tag_agreement, abs(figures.f1_delta)
    same, near = tags >= settings.tag_agreement_min, f1 <= settings.f1_delta_max
    detail = (
        f"{figures.precision}: {tags:.3%} of the tags equal torch's {'>=' if same else '<'}"
        f" {settings.tag_agreement_min:.3%}, F1 difference {f1:.4f} {'<=' if near else '>'}"
        f" {settings.f1_delta_max:g}"
    )
    return Gate("parity", same and near, detail)


def _at_least(name: str, value: float, floor: float) -> Gate:
    # `not a < b` would let NaN pass.
    return Gate(name, value >= floor, _compared(value, floor, "f", ">=", "<"))


def _at_most(name: str, value: float, most: float) -> Gate:
    return Gate(name, value <= most, _compared(value, most, "f", "<=", ">"))


def _compared(value: float, bound: float, form: str, good: str, bad: str) -> str:
    text = f"{value:.4f}" if form == "f" else f"{value:.2e}"
    if math.isnan(value):
        return f"{text} is not a number, expected {good} {bound:g}"
    passed = value >= bound if good == ">=" else value <= bound
    return f"{text} {good if passed else bad} {bound:g}"


def _cuda(validated: bool, required: bool) -> Gate:
    detail = f"the exported file {'ran' if validated else 'did not run'} on CUDA"
    return Gate("cuda", validated or not required, detail + ("" if required else ", not required"))
