"""Keeps the judged test sentences in few bytes."""

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import overload

from stages.model.decode import Span
from stages.scoring.mistakes import Judged
from stages.scoring.temperature import Calibration

GOLD, PREDICTED = 1, 2


class JudgedSentences(Sequence[Judged]):
    """Test sentences, each made when it is asked for.

    In memory are 16 bytes of each and 20 of an entity; the texts lie in a temporary file.
    """

    def __init__(self, sentences: Iterable[Judged] = (), scratch: Path | None = None) -> None:
        """Takes `sentences`; the temporary file is in the folder `scratch`."""
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115  open as long as this
        # Where the text of each sentence begins in it, and the end of the last.
        self._texts = array("q", [0])
        # Of each sentence of words, where these end; a character needs none.
        self._cells: dict[int, array[int]] = {}
        self._ends = array("q", [0])
        self._types: list[str] = []
        self._starts, self._stops, self._type = array("i"), array("i"), array("h")
        self._sides, self._confidences = array("b"), array("d")
        for sentence in sentences:
            self.append(sentence)

    def append(self, sentence: Judged) -> None:
        """Adds a sentence after the others."""
        if any(len(cell) > 1 for cell in sentence.cells):
            self._cells[len(self)] = array("I", map(len, sentence.cells))
        gold, predicted = set(sentence.gold), set(sentence.predicted)
        for span in sorted(gold | predicted):
            if span.type not in self._types:
                self._types.append(span.type)
            self._starts.append(span.start)
            self._stops.append(span.stop)
            self._type.append(self._types.index(span.type))
            self._sides.append(GOLD * (span in gold) + PREDICTED * (span in predicted))
            self._confidences.append(sentence.confidence[span])
        self._ends.append(len(self._starts))
        text = "".join(sentence.cells).encode("utf-8", "surrogatepass")
        self._file.write(text)
        self._texts.append(self._texts[-1] + len(text))

    def calibrated(self, calibration: Calibration) -> "JudgedSentences":
        """The sentences with the calibrated score of each entity as its confidence."""
        result = copy(self)
        result._confidences = array("d", (calibration.score(*each) for each in self._scores()))
        return result

    def passed(self, calibration: Calibration) -> "JudgedSentences":
        """Calibrated sentences, without the predicted entities below their type's threshold."""
        result, scores = copy(self), self._scores()
        result._sides = array(
            "b",
            (
                side if calibration.passed(*each) else side & GOLD
                for side, each in zip(self._sides, scores, strict=True)
            ),
        )
        return result

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self._texts) - 1

    @overload
    def __getitem__(self, number: int) -> Judged: ...

    @overload
    def __getitem__(self, number: slice) -> list[Judged]: ...

    def __getitem__(self, number: int | slice) -> Judged | list[Judged]:
        """A sentence, or several."""
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        start, stop = self._texts[number], self._texts[number + 1]
        self._file.flush()
        text = os.pread(self._file.fileno(), stop - start, start).decode("utf-8", "surrogatepass")
        here = range(self._ends[number], self._ends[number + 1])
        spans = [Span(self._starts[i], self._stops[i], self._types[self._type[i]]) for i in here]
        gold, predicted = (
            [span for span, i in zip(spans, here, strict=True) if self._sides[i] & side]
            for side in (GOLD, PREDICTED)
        )
        confidence = dict(zip(spans, self._confidences[here.start : here.stop], strict=True))
        return Judged(self._cut(number, text), gold, predicted, confidence)

    def _scores(self) -> Iterator[tuple[str, float]]:
        """The type and the confidence of each entity."""
        for type_, confidence in zip(self._type, self._confidences, strict=True):
            yield self._types[type_], confidence

    def _cut(self, number: int, text: str) -> Sequence[str]:
        """The cells of a text: its characters, or words."""
        if number not in self._cells:
            return text
        cells, at = [], 0
        for length in self._cells[number]:
            cells.append(text[at : at + length])
            at += length
        return cells
