"""Reads a labelled corpus of any format."""

from collections.abc import Mapping
from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus, Repairs
from stages.corpus.formats.conll import read_conll
from stages.corpus.formats.jsonl import read_jsonl
from stages.corpus.formats.parquet import read_parquet
from stages.params.align import Align

READERS = {"conll": read_conll, "jsonl": read_jsonl, "parquet": read_parquet}
# Of files of a growing source; another ending says nothing, so it is `align.format`.
ENDINGS = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
}


def read_corpus(
    path: Path,
    params: Align,
    repair: bool,
    scratch: Path | None = None,
    added: Mapping[Path, str] | None = None,
) -> Corpus:
    """Reads `path` in `params.format`; with `repair`, wrong tags and spans are repaired.

    The sentences are kept in the folder `scratch`; None: where temporary files go. `added` are
    files of a growing source and their names there, each in the format of its ending.

    Raises:
        StageError: with the file: it does not exist, or has no sentence; with file and line or row:
            what the format's reader refuses.
    """
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro download` first")
    repairs = Repairs()
    batches = READERS[params.format](path, params, repair, repairs)
    more = {
        name: READERS[params_of(file, params).format](file, params, repair, repairs)
        for file, name in (added or {}).items()
    }
    corpus = Corpus(batches, params.cells, repairs, scratch, more)
    if not corpus.sizes[0]:
        raise StageError(f"{path} has no sentence; check that it is the right file")
    return corpus


def params_of(file: Path, params: Align) -> Align:
    """How a file of a growing source is to be read: its ending tells its format."""
    return params.model_copy(update={"format": ENDINGS.get(file.suffix.lower(), params.format)})
