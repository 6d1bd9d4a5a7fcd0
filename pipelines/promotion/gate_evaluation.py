"""Evaluates all gates for one version, from its figures, its files and the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.entities.model_registry import ModelVersion

from pipelines.errors import PipelineError
from pipelines.promotion import (
    bootstrap,
    gates,
    isolated_model,
    rescore_champion,
    shadow_evidence,
    version_files,
)
from pipelines.promotion.bootstrap import Difference
from pipelines.promotion.gates import Figures, Gate
from pipelines.promotion.shadow_evidence import Evidence
from pipelines.registry.keys import PROGRAMS, tags
from pipelines.registry.registry import Registry
from pipelines.settings import Promote
from stages.scoring.predictions import Scored
from stages.scoring.slices import Members
from stages.scoring.spans import Counts, SparseCounts, counts, counts_by, micro_f1


@dataclass(frozen=True)
class Side:
    """One of two models that are compared, and what it finds in the test sentences."""

    version: ModelVersion
    sentences: list[Scored]
    types: list[str]
    """Its labels' entity types, found in these sentences or not."""


@dataclass(frozen=True)
class Comparison:
    """The gates that compare a version with the champion.

    Attributes:
        gates: `labels` and `not_worse`.
        champion: None if there is none, or if it could not be scored; the gates say which.
        difference: F1 of the version minus F1 of the champion.
    """

    gates: list[Gate]
    champion: Side | None = None
    difference: Difference | None = None


@dataclass(frozen=True)
class Evaluation:
    """Every gate of a version, and what the gates were computed from.

    Attributes:
        gates: The verdicts.
        challenger: The version.
        slices: Slice → which test sentences belong to it.
        champion: As in `Comparison`.
        difference: As in `Comparison`.
        shadow: Of this version and the champion; None: not asked, or there is no champion.
    """

    gates: list[Gate]
    challenger: Side
    slices: dict[str, Members]
    champion: Side | None
    difference: Difference | None
    shadow: Evidence | None = None


def evaluate_gates(
    registry: Registry,
    project: Path,
    settings: Promote,
    version: ModelVersion,
    model: Path,
    champion: str | None,
) -> Evaluation:
    """Evaluates every gate.

    Args:
        registry: The registered model.
        project: The project whose DVC cache has the test data.
        settings: The thresholds.
        version: The version to evaluate.
        model: Folder of its model; the champion's is downloaded beside it.
        champion: The champion's version number.

    Raises:
        Refused: if the version lacks a figure or a file.
    """
    figures = version_files.figures(version, settings.type_f1_min)
    challenger = Side(
        version,
        version_files.predictions(registry.client, version, figures.test_sentences),
        version_files.types(model),
    )
    slices = version_files.slices(registry.client, version, settings.slice_f1_min)
    slice_f1 = {
        name: micro_f1(counts_of(challenger, members.type, members.sentences))
        for name, members in slices.items()
    }
    compared = _compare(registry, project, settings, challenger, figures, model, champion)
    timed, provider = isolated_model.latency(
        model, settings.latency.characters, settings.latency.texts
    )
    registry.client.set_model_version_tag(
        registry.model, str(version.version), f"{PROGRAMS}promotion.provider", provider
    )
    verdicts = [
        *gates.of_figures(figures, settings),
        *gates.of_slices(slice_f1, settings),
        *compared.gates,
        *gates.of_latency(timed, settings),
    ]
    evidence = None
    if asked := settings.shadow:
        folder = project / asked.folder / registry.model
        if champion is not None:
            evidence = shadow_evidence.read(folder, champion, str(version.version))
        verdicts.append(gates.of_shadow(evidence, asked, settings.confidence))
    return Evaluation(
        verdicts, challenger, slices, compared.champion, compared.difference, evidence
    )


def counts_of(side: Side, type_: str | None = None, numbers: Sequence[int] | None = None) -> Counts:
    """Counts [sentences, 3] of the side's sentences with these numbers; None: of all of them."""
    return counts(_chosen(side, numbers), type_)


def counts_by_type(
    side: Side, types: Sequence[str | None], numbers: Sequence[int] | None = None
) -> list[SparseCounts]:
    """As `counts_of` of each of `types`."""
    chosen = _chosen(side, numbers)
    found: dict[str | None, SparseCounts] = {**counts_by(chosen, lambda _, span: span.type)}
    nothing = SparseCounts.of(np.zeros((len(chosen), 3), dtype=np.int64))
    found[None] = SparseCounts.of(counts(chosen))
    return [found.get(type_, nothing) for type_ in types]


def _chosen(side: Side, numbers: Sequence[int] | None) -> Sequence[Scored]:
    return side.sentences if numbers is None else [side.sentences[n] for n in numbers]


def _compare(
    registry: Registry,
    project: Path,
    settings: Promote,
    challenger: Side,
    figures: Figures,
    model: Path,
    champion: str | None,
) -> Comparison:
    labels = version_files.labels(model)
    if champion is None:
        none = Gate("not_worse", True, "no champion to compare with")
        return Comparison([gates.of_labels(labels, None), none])
    version = registry.client.get_model_version(registry.model, champion)
    same_data = tags(version).get("test_sha256") == figures.test_sha256
    verdicts = []
    try:
        other = version_files.fetch(version, model.with_name("champion"))
        verdicts.append(gates.of_labels(labels, version_files.labels(other)))
        sentences = (
            version_files.predictions(registry.client, version, figures.test_sentences)
            if same_data
            else rescore_champion.predictions(
                project, registry.client, challenger.version, labels, other
            )
        )
    except PipelineError as error:
        failed = Gate("not_worse", False, f"the champion has no F1 to compare with: {error}")
        return Comparison([*verdicts, failed])
    side = Side(version, sentences, version_files.types(other))
    difference = bootstrap.difference(
        counts_of(challenger),
        counts_of(side),
        settings.bootstrap_samples,
        settings.confidence,
        settings.seed,
    )
    verdicts.append(gates.of_difference(difference, settings, rescored=not same_data))
    return Comparison(verdicts, side, difference)
