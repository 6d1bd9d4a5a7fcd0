"""Reads a corpus as `align` would, and tells what it finds, without running anything."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.corpus_check import growing, sources
from pipelines.corpus_check.local_sources import changed_encoder
from pipelines.corpus_check.sources import Found
from pipelines.errors import PipelineError
from pipelines.workspaces import overlays
from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus, tag_counts
from stages.corpus.data_warnings import DataWarning, data_warnings
from stages.corpus.origins import named, names_of
from stages.corpus.plain_text import read_text
from stages.corpus.splits import Split, Splits, entity_types, read_split, split_corpora
from stages.fetching.file import on_disk
from stages.fetching.growing import GROWING, file_of
from stages.params.align import Align
from stages.params.download import TEXT, UNPINNED, Download
from stages.params.params import Params
from stages.text.labels import Cells
from stages.text.sentence import Sentence

SHOWN_SENTENCES, SHOWN_CELLS = 5, 80
FETCH = "`dvc repro download` fetches it"
NOBODY_KNOWS = "it is unpinned, so no earlier copy can be known to be it"


@dataclass
class Report:
    """What was found.

    Attributes:
        files: Split → its file; `text.0` and so on → that of plain text.
        repaired: Split → kind of repair → count, and the first places.
        repaired_first: Split → kind of repair → its first places.
        sentences: The first of train that have an entity, each entity as `[TEXT TYPE]`.
        splits: Split → figures, as in reports/align.json; without an encoder none of tokens.
        window_tokens: Tokens of a window, by params.yaml.
        warnings: As `align` would give them.
        errors: What has to be corrected before a run; each with file and line where it has one.
        not_looked_at: What is not on this machine.
        growing: What a run would take of the growing source; "" if there is none.
        left_out: A sentence for each of its files that a run would leave out.
    """

    window_tokens: int
    files: dict[str, Found] = field(default_factory=dict)
    repaired: dict[str, dict[str, int]] = field(default_factory=dict)
    repaired_first: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[DataWarning] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    not_looked_at: list[str] = field(default_factory=list)
    growing: str = ""
    left_out: list[str] = field(default_factory=list)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keeps an error of the body as one of several."""
        try:
            yield
        except (StageError, PipelineError, OSError) as error:
            self.errors.append(str(error))

    @property
    def changed(self) -> dict[str, dict[str, Any]]:
        """Split → size and hashes of each file that is not the one that params.yaml expects."""
        return {split: found.content for split, found in self.files.items() if found.difference}


def check(project: Path, layers: Sequence[Path]) -> Report:
    """Checks the corpus of params.yaml with these overlays; uses no network and writes nothing.

    Raises:
        PipelineError: the parameters are not valid.
    """
    params = overlays.sections(project, layers).stages
    report = Report(params.align.window_tokens)
    _find(report, project, params.download, overlays.layers(project, layers))
    with TemporaryDirectory() as folder:
        added = _grown(report, project, params, Path(folder))
        corpora = _read(report, params.align, added)
    types, splits = _split(report, params, corpora)
    report.errors += changed_encoder(project, params.download)
    with report.noting(), sources.encoder_folder(project, params.download.encoder) as folder:
        if folder is None:
            report.not_looked_at.append(
                f"unknown characters and token lengths: {params.download.encoder.hub_id} is not on"
                f" this machine; {FETCH}"
            )
        elif splits:
            report.splits = _with_tokens(folder, params.align, types, splits)
    if splits:
        report.warnings = data_warnings(corpora, splits, report.splits, types)
    return report


def _find(report: Report, project: Path, params: Download, layers: Mapping[str, Path]) -> None:
    texts = {name: path.read_text(encoding="utf-8") for name, path in layers.items()}
    for split, source in params.fetched.items():
        with report.noting():
            if found := sources.find(project, split, source, texts):
                report.files[split] = found
                continue
            why = NOBODY_KNOWS if source.sha256 == UNPINNED else FETCH
            report.not_looked_at.append(
                f"{split}: {source.sources[0]} is not on this machine; {why}"
            )


def _grown(report: Report, project: Path, params: Params, folder: Path) -> dict[Path, str]:
    """Takes the growing source to `folder`; returns its files and their names there."""
    source = params.download.growing
    if source and "://" in source.source and on_disk(source.source) is None:
        report.not_looked_at.append(f"growing: {source.source} is a bucket; a run lists it")
    elif source:
        with report.noting():
            if taken := growing.take(project, params, folder):
                report.growing, report.left_out = taken.summary, taken.left_out
                return {folder / GROWING / file_of(file): file["name"] for file in taken.files}
    return {}


def _read(report: Report, params: Align, added: Mapping[Path, str]) -> dict[str, Corpus]:
    """The corpora that can be read; notes repairs, errors and some sentences of train."""
    corpora = {}
    for split, found in report.files.items():
        more = added if split == "train" else {}
        names = {str(found.path): found.name, **{str(file): name for file, name in more.items()}}
        if split.startswith(TEXT):
            _read_text(report, found, params.cells, names)
            continue
        try:
            corpora[split] = read_split(split, found.path, params, added=more)
        except StageError as error:
            report.errors.append(named(str(error), names))
            continue
        repairs = corpora[split].repairs
        report.repaired[split] = dict(repairs.counts)
        report.repaired_first[split] = {
            kind: [named(place, names) for place in places]
            for kind, places in repairs.first.items()
        }
    if train := corpora.get("train"):
        some = (s for s in train if any(tag != "O" for tag in s.tags))
        report.sentences = [marked(sentence) for sentence in islice(some, SHOWN_SENTENCES)]
    return corpora


def _read_text(report: Report, found: Found, cells: Cells, names: Mapping[str, str]) -> None:
    """Notes why a file of plain text cannot be read."""
    with report.noting(), names_of(names):
        for _ in read_text(found.path, cells, lambda _: None):
            pass


def _split(
    report: Report, params: Params, corpora: Mapping[str, Corpus]
) -> tuple[list[str], Splits]:
    """Types and splits, noting the figures that need no encoder; none if a corpus is missing."""
    types: list[str] = []
    splits: Splits = {}
    if corpora.keys() == params.download.splits.keys():
        with report.noting():
            types = entity_types(corpora, params.align)
            splits = split_corpora(corpora, params.align)
    found = splits or {split: Split.all_of(corpus) for split, corpus in corpora.items()}
    report.splits = {s: _without_tokens(found[s], params.align.cells) for s in found}
    return types, splits


def marked(sentence: Sentence) -> str:
    """The start of a sentence with its entities marked: `我在[平安馆 SHOP]吃了面`."""
    text, open_type = "", ""
    for cell, tag in zip(sentence.cells[:SHOWN_CELLS], sentence.tags, strict=False):
        if open_type and not tag.startswith("I-"):
            text, open_type = f"{text} {open_type}]", ""
        if tag.startswith("B-"):
            bare = cell.lstrip() or cell  # of a word, which has the blank before it
            text, cell, open_type = f"{text}{cell.removesuffix(bare)}[", bare, tag[2:]
        text += cell
    text += f" {open_type}]" * bool(open_type)
    return text + "…" * (len(sentence.cells) > SHOWN_CELLS)


def _with_tokens(
    encoder: Path, params: Align, types: Sequence[str], splits: Splits
) -> dict[str, dict[str, Any]]:
    from stages.align import tokenizer
    from stages.text.split_figures import SplitFigures

    encode, labels = tokenizer(encoder, params, types)
    figures = {}
    for name, split in splits.items():
        counted = SplitFigures(labels, encode)
        for _ in counted.rows(split.batches(), lambda _: None):
            pass
        figures[name] = counted.figures()
    return figures


def _without_tokens(split: Split, cells: Cells) -> dict[str, Any]:
    """The figures that need no encoder, by the same keys."""
    tags = Counter[str]()
    for batch in split.batches():
        tags.update(tag_counts(batch))
    begun = {tag[2:]: count for tag, count in tags.items() if tag.startswith("B-")}
    return {
        "sentences": len(split),
        cells: tags.total(),
        "entities": dict(sorted(begun.items())),
    }


def as_json(report: Report) -> dict[str, Any]:
    """All of it for `json.dumps`."""
    files: Mapping[str, Any] = {
        split: {
            "name": found.name,
            "found": found.content,
            "expected": found.expected,
            "place": found.place,
            "difference": found.difference,
        }
        for split, found in report.files.items()
    }
    return {**vars(report), "files": files}
