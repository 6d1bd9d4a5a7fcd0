"""The flow `evaluate-champion`: the champion on the test data as it is now, without training."""

import json
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from pipelines import dvc, messages, registry, slot, tracking
from pipelines.deployed import Ref, WaitMinutes
from pipelines.errors import PipelineError
from pipelines.flow import ended, in_workspace
from pipelines.stage_tasks import run_stages
from pipelines.tracking_champion import log_champion
from stages.ner.aligned import Aligned, read_aligned
from stages.ner.labels import Labels
from stages.ner.metrics import strict_scores

ALIGNED = Path("data", "aligned")  # as dvc.yaml has it; `align` writes it
CALL_BYTES = 2**18  # of texts on one command line; Linux takes 2 MiB

F1Min = Annotated[float, Field(ge=0, le=1)]


@flow(name="evaluate-champion", persist_result=False)
def evaluate_champion(ref: Ref, f1_min: F1Min, wait_minutes: WaitMinutes) -> State[Any]:
    """Scores the champion on the test data of a branch, every night.

    Args:
        ref: Branch, tag or commit of the test data; fetched at the start where there is a remote.
        f1_min: Below it, over all types on the test split, the run fails, which alerts.
        wait_minutes: How long to wait for the GPU, which all deployments share, before failing.
    """
    project = Path.cwd()
    try:
        with slot.gpu(wait_minutes):
            version, scores = _score(project, ref)
    except PipelineError as error:
        messages.failed(str(error))
        return ended(error)
    f1 = scores["test.f1"]
    low = f1 < f1_min
    said = f"{registry.MODEL} version {version}, the champion: F1 {f1:.4f} on the test split,"
    said += f" {'below the floor of' if low else 'the floor is'} {f1_min:g}"
    messages.evaluated(said, scores)
    if low:
        return Failed(message=f"{said}: look at what changed in the data, or promote another")
    return Completed(message=said)


def _score(project: Path, ref: str) -> tuple[str, dict[str, float]]:
    """The champion's version, and its scores as `test.PER.f1`, which are logged."""
    tracking.check(project)
    version = registry.by_alias(tracking.connect(project), "champion")
    if version is None:
        raise PipelineError(f"{registry.MODEL} has no champion yet: promote a version")
    with in_workspace(project, [], ref=ref) as made:
        run_stages(made.path, _up_to(dvc.stages(made.path), "align"))
        tags = Labels.read(made.path / ALIGNED).tags
        split = read_aligned(made.path / ALIGNED / "test.parquet")
        gold = [[tags[label] for label in sentence] for sentence in split.sentence_labels()]
        found = strict_scores(gold, _predicted(project, version, split))
        scores = {f"test.{key}": float(value) for key, value in _flat(found)}
        log_champion(project, version, scores, made, flow_run.get_id())
    return version, scores


def _up_to(stages: Sequence[dvc.Stage], last: str) -> list[dvc.Stage]:
    """`last` and all that it depends on, in order."""
    wanted = {last}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted |= set(stage.upstream)
    return [stage for stage in stages if stage.name in wanted]


def _predicted(project: Path, version: str, split: Aligned) -> list[list[str]]:
    """The tags of each sentence's cells, by `python -m pipelines predict`.

    In a process of its own, for the model brings its own stages/, and here is the project's.
    """
    sentences = split.sentence_cells()
    answers: list[dict[str, Any]] = []
    for texts in _calls(["".join(cells) for cells in sentences]):
        uri = f"models:/{registry.MODEL}/{version}"
        command = [sys.executable, "-m", "pipelines", "predict", "--model", uri, "--", *texts]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode or len(lines) != len(texts):
            words = " ".join(done.stderr.split()[-60:])
            raise PipelineError(f"The champion, version {version}, does not predict ({words})")
        answers += lines
    return [_tags(cells, row["entities"]) for cells, row in zip(sentences, answers, strict=True)]


def _calls(texts: list[str]) -> Iterator[list[str]]:
    call: list[str] = []
    size = 0
    for text in texts:
        size += len(text.encode()) + 1
        if size > CALL_BYTES and call:
            yield call
            call, size = [], len(text.encode()) + 1
        call.append(text)
    if call:
        yield call


def _tags(cells: Sequence[str], entities: Sequence[dict[str, Any]]) -> list[str]:
    """IOB2 tags of the cells; an entity that begins or ends inside one covers it whole."""
    starts = list(accumulate(map(len, cells), initial=0))
    tags = ["O"] * len(cells)
    for entity in entities:
        first, stop = bisect_right(starts, entity["start"]) - 1, bisect_left(starts, entity["end"])
        tags[first:stop] = ["B-" + entity["type"], *["I-" + entity["type"]] * (stop - first - 1)]
    return tags


def _flat(scores: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in scores.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", figure) for inner, figure in value.items())
        else:
            yield key, value
