"""The command `check`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Params


@command(
    "check --params own.yaml",
    "check --params own.yaml --write",
    codes={0: "a run can begin; there may be warnings", 1: "something has to be corrected first"},
)
def check(
    params: Params,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Write size and hashes of each corpus file into the file that names it, where they"
            " differ; comments and order stay.",
        ),
    ] = False,
) -> Answer:
    """Checks a corpus and its overlay in seconds.

    Merges the overlays over params.yaml, reads the corpus files with the code of `align`, and
    prints five sentences with their entities, counts, repairs, unknown characters, token lengths,
    sizes and hashes, and the warnings of `align`. Runs no stage, trains nothing and uses no
    network: of addresses it reads what `download` fetched before, and says what it did not look at.
    """
    from pipelines.cli.output.corpus_report import lines
    from pipelines.corpus_check import check as corpus_check
    from pipelines.corpus_check import pin
    from pipelines.workspaces import overlays

    folder = Path.cwd()
    report = corpus_check.check(folder, params)
    written: list[str] = []
    if write and report.changed:
        written = pin.write(overlays.layers(folder, params), report.changed)
        report = corpus_check.check(folder, params)
    failed = bool(report.errors or report.changed)
    fields = {**corpus_check.as_json(report), "written": written}
    return Answer(fields, lambda: print(*lines(report, written), sep="\n"), int(failed))
