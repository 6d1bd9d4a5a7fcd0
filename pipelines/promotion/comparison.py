"""Writes comparison.html: the scores and predictions of two versions on the same sentences."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from pipelines.names import MODEL, Logged
from pipelines.promotion import bootstrap
from pipelines.promotion.gate_evaluation import Evaluation, counts_of
from pipelines.promotion.prediction_diff import KINDS, changed
from pipelines.registry import keys
from pipelines.settings import Promote
from pipelines.tracking import connection, run_log
from stages.report.page import page as fill_in
from stages.scoring.spans import micro_f1

FILE = "comparison.html"
TEMPLATE = Path(__file__).with_name(FILE)
LISTED_CHANGES = 12  # of a sentence: a list of names may have a hundred, which the text shows


def page(evaluation: Evaluation, settings: Promote) -> str:
    """The page, one file that loads nothing else."""
    mine, theirs = evaluation.challenger, evaluation.champion
    return fill_in(
        TEMPLATE,
        {
            "model": MODEL,
            "challenger": _version(mine.version),
            "champion": _version(theirs.version) if theirs else None,
            "gates": evaluation.gates,
            "failed": [gate.name for gate in evaluation.gates if not gate.passed],
            "rescored": theirs is not None
            and keys.tags(theirs.version).get("test_sha256")
            != keys.tags(mine.version).get("test_sha256"),
            "confidence": settings.confidence,
            "samples": settings.bootstrap_samples,
            "sentences": len(mine.sentences),
            **_scores(evaluation, settings),
            **_changes(evaluation, settings),
        },
    )


def log_comparison(project: Path, version: ModelVersion, html: str) -> str:
    """Logs the page to the version's run, in place of an older one; returns its address."""
    run_id = str(version.run_id)
    connected = connection.check(project)
    connected.client.log_text(run_id, html, FILE)
    logged = Logged(run_id, str(version.version), already_logged=True)
    return run_log.address(connected, logged, FILE).removeprefix("file://")


def _version(version: ModelVersion) -> dict[str, str]:
    tags = keys.tags(version)
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "number": str(version.version),
        "commit": tags.get("commit", "unknown"),
        "run": str(version.run_id),
        "made": f"{made:%Y-%m-%d %H:%M} UTC",
        "promoted": tags.get("promoted.when", "")[:16].replace("T", " "),
        "who": tags.get("promoted.who", ""),
        "precision": tags.get("onnx_precision", "fp32"),
        "test": tags.get("test_sha256", "unknown"),
        "dvc_lock": tags.get("dvc_lock", "unknown"),
    }


def _scores(evaluation: Evaluation, settings: Promote) -> dict[str, Any]:
    sentences = evaluation.challenger.sentences
    types = sorted({span.type for each in sentences for span in each.gold | each.predicted})
    return {
        "types": types,
        "headline": _row("all", evaluation, settings),
        "by_type": [_row(type_, evaluation, settings, type_) for type_ in types],
        "by_slice": [
            _row(name, evaluation, settings, each.type, each.sentences)
            for name, each in evaluation.slices.items()
        ],
    }


def _row(
    name: str,
    evaluation: Evaluation,
    settings: Promote,
    type_: str | None = None,
    numbers: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Both F1s on the entities of `type_` in the sentences `numbers`, and their difference."""
    mine = counts_of(evaluation.challenger, type_, numbers)
    row: dict[str, Any] = {
        "name": name,
        "sentences": len(mine),
        "support": int(mine[:, 0].sum()),
        "challenger": micro_f1(mine),
        "champion": None,
        "difference": None,
    }
    if evaluation.champion:
        theirs = counts_of(evaluation.champion, type_, numbers)
        row["champion"] = micro_f1(theirs)
        if len(mine):
            row["difference"] = bootstrap.difference(
                mine, theirs, settings.bootstrap_samples, settings.confidence, settings.seed
            )
    return row


def _changes(evaluation: Evaluation, settings: Promote) -> dict[str, Any]:
    mine, theirs = evaluation.challenger, evaluation.champion
    items = changed(mine.sentences, theirs.sentences) if theirs else []
    return {
        "kinds": [
            (kind, meaning, sum(item.count(kind) for item in items))
            for kind, meaning in KINDS.items()
        ],
        "items": items[: settings.comparison_sentences],
        "differing": len(items),
        "listed": LISTED_CHANGES,
    }
