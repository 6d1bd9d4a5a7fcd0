"""Words what `check` found, line by line."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.corpus_check.check import Report
from stages.corpus.data_warnings import percent, shown


def lines(report: Report, written: Sequence[str]) -> Iterator[str]:
    """The lines, what needs an action last.

    Args:
        report: What was found.
        written: Files that sizes and hashes were written into.
    """
    yield from _files(report)
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
    for warning in report.warnings:
        yield f"Warning: {warning['message']}; {warning['remedy']}"
    for error in report.errors:
        yield f"Error: {error}"
    for found in report.files.values():
        if found.difference:
            yield (
                f"Error: {found.name} has {found.difference}: if this is the file you"
                " mean, let `check --write` write its size and hashes"
            )
    counts = {"error": len(report.errors) + len(report.changed), "warning": len(report.warnings)}
    yield ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items())


def _files(report: Report) -> Iterator[str]:
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


def _tokens(report: Report) -> Iterator[str]:
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
