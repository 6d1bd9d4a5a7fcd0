"""The flow `evaluate-champion`: scores the champion on the current test data, without training."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError
from pipelines.flows import artifacts, gpu_slot, worker_output
from pipelines.flows.deployments import Overrides, Ref, WaitMinutes
from pipelines.flows.stage_tasks import run_stages
from pipelines.flows.train import ended, in_workspace
from pipelines.promotion import isolated_model, version_files
from pipelines.registry import versions
from pipelines.tracking.champion_scores import log_champion
from pipelines.tracking.report_values import figure, flattened
from pipelines.workspaces import overlays
from pipelines.workspaces.merging import Values
from stages.scoring.spans import strict_scores
from stages.text.labels import Labels
from stages.text.windows_table import Aligned, read_aligned

ALIGNED = Path("data", "aligned")  # as in dvc.yaml; `align` writes it


@flow(name="evaluate-champion", persist_result=False)
def evaluate_champion(ref: Ref, overrides: Overrides, wait_minutes: WaitMinutes) -> State[Any]:
    """Scores the champion on the test data of a branch, every night.

    The run fails, which alerts, if F1 is below `promote.f1_min` in the branch's params.yaml. The
    champion is that of the model which `run.model` names there.

    Args:
        ref: Branch, tag or commit of the test data; fetched at the start if there is a remote.
        overrides: Merged over params.yaml as the last overlay: the sections of another model, with
            {"run": {"model": "its-name"}}.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
    """
    worker_output.detach()
    project = Path.cwd()
    try:
        with gpu_slot.gpu(wait_minutes):
            champion, scores, f1_min = _score(project, ref, overrides)
    except PipelineError as error:
        artifacts.failed(project, str(error))
        return ended(error)
    f1 = scores["test.f1"]
    low = f1 < f1_min
    message = f"{champion.name} version {champion.version}, the champion: F1 {f1:.4f} on the test"
    message += f" split, {'below the floor of' if low else 'the floor is'} {f1_min:g}"
    artifacts.evaluated(champion.name, message, scores)
    if low:
        message += ": check what changed in the data, or promote another version"
        return Failed(message=message)
    return Completed(message=message)


def _score(
    project: Path, ref: str, overrides: Values
) -> tuple[ModelVersion, dict[str, float], float]:
    """Scores the champion and logs it; returns it, `test.PER.f1` → score, the floor."""
    with in_workspace(project, ref, overrides) as (connected, made, dvc):
        champion = versions.champion(connected.registry)
        run_stages(made, _up_to(dvc_stages.stages(made.path), "align"), dvc)
        tags = Labels.read(made.path / ALIGNED).tags
        split = read_aligned(made.path / ALIGNED / "test.parquet")
        gold = [[tags[label] for label in sentence] for sentence in split.sentence_labels()]
        found = strict_scores(gold, _predicted(champion, split))
        single = ((key, value) for key, value in flattened(found) if not isinstance(value, list))
        scores = {figure(f"test.{key}"): float(value) for key, value in single}
        log_champion(connected, str(champion.version), scores, made, flow_run.get_id())
    return champion, scores, overlays.sections(made.path).promote.f1_min


def _up_to(stages: Sequence[dvc_stages.Stage], last: str) -> list[dvc_stages.Stage]:
    """`last` and all stages that it depends on, in order."""
    wanted = {last}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted |= set(stage.upstream)
    return [stage for stage in stages if stage.name in wanted]


def _predicted(champion: ModelVersion, split: Aligned) -> list[list[str]]:
    """The tags of each sentence's cells."""
    sentences = split.sentence_cells()
    with TemporaryDirectory() as folder:
        model = version_files.fetch(champion, Path(folder, "champion"))
        found = isolated_model.entities(model, ["".join(cells) for cells in sentences])
    return [cell_tags(cells, entities) for cells, entities in zip(sentences, found, strict=True)]


def cell_tags(cells: Sequence[str], entities: Collection[tuple[int, int, str]]) -> list[str]:
    """IOB2 tags of the cells; an entity that starts or ends inside a cell covers the whole cell."""
    starts = list(accumulate(map(len, cells), initial=0))
    tags = ["O"] * len(cells)
    for start, end, type_ in entities:
        first, stop = bisect_right(starts, start) - 1, bisect_left(starts, end)
        tags[first:stop] = [f"B-{type_}", *[f"I-{type_}"] * (stop - first - 1)]
    return tags
