"""`rebuild` on the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pipelines.errors import Refused

CODES = """\
exit codes:
  0  equal: every out has the hash that it had
  1  it could not be made anew: the sentence says why
  9  it differs: the first stage and file are printed"""


def add(commands: Any) -> None:
    """Adds the subcommand."""
    rebuild = commands.add_parser(
        "rebuild",
        help="make a registered version anew and say whether it is equal",
        description="Makes a workspace of the version's commit and parameters, runs all stages in"
        " it, in the version's recorded image, without DVC's cache, and compares each stage's outs"
        " with the version's dvc.lock. With NER_RUNTIME=local no image is used, and that is said."
        " A GPU gives the same bytes on the same kind of GPU only.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rebuild.add_argument("version", metavar="VERSION", help="a version's number, or an alias")
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
    print(f"Version {done.version} is equal: all {done.outs} outs, in {done.workspace}")
    print(done.image)
    return 0
