"""Reads a labelled corpus of any format."""

from pathlib import Path

from stages.contract.errors import StageError
from stages.corpus.corpus import Corpus, Repairs
from stages.corpus.formats.conll import read_conll
from stages.corpus.formats.jsonl import read_jsonl
from stages.corpus.formats.parquet import read_parquet
from stages.params.align import Align

READERS = {"conll": read_conll, "jsonl": read_jsonl, "parquet": read_parquet}


def read_corpus(path: Path, params: Align, repair: bool, scratch: Path | None = None) -> Corpus:
    """Reads `path` in `params.format`; with `repair`, wrong tags and spans are repaired.

    The sentences are kept in the folder `scratch`; None: where temporary files go.

    Raises:
        StageError: with the file: it does not exist, or has no sentence; with file and line or row:
            what the format's reader refuses.
    """
    if not path.is_file():
        raise StageError(f"{path} is not here: run `dvc repro download` first")
    repairs = Repairs()
    batches = READERS[params.format](path, params, repair, repairs)
    corpus = Corpus(batches, params.cells, repairs, scratch)
    if not len(corpus):
        raise StageError(f"{path} has no sentence; check that it is the right file")
    return corpus
