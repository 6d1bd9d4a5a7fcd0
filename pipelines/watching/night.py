"""What a look at the log found, and what of it is to be told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlflow.entities.model_registry import ModelVersion

from pipelines.settings import Watch
from pipelines.watching.f1_estimate import Estimate
from pipelines.watching.shift import Shift

F1 = "f1"  # beside the names of the measures
# Of a threshold. Figures near it come and go, which is no news: what was told is told again after
# it was below the first, and meanwhile nothing else is told that is not above the second.
SILENT, LOUD = 0.5, 2.0


@dataclass(frozen=True)
class Night:
    """What a look found.

    Attributes:
        version: The champion.
        since: The log was read from here.
        until: To here.
        texts: The number of texts.
        shifts: Each measure, shifted or not; empty if there were too few texts.
        f1: What the champion's F1 on these texts probably is.
        shifted: The names of what has shifted; `f1` may be one of them.
        news: Those that are to be told now.
        told: What is not told again while it stays.
        page: The address of the page.
    """

    version: ModelVersion
    since: datetime
    until: datetime
    texts: int
    shifts: Sequence[Shift] = ()
    f1: Estimate | None = None
    shifted: Sequence[str] = ()
    news: Sequence[str] = ()
    told: Collection[str] = ()
    page: str | None = None

    def __str__(self) -> str:
        """The result in a sentence."""
        about = f"{self.version.name} version {self.version.version}: {self.texts:,} texts"
        if self.since.timestamp():  # there was a night before
            about += f" since {self.since:%Y-%m-%d %H:%M} UTC"
        if self.f1 is None:
            return f"{about}, too few to compare"
        estimated = f"estimated F1 {self.f1.f1:.3f} ({self.f1.low:.3f} to {self.f1.high:.3f})"
        shifted = f"shifted: {', '.join(self.shifted)}" if self.shifted else "no shift"
        return f"{about}, {shifted}, {estimated}, {self.f1.test:.3f} on the test split"


def news(
    shifts: Sequence[Shift], f1: Estimate, told: Collection[str], settings: Watch
) -> tuple[list[str], list[str], list[str]]:
    """What has shifted, what of it is news, and what is then not told again while it stays."""
    size = {each.name: each.most.distance / settings.distance_min for each in shifts}
    size[F1] = (f1.test - f1.high) / settings.f1_drop_max
    shifted = [each.name for each in shifts if each.shifted] + [F1] * (size[F1] > 1)
    new = [n for n in shifted if n not in told and (not told or size[n] >= LOUD)]
    return shifted, new, [n for n, s in size.items() if s >= SILENT and (new or n in told)]
