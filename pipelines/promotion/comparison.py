"""Writes comparison.html: the scores and predictions of two versions on the same sentences."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from pipelines.names import Logged
from pipelines.promotion import bootstrap
from pipelines.promotion.gate_evaluation import Evaluation, counts_by_type
from pipelines.promotion.prediction_diff import KINDS, changed
from pipelines.registry import keys
from pipelines.serving import disagreements
from pipelines.settings import Promote
from pipelines.tracking import connection, run_log
from stages.report.colours import colours
from stages.report.page import page as fill_in
from stages.scoring.spans import micro_f1

FILE = "comparison.html"
TEMPLATE = Path(__file__).with_name(FILE)


def page(evaluation: Evaluation, settings: Promote) -> str:
    """The page, one file that loads nothing else."""
    mine, theirs = evaluation.challenger, evaluation.champion
    [headline] = _rows(evaluation, settings, [("all", None)])
    return fill_in(
        TEMPLATE,
        {
            "model": mine.version.name,
            "challenger": _version(mine.version),
            "champion": _version(theirs.version) if theirs else None,
            "gates": sorted(evaluation.gates, key=lambda gate: gate.passed),
            "failed": sum(not gate.passed for gate in evaluation.gates),
            "headline": headline,
            "colours": colours(mine.types, theirs.types if theirs else ()),
            "rescored": theirs is not None
            and keys.tags(theirs.version).get("test_sha256")
            != keys.tags(mine.version).get("test_sha256"),
            "confidence": settings.confidence,
            "samples": settings.bootstrap_samples,
            "sentences": len(mine.sentences),
            **_scores(evaluation, settings),
            **_changes(evaluation, settings),
            **_shadow(evaluation, settings),
        },
        headline["interval"],
    )


def log_comparison(project: Path, version: ModelVersion, html: str) -> str:
    """Logs the page to the version's run, in place of an older one; returns its address."""
    run_id = str(version.run_id)
    connected = connection.check(project, model=version.name)
    connected.client.log_text(run_id, html, FILE)
    logged = Logged(run_id, version.name, str(version.version), already_logged=True)
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
    of_types = [(type_, type_) for type_ in evaluation.challenger.types]
    of_slices = (
        _rows(evaluation, settings, [(name, each.type)], each.sentences)
        for name, each in evaluation.slices.items()
    )
    return {
        "by_type": _rows(evaluation, settings, of_types),
        "by_slice": [row for [row] in of_slices],
    }


def _rows(
    evaluation: Evaluation,
    settings: Promote,
    named: Sequence[tuple[str, str | None]],
    numbers: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Both F1s on the entities of each type in the sentences `numbers`, and their difference.

    Args:
        evaluation: Has both models' entities.
        settings: Of the bootstrap; hundreds of types share its draws.
        named: A row's name and its type; None is all types.
        numbers: Of the sentences; None: all of them.
    """
    sides = [evaluation.challenger, *([evaluation.champion] if evaluation.champion else [])]
    counted = [counts_by_type(side, [type_ for _, type_ in named], numbers) for side in sides]
    rows: list[dict[str, Any]] = []
    pairs = []
    for (name, _), mine, *theirs in zip(named, *counted, strict=True):
        support = int(mine.counts[:, 0].sum())
        row = dict.fromkeys(["challenger", "champion", "difference", "interval"])
        row |= {"name": name, "sentences": mine.sentences, "support": support}
        if support:
            row["challenger"] = micro_f1(mine.counts)
            pairs += [(row, (mine, other)) for other in theirs]
        rows.append(row)
    found = bootstrap.differences(
        [pair for _, pair in pairs],
        settings.bootstrap_samples,
        settings.confidence,
        settings.seed,
    )
    for (row, (_, other)), each in zip(pairs, found, strict=True):
        row["champion"] = micro_f1(other.counts)
        row |= {"difference": each.f1, "interval": (each.low, each.high)}
    return rows


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
    }


def _shadow(evaluation: Evaluation, settings: Promote) -> dict[str, Any]:
    found = evaluation.shadow
    if found is None or not found.texts:
        return {"shadow": None}
    return {
        "shadow": found,
        "share": found.differing / found.texts,
        "share_interval": found.interval(settings.confidence),
        "shadow_kinds": [
            (kind, found.kinds[kind], meaning) for kind, meaning in disagreements.KINDS.items()
        ],
    }
