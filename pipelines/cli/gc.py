"""The command `gc`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.command import Answer, command

if TYPE_CHECKING:
    from pipelines.maintenance.gc import Pruned


@command("gc --dry-run", "gc")
def gc(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List what would be deleted; delete nothing."),
    ] = False,
) -> Answer:
    """Deletes old workspaces, checkpoints, cache files and runs.

    Keeps workspaces that are running or not yet logged; the newest complete and the newest failed
    ones, run.keep_workspaces of each; as many checkpoints of train; the MLflow runs of registered
    versions; and the cache files that are named by the dvc.lock of a registered version, a kept
    workspace, the working tree, a branch, a tag or a `dvc exp` experiment. Deletes everything
    else. To delete a version's files, delete the version first.
    """
    from pipelines.maintenance.gc import prune

    pruned = prune(Path.cwd(), dry_run)
    return Answer({"dry_run": dry_run, **asdict(pruned)}, lambda: _show(pruned, dry_run))


def _show(pruned: "Pruned", dry_run: bool) -> None:
    for about, names in (
        ("workspace", pruned.workspaces),
        ("checkpoint", pruned.checkpoints),
        ("MLflow run", pruned.mlflow_runs),
    ):
        for name in names:
            print(f"{about} {name}")
    print(f"{pruned.cache_objects} objects of the DVC cache")
    print("would be deleted" if dry_run else "deleted")
    for name in pruned.restored:
        done = "would be restored" if dry_run else "was restored"
        print(f"MLflow run {name}, which a registered version needs, {done} from MLflow's bin")
    if pruned.cache_skipped:
        print(f"The DVC cache was not pruned: {pruned.cache_skipped}", file=sys.stderr)
