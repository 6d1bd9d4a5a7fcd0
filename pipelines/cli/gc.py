"""`gc` on the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Adds the subcommand."""
    gc = commands.add_parser(
        "gc",
        help="delete old workspaces, checkpoints, DVC cache and MLflow runs",
        description="Kept are: workspaces that run or are not logged yet, and the last complete and"
        " the last failed ones, run.keep_workspaces of each, and as many checkpoints of train;"
        " MLflow runs that a registered version stands on; what the dvc.lock of a registered"
        " version, a kept workspace, the working tree, a branch or a tag names in the cache. All"
        " else is deleted. To let go of a version's files, delete the version first.",
    )
    gc.add_argument("--dry-run", action="store_true", help="say it only")
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
    if pruned.left_alone:
        print(f"The DVC cache was left alone: {pruned.left_alone}", file=sys.stderr)
    return 0
