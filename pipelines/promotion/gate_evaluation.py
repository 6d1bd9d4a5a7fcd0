"""Holds a version to all gates, by its figures, its files and the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.promotion import bootstrap, gates, isolated_model, rescore_champion, version_files
from pipelines.promotion.bootstrap import Difference
from pipelines.promotion.gates import Gate
from pipelines.settings import Promote
from stages.scoring.predictions import Scored
from stages.scoring.slices import Members
from stages.scoring.spans import Counts


@dataclass(frozen=True)
class Side:
    """One of two models that are compared, and what it finds in the test sentences."""

    version: ModelVersion
    sentences: list[Scored]


@dataclass(frozen=True)
class Examined:
    """What a version is held to, and what that rests on."""

    gates: list[Gate]
    challenger: Side
    slices: dict[str, Members]
    champion: Side | None
    """None: there is none, or its figures could not be had, which the gates say."""
    difference: Difference | None
    """Of F1 to the champion's."""


def examine(
    client: MlflowClient,
    project: Path,
    settings: Promote,
    chosen: ModelVersion,
    model: Path,
    before: str | None,
) -> Examined:
    """The verdict of each gate.

    Args:
        client: Of the registry.
        project: Whose DVC cache is asked for test data.
        settings: The thresholds.
        chosen: The version.
        model: Folder of its model; the champion's is put beside it.
        before: The champion's version.

    Raises:
        Refused: if the version lacks a figure or a file.
    """
    figures = version_files.figures(chosen, settings.type_f1_min)
    own = Side(chosen, version_files.predictions(client, chosen, figures.test_sentences))
    slices = version_files.slices(client, chosen, settings.slice_f1_min)
    slice_f1 = {
        name: bootstrap.f1_of(counted(own, each.type, each.sentences))
        for name, each in slices.items()
    }
    found = gates.of_figures(figures, settings) + gates.of_slices(slice_f1, settings)
    labels = version_files.labels(model)
    champion = difference = None
    if before is None:
        found.append(gates.of_labels(labels, None))
        found.append(Gate("not_worse", True, "no champion to compare with"))
    else:
        version = client.get_model_version(MODEL, before)
        same_data = version.tags.get("test_sha256") == figures.test_sha256
        try:
            other = version_files.fetch(version, model.with_name("champion"))
            found.append(gates.of_labels(labels, version_files.labels(other)))
            theirs = (
                version_files.predictions(client, version, figures.test_sentences)
                if same_data
                else rescore_champion.predictions(project, client, chosen, labels, other)
            )
        except PipelineError as error:
            found.append(Gate("not_worse", False, f"no figure: {error}"))
        else:
            champion = Side(version, theirs)
            difference = bootstrap.difference(
                counted(own),
                counted(champion),
                settings.bootstrap_samples,
                settings.confidence,
                settings.seed,
            )
            found.append(gates.of_difference(difference, settings, rescored=not same_data))
    timed, provider = isolated_model.latency(
        model, settings.latency.characters, settings.latency.texts
    )
    client.set_model_version_tag(MODEL, str(chosen.version), "promotion.provider", provider)
    found += gates.of_latency(timed, settings)
    return Examined(found, own, slices, champion, difference)


def counted(side: Side, type_: str | None = None, numbers: Sequence[int] | None = None) -> Counts:
    """`bootstrap.counts` of the side's sentences with these numbers, or else of all."""
    chosen = side.sentences if numbers is None else [side.sentences[n] for n in numbers]
    return bootstrap.counts(chosen, type_)
