"""The command `convert`."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli.command import Answer, command
from pipelines.names import PROGRAM

if TYPE_CHECKING:
    from pipelines.corpus_check.conversion.convert import Report


@command(
    "convert brat/ -o inputs/train.jsonl",
    "convert project-1.json -o inputs/train.jsonl --rename 'Work Of Art=WORK_OF_ART'",
    "convert admin.jsonl -o inputs/train.jsonl --offsets utf-16",
    "convert cluener/train.json -o inputs/train.jsonl --from cluener",
    anywhere=True,
)
def convert(
    exports: Annotated[
        list[Path], typer.Argument(metavar="EXPORT", help="Files, or folders of brat.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The JSONL to write.")
    ],
    tool: Annotated[
        Literal["brat", "cluener", "doccano", "label-studio"] | None,
        typer.Option("--from", help="Whose exports they are; default: seen from the content."),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="KEY", help="Key of the text, if not text.")
    ] = None,
    offsets: Annotated[
        Literal["code-points", "utf-16"] | None,
        typer.Option(
            "--offsets",
            help="What an offset counts; default: what gives the entities that the export quotes.",
        ),
    ] = None,
    discontinuous: Annotated[
        Literal["refuse", "cover", "drop"],
        typer.Option("--discontinuous", help="An entity of brat's in several parts."),
    ] = "refuse",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Names of doccano's label numbers, as JSON."),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="Of an entity type; OLD= leaves it out."),
    ] = None,
) -> Answer:
    """Converts exports of annotation tools to a corpus.

    Reads brat (a folder of .txt and .ann), CLUENER, doccano and Label Studio (JSON and JSON-MIN).
    Writes JSONL for `align`: texts with [start, end, type] in characters, ends exclusive. Counts
    what such a corpus cannot have: relations, attributes, cancelled annotations. Where the export
    quotes an entity, its offsets must give the same text.
    """
    from pipelines.corpus_check.conversion import convert as conversion
    from pipelines.corpus_check.conversion.doccano import label_names
    from pipelines.corpus_check.conversion.source import Reading

    pairs = [pair.rpartition("=") for pair in rename or ()]
    if wrong := [new for old, _, new in pairs if not old]:
        raise typer.BadParameter(f"{wrong[0]} is not OLD=NEW", param_hint="--rename")
    reading = Reading(text, offsets, discontinuous, label_names(labels) if labels else {})
    renamed = {old: new for old, _, new in pairs}
    report = conversion.convert(exports, output, tool, reading, renamed)
    return Answer(vars(report), lambda: print(*_lines(report), sep="\n"))


def _lines(report: "Report") -> Iterator[str]:
    for name, tool in report.tools.items():
        yield f"{name}: {tool}"
    entities = ", ".join(f"{type_} {n:,}" for type_, n in sorted(report.entities.items()))
    yield (
        f"Wrote {report.out}: {report.texts:,} texts, {report.entities.total():,} entities"
        + f" ({entities})" * bool(entities)
    )
    if report.left_out:
        counts = ", ".join(f"{what} {n:,}" for what, n in sorted(report.left_out.items()))
        yield f"Left out: {counts}"
    if report.overlapping:
        yield (
            f"{report.overlapping:,} entities overlap others, and a character has one tag: choose"
            " which stay by align.nested: outermost or innermost"
        )
    yield (
        f"Name {shlex.quote(report.out)} as a source in your overlay, with"
        f" align: {{format: jsonl, types: null}}; then: {PROGRAM} check --params OVERLAY"
    )
