"""Moves the alias champion: forward through the gates, or back."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.errors import Exit, Refused
from pipelines.names import MODEL
from pipelines.promotion import comparison, decision, gate_evaluation, version_files
from pipelines.promotion.gates import Gate
from pipelines.registry import aliases, history
from pipelines.registry.aliases import CHAMPION, PREVIOUS
from pipelines.registry.history import Event
from pipelines.settings import Promote

GATE = "gate."


@dataclass(frozen=True)
class Promotion:
    """What came about; without gates and comparison where they were skipped."""

    event: Event | None
    """None: only the gates were asked."""
    gates: list[Gate]
    comparison: str | None
    """Where comparison.html is."""


def promote(
    client: MlflowClient,
    project: Path,
    settings: Promote,
    version: str | None = None,
    reason: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Makes `version`, or else the challenger, the champion if it passes all gates.

    The verdict of each gate is kept as a tag of the version, `gate.NAME`, and comparison.html in
    its run, also when one fails.

    Args:
        client: Of the registry.
        project: Whose lock is held, and whose DVC cache is asked for test data.
        settings: The gates.
        version: Its number.
        reason: Kept in the history; needed with `force`.
        force: Skip the gates, but not the look at the version's files.
        dry_run: Move no alias.

    Raises:
        Refused: with the exit code of each way in which it does not come about.
    """
    if force and not (reason or "").strip():
        raise Refused(Exit.ERROR, "--force needs --reason, which is kept in the history")
    chosen = _chosen(client, version)
    number = str(chosen.version)
    about = f"promotion of version {number}"
    before = aliases.by_alias(client, CHAMPION)
    if before == number:
        raise Refused(Exit.ALREADY, f"{MODEL} version {before} is the champion already")
    with aliases.one_here(project, about), tempfile.TemporaryDirectory() as folder:
        model = version_files.fetch(chosen, Path(folder, "challenger"))
        found: list[Gate] = []
        place = None
        if not force:
            examined = gate_evaluation.examine(client, project, settings, chosen, model, before)
            found = examined.gates
            _keep(client, chosen, found)
            place = comparison.log_comparison(project, chosen, comparison.page(examined, settings))
        if not dry_run:
            decision.decide(client, number, settings, before)
        if place is not None:
            _refuse_failed(chosen, found, before, place)
        if dry_run:
            return Promotion(None, found, place)
        why = reason or "gates passed"
        made = history.event(client, "promote", before, number, why, force)
        with aliases.one_anywhere(client, about):
            aliases.move(client, number, before, keep=True)
            history.append(client, made)
    return Promotion(made, found, place)


def rollback(client: MlflowClient, project: Path, reason: str | None = None) -> Event:
    """Makes the previous champion the champion again, without gates; afterwards none is previous.

    Raises:
        Refused: if there is no previous one, or its files are gone.
    """
    before, version = (aliases.by_alias(client, alias) for alias in (CHAMPION, PREVIOUS))
    if version is None or version == before:
        raise Refused(
            Exit.NO_PREVIOUS,
            f"There is no previous champion to go back to (champion: {before or 'none'}):"
            " `history` shows what there was, `promote VERSION --force --reason TEXT` goes to any",
        )
    with aliases.one_here(project, "rollback"), tempfile.TemporaryDirectory() as folder:
        version_files.fetch(client.get_model_version(MODEL, version), Path(folder, "previous"))
        made = history.event(client, "rollback", before, version, reason or "rollback", False)
        with aliases.one_anywhere(client, f"rollback to version {version}"):
            aliases.move(client, version, before, keep=False)
            history.append(client, made)
    return made


def _chosen(client: MlflowClient, version: str | None) -> ModelVersion:
    number = version or aliases.by_alias(client, aliases.CHALLENGER)
    if number is None:
        champion = aliases.by_alias(client, CHAMPION) or "none"
        raise Refused(
            Exit.ERROR,
            f"{MODEL} has no challenger (champion: {champion}): name a version, or make one by"
            " `python -m pipelines run`",
        )
    try:
        return client.get_model_version(MODEL, number)
    except MlflowException as error:
        if error.error_code not in aliases.ABSENT:
            raise
        raise Refused(
            Exit.ERROR, f"{MODEL} has no version {number}: `status` shows those with an alias"
        ) from None


def _keep(client: MlflowClient, chosen: ModelVersion, found: Sequence[Gate]) -> None:
    tags = {f"{GATE}{gate.name}": str(gate) for gate in found}
    for old in (key for key in chosen.tags if key.startswith(GATE) and key not in tags):
        client.delete_model_version_tag(MODEL, str(chosen.version), old)
    for key, value in tags.items():
        client.set_model_version_tag(MODEL, str(chosen.version), key, value)


def _refuse_failed(
    chosen: ModelVersion, found: Sequence[Gate], before: str | None, comparison: str
) -> None:
    failed = [gate for gate in found if not gate.passed]
    if failed:
        said = "".join(f"\n  {gate.name}: {gate.said}" for gate in failed)
        raise Refused(
            Exit.GATES,
            f"{MODEL} version {chosen.version} is not promoted, {len(failed)} of {len(found)} gates"
            f" failed:{said}\nChampion: {f'still version {before}' if before else 'none'}"
            f"\nComparison: {comparison}",
            [gate.as_json() for gate in found],
            comparison,
        )
