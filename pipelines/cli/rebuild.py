"""`rebuild` on the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pipelines.errors import Refused

CODES = """\
exit codes:
  0  identical: every out has the recorded hash
  1  the version cannot be rebuilt: the message says why
  9  different: the message names the first stage and file"""


def add(commands: Any) -> None:
    """Adds the subcommand."""
    rebuild = commands.add_parser(
        "rebuild",
        help="rebuild a registered version and compare it",
        description="Makes a workspace with the version's commit and parameters, runs all stages in"
        " the recorded image without DVC's cache, and compares each stage's outs with the version's"
        " dvc.lock. With NER_RUNTIME=local it uses no image, and prints that. Only a GPU of the"
        " same kind gives the same bytes.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rebuild.add_argument("version", metavar="VERSION", help="number of a version, or an alias")
    rebuild.set_defaults(command=_rebuild)


def _rebuild(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.rebuild import rebuild
    from pipelines.workspaces import workspace

    workspace.require_project(Path.cwd())
    try:
        done = rebuild(Path.cwd(), arguments.version, lambda line: print(line, file=sys.stderr))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return int(refused.exit_code)
    print(f"Version {done.version} is identical: all {done.outs} outs. Workspace: {done.workspace}")
    print(done.image)
    return 0
