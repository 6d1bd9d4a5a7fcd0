"""The command `check`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.command import Answer, command
from pipelines.cli.options import Params

if TYPE_CHECKING:
    from pipelines.corpus_check.check import Report


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
            " differ; comments and order stay. Take the growing source to inputs/growing, for `dvc"
            " repro`.",
        ),
    ] = False,
) -> Answer:
    """Checks a corpus and its overlay in seconds.

    Merges the overlays over params.yaml, reads the corpus files with the code of `align`, and
    prints five sentences with their entities, counts, repairs, unknown characters, token lengths,
    sizes and hashes, and the warnings of `align`. Runs no stage, trains nothing and uses no
    network: of addresses it reads what `download` fetched before, and says what it did not look at.
    Only `--write` lists and reads a bucket, if download.growing names one.
    """
    from pipelines.corpus_check import check as corpus_check
    from pipelines.corpus_check import growing, pin
    from pipelines.workspaces import overlays

    folder = Path.cwd()
    report = corpus_check.check(folder, params)
    written: list[str] = []
    if write and report.changed:
        written = pin.write(overlays.layers(folder, params), report.changed)
        report = corpus_check.check(folder, params)
    if write and not report.errors:
        growing.take(folder, overlays.sections(folder, params).stages, folder / "inputs")
    failed = bool(report.errors or report.changed)
    fields = {**corpus_check.as_json(report), "written": written}
    return Answer(fields, lambda: print(*_lines(report, written), sep="\n"), int(failed))


def _lines(report: "Report", written: list[str]) -> Iterator[str]:
    """What was found, what needs an action last."""
    yield from _files(report)
    if report.growing:
        yield report.growing
    if report.sentences:
        yield f"The first {len(report.sentences)} train sentences with an entity:"
        yield from (f"  {sentence}" for sentence in report.sentences)
    yield from _table(report.splits)
    for split, kinds in report.repaired.items():
        for kind, count in kinds.items():
            places = ", ".join(report.repaired_first[split][kind])
            yield f"Repaired in {split}: {count:,} x {kind}, first at {places}"
    yield from _tokens(report)
    for name in written:
        yield f"Wrote bytes, git_blob and sha256 into {name}"
    for text in report.not_looked_at:
        yield f"Not looked at: {text}"
    warnings = [f"{warning['message']}; {warning['remedy']}" for warning in report.warnings]
    warnings += report.left_out
    yield from (f"Warning: {warning}" for warning in warnings)
    for error in report.errors:
        yield f"Error: {error}"
    for found in report.files.values():
        if found.difference:
            yield (
                f"Error: {found.name} has {found.difference}: if this is the file you"
                " mean, let `check --write` write its size and hashes"
            )
    counts = {"error": len(report.errors) + len(report.changed), "warning": len(warnings)}
    yield ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items())


def _files(report: "Report") -> Iterator[str]:
    for split, found in report.files.items():
        yield f"{split}: {found.name}, named at {found.place}"
        for key, value in found.content.items():
            said = found.expected[key]
            agrees = (
                "the same in params" if said == value else f"in params: {said or 'not checked'}"
            )
            yield f"  {key:9}{value}  ({agrees})"


def _table(splits: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Counts by split, a column each."""
    types = sorted({type_ for figures in splits.values() for type_ in figures["entities"]})
    cells = [key for key in ("characters", "words") if any(key in f for f in splits.values())]
    rows = {key: [figures[key] for figures in splits.values()] for key in ("sentences", *cells)}
    rows |= {t: [figures["entities"].get(t, 0) for figures in splits.values()] for t in types}
    width = max(map(len, rows))
    if splits:
        yield " " * width + "".join(f"{split:>12}" for split in splits)
    for name, counts in rows.items() if splits else ():
        yield f"{name:{width}}" + "".join(f"{count:>12,}" for count in counts)


def _tokens(report: "Report") -> Iterator[str]:
    from stages.corpus.data_warnings import percent, shown

    for split, figures in report.splits.items():
        if "unknown_rate" in figures:
            most = ", ".join(f"{shown(cell)} {count:,}" for cell, count in figures["unknown_most"])
            windowed = figures["windowed_sentences"] / figures["sentences"]
            yield (
                f"{split}: {percent(figures['unknown_rate'])} unknown"
                f"{f' ({most})' if most else ''}; longest sentence"
                f" {figures['longest_tokens']:,} tokens; {percent(windowed)} need more than one"
                f" window of {report.window_tokens} tokens"
            )
