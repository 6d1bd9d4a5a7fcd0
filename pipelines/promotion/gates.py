"""The gates between a version and the alias champion; pure functions of its figures."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.promotion.bootstrap import Difference
from pipelines.settings import Promote


@dataclass(frozen=True)
class Gate:
    """One gate's verdict.

    Attributes:
        name: As in the version's tag `gate.NAME`.
        passed: Whether.
        said: The figure, and the threshold it was held against.
    """

    name: str
    passed: bool
    said: str

    def __str__(self) -> str:
        """As the tag says it: `passed 0.9053 >= 0.85`."""
        return f"{'passed' if self.passed else 'failed'} {self.said}"

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


@dataclass(frozen=True)
class Figures:
    """What a version's tags say.

    Attributes:
        f1: Of the exported file on the test split.
        type_f1: The same of each type.
        logit_difference: The largest one, ONNX against torch.
        cuda_validated: Whether the exported file ran on CUDA when it was made.
        test_sha256: Which test split that was.
        test_sentences: How many sentences that has.
        precision: Of the exported weights; all but fp32 are held to the next two.
        tag_agreement: The share of tokens with torch's tag.
        f1_delta: Of the exported file to torch's.
    """

    f1: float
    type_f1: dict[str, float]
    logit_difference: float
    cuda_validated: bool
    test_sha256: str
    test_sentences: int
    precision: str = "fp32"
    tag_agreement: float = math.nan
    f1_delta: float = math.nan


def of_figures(figures: Figures, settings: Promote) -> list[Gate]:
    """Those that need nothing but the version's own figures."""
    return [
        _at_least("f1", figures.f1, settings.f1_min),
        *(
            _at_least(f"f1.{type_}", figures.type_f1[type_], floor)
            for type_, floor in settings.type_f1_min.items()
        ),
        _parity(figures, settings),
        _cuda(figures.cuda_validated, settings.require_cuda),
    ]


def of_slices(f1: Mapping[str, float], settings: Promote) -> list[Gate]:
    """Those of the slices that have a floor, given the F1 of each."""
    return [
        _at_least(f"slice.{name}", f1[name], floor) for name, floor in settings.slice_f1_min.items()
    ]


def of_latency(figures: dict[int, tuple[float, float]], settings: Promote) -> list[Gate]:
    """Those of the latency budget.

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
        said = f"{slowest:.2f} ms {sign} {most:g} ms, at {length} characters"
        found.append(Gate(name, slowest <= most, said))
    return found


def of_labels(labels: list[str], champions: list[str] | None) -> Gate:
    """The same label set as the champion's; None: there is no champion."""
    if champions is None:
        return Gate("labels", True, "no champion to compare with")
    if set(labels) == set(champions):
        return Gate("labels", True, f"the champion's {len(labels)} labels")
    more, less = set(labels) - set(champions), set(champions) - set(labels)
    said = [f"{word} {', '.join(sorted(few))}" for word, few in (("more:", more), ("less:", less))]
    both = "; ".join(text for text, few in zip(said, (more, less), strict=True) if few)
    return Gate("labels", False, f"not the champion's labels ({both})")


def of_difference(difference: Difference, settings: Promote, rescored: bool = False) -> Gate:
    """Not worse than the champion on the same test data.

    Args:
        difference: Of the version's F1 to the champion's.
        settings: How much worse is still noise.
        rescored: Whether the champion was scored anew, as its own test data is another.
    """
    passed = difference.low >= -settings.not_worse_by
    return Gate(
        "not_worse",
        passed,
        f"F1 {difference.f1:+.4f} to the champion,"
        f" {settings.confidence:.0%} interval [{difference.low:+.4f}, {difference.high:+.4f}],"
        f" lower end {'>=' if passed else '<'} {-settings.not_worse_by:g}"
        + (", champion scored again on this test data" if rescored else ""),
    )


def _parity(figures: Figures, settings: Promote) -> Gate:
    if figures.precision == "fp32":
        found, most = figures.logit_difference, settings.logit_difference_max
        return Gate("parity", found <= most, _compared(found, most, "e", "<=", ">"))
    tags, f1 = figures.tag_agreement, abs(figures.f1_delta)
    same, near = tags >= settings.tag_agreement_min, f1 <= settings.f1_delta_max
    said = (
        f"{figures.precision}: {tags:.3%} of the tags are torch's {'>=' if same else '<'}"
        f" {settings.tag_agreement_min:.3%}, F1 {f1:.4f} from torch's {'<=' if near else '>'}"
        f" {settings.f1_delta_max:g}"
    )
    return Gate("parity", same and near, said)


def _at_least(name: str, value: float, floor: float) -> Gate:
    # `not a < b` would let NaN pass.
    return Gate(name, value >= floor, _compared(value, floor, "f", ">=", "<"))


def _compared(value: float, bound: float, form: str, good: str, bad: str) -> str:
    text = f"{value:.4f}" if form == "f" else f"{value:.2e}"
    if math.isnan(value):
        return f"{text}, which is no number; wanted {good} {bound:g}"
    passed = value >= bound if good == ">=" else value <= bound
    return f"{text} {good if passed else bad} {bound:g}"


def _cuda(validated: bool, required: bool) -> Gate:
    said = "the exported file ran on CUDA" if validated else "the exported file did not run on CUDA"
    return Gate("cuda", validated or not required, said + ("" if required else ", not required"))
