"""A labelled corpus, whatever its format, on disk: memory does not grow with it."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.text.labels import Cells
from stages.text.sentence import SCHEMA, Sentence, as_sentences

FIRST_PLACES = 3
AT_ONCE = 2**16  # hashes: bounds the memory


@dataclass(frozen=True)
class Repairs:
    """The number of repairs of each kind, and the first places of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    """Kind → its first `FIRST_PLACES` places: file and line, or file and row."""

    def add(self, kind: str, where: str) -> None:
        """Counts one repair at `where`."""
        self.counts[kind] += 1
        places = self.first.setdefault(kind, [])
        if len(places) < FIRST_PLACES:
            places.append(where)


class Corpus:
    """Sentences, and the repairs made while reading them.

    The sentences lie in a temporary file; in memory are eight bytes of each, `texts`.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        cells: Cells,
        repairs: Repairs,
        scratch: Path | None = None,
        added: Mapping[str, Iterable[pa.RecordBatch]] | None = None,
    ) -> None:
        """Stores `batches`, of `stages.text.sentence.SCHEMA`, in the folder `scratch`.

        `repairs` are those that the iteration over `batches` adds to. `added` are the batches of
        files of a growing source by their names; their sentences come last.
        """
        self.repairs = repairs
        self.tags = Counter[str]()
        """The number of each tag."""
        self.has_meta = False
        """Whether a sentence has metadata."""
        self._cells: Cells = cells
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115  open as long as this
        self.sizes: list[int] = []
        """The number of sentences of the corpus itself, and of each added file."""
        self.added = [*(added or {})]
        """The names of the added files."""
        texts = bytearray()  # a list of arrays would be joined, which takes twice as much
        with pa.ipc.new_stream(self._file, SCHEMA) as stream:
            for part in [batches, *(added or {}).values()]:
                self.sizes.append(0)
                for batch in part:
                    stream.write_batch(batch)
                    self.has_meta |= batch["meta"].null_count < len(batch)
                    texts += text_hashes(batch).tobytes()
                    self.tags.update(tag_counts(batch))
                    self.sizes[-1] += len(batch)
        self.texts: NDArray[np.uint64] = np.frombuffer(texts, np.uint64)
        """Of each sentence, a hash of its cells."""

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.texts)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The sentences, as they were given; one iteration at a time."""
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            yield from stream

    @property
    def sentences(self) -> list[Sentence]:
        """All of them as objects: for a corpus that is small."""
        return [*self]

    def __iter__(self) -> Iterator[Sentence]:
        """The sentences as objects."""
        for batch in self.batches():
            yield from as_sentences(batch, self._cells)


def tag_counts(batch: pa.RecordBatch) -> dict[str, int]:
    """How often each tag occurs in a batch."""
    found = pc.value_counts(batch["tags"].flatten()).to_pylist()
    return {row["values"]: row["counts"] for row in found}


def among(texts: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of `texts` are in `ordered`, which is sorted.

    numpy's `isin` takes several times the memory of both, and would sort the second each time.
    """
    found = np.zeros(len(texts), dtype=np.bool_)
    for start in range(0, len(texts) if len(ordered) else 0, AT_ONCE):
        some = texts[start : start + AT_ONCE]
        at = np.searchsorted(ordered[:-1], some)  # within bounds, also of one above all
        found[start : start + AT_ONCE] = ordered[at] == some
    return found


def text_hashes(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """A hash of the cells of each sentence of a batch, the same in every process."""
    cells = batch["cells"]
    values = cells.flatten()
    of_cells, ends = _bounds(values), _bounds(cells) - _bounds(cells)[0]
    text, lengths = memoryview(values.buffers()[2] or b""), np.diff(of_cells)
    digests = bytearray()
    for start, stop in pairwise(ends.tolist()):
        digest = hashlib.blake2b(text[of_cells[start] : of_cells[stop]], digest_size=8)
        digest.update(lengths[start:stop].tobytes())  # else ("ab", "c") would be ("a", "bc")
        digests += digest.digest()
    return np.frombuffer(digests, np.uint64)


def _bounds(column: pa.Array) -> NDArray[np.int32]:
    """Where each list begins in its values, or each string in its bytes; and the last end."""
    bounds = np.frombuffer(column.buffers()[1], np.int32)
    return bounds[column.offset : column.offset + len(column) + 1]
