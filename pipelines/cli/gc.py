"""`gc` on the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    gc = commands.add_parser(
        "gc",
        help="delete old workspaces, checkpoints, DVC cache files and MLflow runs",
        description="Keeps workspaces that are running or not yet logged; the newest complete"
        " and the newest failed ones, run.keep_workspaces of each; as many checkpoints of"
        " train; the MLflow runs of registered versions; and the cache files that are named by the"
        " dvc.lock of a registered version, a kept workspace, the working tree, a branch, a tag or"
        " a `dvc exp` experiment. Deletes everything else. To delete a version's files, delete the"
        " version first.",
    )
    gc.add_argument(
        "--dry-run", action="store_true", help="list what would be deleted; delete nothing"
    )
    gc.set_defaults(command=_gc)


def _gc(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.gc import prune

    pruned = prune(Path.cwd(), arguments.dry_run)
    for about, names in (
        ("workspace", pruned.workspaces),
        ("checkpoint", pruned.checkpoints),
        ("MLflow run", pruned.mlflow_runs),
    ):
        for name in names:
            print(f"{about} {name}")
    print(f"{pruned.cache_objects} objects of the DVC cache")
    print("would be deleted" if arguments.dry_run else "deleted")
    for name in pruned.restored:
        done = "would be restored" if arguments.dry_run else "was restored"
        print(f"MLflow run {name}, which a registered version needs, {done} from MLflow's bin")
    if pruned.cache_skipped:
        print(f"The DVC cache was not pruned: {pruned.cache_skipped}", file=sys.stderr)
    return 0
