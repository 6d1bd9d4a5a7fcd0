"""The command `rebuild`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Named

CODES = {
    0: "identical: every out has the recorded hash",
    1: "the version cannot be rebuilt: the message says why",
    9: "different: the message names the first stage and file",
}


@command("rebuild champion", "rebuild 3", codes=CODES)
def rebuild(
    params: Named,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Number of a version, or an alias.")
    ],
) -> Answer:
    """Rebuilds a registered version and compares it.

    Makes a workspace with the version's commit and parameters, runs all stages in the recorded
    image without DVC's cache, and compares each stage's outs with the version's dvc.lock. With
    NER_RUNTIME=local it uses no image, and prints that. Only a GPU of the same kind gives the same
    bytes.
    """
    from pipelines.maintenance.rebuild import rebuild
    from pipelines.workspaces import merging, places

    project = Path.cwd()
    places.require_project(project)
    model = merging.model_name(project, params)
    done = rebuild(project, version, model, lambda line: print(line, file=sys.stderr))
    fields = {**vars(done), "workspace": str(done.workspace)}

    def show() -> None:
        outs = f"all {done.outs} outs"
        print(f"Version {done.version} is identical: {outs}. Workspace: {done.workspace}")
        print(done.image)

    return Answer(fields, show)
