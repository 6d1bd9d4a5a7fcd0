"""Looks at the request log: has the text shifted, and how good is the champion on it?"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.promotion import version_files
from pipelines.registry import versions
from pipelines.serving import row_files
from pipelines.settings import Watch
from pipelines.tracking.connection import Project
from pipelines.watching import f1_estimate, night_log, page, shift, texts
from pipelines.watching.night import Night, news


def watch(
    project: Project, settings: Watch, since: datetime | None, tell: Callable[[Night], object]
) -> Night:
    """Compares the log with the champion's test split, and logs the result to MLflow.

    With too few texts it logs nothing, so that the next night takes these texts too.

    Args:
        project: The project whose log, registry and DVC cache are read.
        settings: Where the log is, and what counts as shifted.
        since: From when on; None: where the last night ended.
        tell: Called with the night if something has shifted that was not told before.

    Raises:
        PipelineError: if there is no champion, its model does not run here, its data is missing, or
            the log has ended.
    """
    version = versions.champion(project.registry)
    last = night_log.last(project, str(version.version))
    since, until = since or last.until, datetime.now(UTC)
    folder = project.folder / settings.folder / project.model
    _require_a_living_log(folder, settings.silent_days)
    served = texts.logged(folder, str(version.version), since, until, settings.texts_max)
    night = Night(version, since, until, len(served), told=last.told)
    if len(served) < settings.texts_min:
        return night
    with tempfile.TemporaryDirectory() as made:
        model = version_files.fetch(version, Path(made, "champion"))
        known = texts.reference(project, version, model)
    shifts = shift.compare(known, texts.as_logged(known.texts, served), served, settings)
    f1 = f1_estimate.estimate(known.texts, served, settings)
    shifted, new, told = news(shifts, f1, last.told, settings)
    night = replace(night, shifts=shifts, f1=f1, shifted=shifted, news=new, told=told)
    html = page.page(night, f1, known, served, settings)
    night = replace(night, page=night_log.log(project, night, html))
    if new:
        tell(night)
    night_log.remember(project, night)  # last: who is killed before tells twice, not never
    return night


def _require_a_living_log(folder: Path, days: int) -> None:
    """Refuses a log that has ended: a night without texts would look like one without a shift."""
    written = row_files.last_written(folder)
    if written and datetime.now(UTC) - written > timedelta(days=days):
        raise PipelineError(
            f"No server has written to {folder} since {written:%Y-%m-%d}: start one by `serve"
            " --log-requests`, name its folder in watch.folder, or delete the old log"
        )
