"""Moves the alias champion: forward through the gates, or back."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from pipelines.errors import Exit, Refused
from pipelines.promotion import comparison, decision, gate_evaluation, version_files
from pipelines.promotion.gates import SHADOW, Gate
from pipelines.registry import aliases, champion, claim, history, versions
from pipelines.registry.aliases import CHAMPION, PREVIOUS
from pipelines.registry.history import Event
from pipelines.registry.registry import Registry
from pipelines.settings import Promote

GATE = "gate."


@dataclass(frozen=True)
class Promotion:
    """A promotion, or a dry run.

    Attributes:
        event: None after a dry run.
        gates: Empty with `force`.
        comparison: Where comparison.html is; None with `force`.
    """

    event: Event | None
    gates: list[Gate]
    comparison: str | None


def promote(
    registry: Registry,
    project: Path,
    settings: Promote,
    version: str | None = None,
    reason: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Makes `version`, by default the challenger, the champion if it passes all gates.

    Each verdict is stored as a tag of the version, `gate.NAME`, and comparison.html in its run,
    also when a gate fails.

    Args:
        registry: The registered model.
        project: The project whose promotion lock is taken, and whose DVC cache has the test data.
        settings: The gates.
        version: The version's number.
        reason: Stored in the history; required with `force`.
        force: Skip the gates, but still check the version's files.
        dry_run: Move no alias.

    Raises:
        Refused: with the exit code of the command.
    """
    if force and not (reason or "").strip():
        raise Refused(Exit.ERROR, "--force needs --reason TEXT, which is stored in the history")
    champion.finish_interrupted(registry)
    chosen = _chosen(registry, version)
    number = str(chosen.version)
    before = aliases.by_alias(registry, CHAMPION)
    if before == number:
        raise Refused(Exit.ALREADY, f"Version {before} of {registry.model} is already the champion")
    action = f"promotion of version {number}"
    with claim.project_lock(project, action), tempfile.TemporaryDirectory() as folder:
        versions.restore_run(registry.client, chosen)  # its comparison is stored there
        model = version_files.fetch(chosen, Path(folder, "challenger"))
        gates: list[Gate] = []
        page = None
        if not force:
            evaluation = gate_evaluation.evaluate_gates(
                registry, project, settings, chosen, model, before
            )
            gates = evaluation.gates
            _store(registry, chosen, gates)
            html = comparison.page(evaluation, settings)
            page = comparison.log_comparison(project, chosen, html)
        if page is not None and not all(gate.passed for gate in gates):
            # What was served may decide for it later.
            if not dry_run and any(not g.passed and g.name != SHADOW for g in gates):
                decision.decide(registry, number, settings, before)
            raise _not_promoted(chosen, gates, before, page)
        if dry_run:
            return Promotion(None, gates, page)
        why = reason or "gates passed"
        event = history.new_event(registry, "promote", before, number, why, force)
        champion.move(registry, event, keep=True)
    return Promotion(event, gates, page)


def rollback(registry: Registry, project: Path, reason: str | None = None) -> Event:
    """Makes the previous champion the champion again, without gates; clears `previous`.

    Raises:
        Refused: if there is no previous champion, or its files are missing.
    """
    champion.finish_interrupted(registry)
    before, version = (aliases.by_alias(registry, alias) for alias in (CHAMPION, PREVIOUS))
    if version is None or version == before:
        raise Refused(
            Exit.NO_PREVIOUS,
            f"There is no previous champion to roll back to (champion: {before or 'none'}). See"
            " `history`, and promote any version by `promote VERSION --force --reason TEXT`",
        )
    with claim.project_lock(project, "rollback"), tempfile.TemporaryDirectory() as folder:
        version_files.fetch(
            registry.client.get_model_version(registry.model, version), Path(folder, "previous")
        )
        why = reason or "rollback"
        event = history.new_event(registry, "rollback", before, version, why, False)
        champion.move(registry, event, keep=False)
    return event


def _chosen(registry: Registry, version: str | None) -> ModelVersion:
    number = version or aliases.by_alias(registry, aliases.CHALLENGER)
    if number is None:
        current = aliases.by_alias(registry, CHAMPION) or "none"
        raise Refused(
            Exit.ERROR,
            f"{registry.model} has no challenger (champion: {current}): name a version, or train"
            " one by `python -m pipelines run`",
        )
    return versions.get(registry, number)


def _store(registry: Registry, chosen: ModelVersion, gates: Sequence[Gate]) -> None:
    tags = {f"{GATE}{gate.name}": str(gate) for gate in gates}
    for old in (key for key in chosen.tags if key.startswith(GATE) and key not in tags):
        registry.client.delete_model_version_tag(registry.model, str(chosen.version), old)
    for key, value in tags.items():
        registry.client.set_model_version_tag(registry.model, str(chosen.version), key, value)


def _not_promoted(
    chosen: ModelVersion, gates: Sequence[Gate], before: str | None, comparison: str
) -> Refused:
    failed = [gate for gate in gates if not gate.passed]
    lines = "".join(f"\n  {gate.name}: {gate.detail}" for gate in failed)
    return Refused(
        Exit.GATES,
        f"Version {chosen.version} of {chosen.name} was not promoted: {len(failed)} of {len(gates)}"
        f" gates failed.{lines}"
        f"\nChampion: {f'still version {before}' if before else 'none'}"
        f"\nComparison: {comparison}",
        [gate.as_json() for gate in gates],
        comparison,
    )
