"""Finds entities in text with an exported model; needs neither torch nor transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..model.decode import Decoder, confidences, spans
from ..model.emissions import emissions
from ..onnx_export.session import CPU, CUDA, forward_of, has_cuda, open_session
from ..scoring.temperature import Calibration
from ..text.cells import cells_of, offsets
from ..text.labels import Labels
from ..text.tokens import CellEncoder
from ..text.windows import encode_windows

# They bound the memory of a request of any size. Small ones have less padding, and stay in a CPU's
# cache: 64 short texts took 21 ms of a core, and 33 ms in batches of 8,192 tokens.
TOKENS_PER_BATCH = {CUDA: 8192, CPU: 128}
# Else ONNX Runtime's threads go on for a while after each text in a loop that waits for the next
# one: two busy cores took 19 ms of CPU time for 8 short texts, and 7 ms without it.
SESSION = {"session.intra_op.allow_spinning": "0"}


@dataclass(frozen=True)
class Entity:
    """An entity of a text: `text == caller's_text[start:end]`, in code points."""

    text: str
    type: str
    start: int
    end: int
    score: float
    """The probability that it is right, 0 to 1: the mean one of its cells' tags, calibrated."""
    passed: bool | None
    """Whether the score reaches the threshold of its type; None: the model has no thresholds."""


class Tagger:
    """Finds entities with the model of a folder that `export` wrote."""

    def __init__(self, folder: Path, cpu_threads: int | None = None) -> None:
        """Opens the model, its tokenizer, labels, transitions and calibration; on CUDA if it works.

        Raises:
            StageError: `folder` has no labels.json, or files of another model's tags or types.
        """
        self._labels = Labels.read(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._encode = CellEncoder(tokenizer, self._labels.unknown_id, self._labels.cells)
        self._decoder = Decoder.read(folder, self._labels.tags)
        types = [tag[2:] for tag in self._labels.tags if tag.startswith("B-")]
        self._calibration = Calibration.read(folder, types)
        session = open_session(folder / "model.onnx", has_cuda(), cpu_threads, entries=SESSION)
        self._forward = forward_of(session)
        self.provider: str = session.get_providers()[0]
        """The execution provider in use, which may not be the one requested."""

    def __call__(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The entities of each text, in order."""
        input_ids: list[NDArray[np.integer]] = []
        scored: list[NDArray[np.bool_]] = []
        sentence: list[int] = []
        cells = [cells_of(text, self._labels.cells) for text in texts]
        filled = [index for index, here in enumerate(cells) if here]
        for number, index in enumerate(filled):
            for window in encode_windows(cells[index], self._labels, self._encode):
                input_ids.append(np.array(window.input_ids))
                own = np.zeros(len(window.input_ids), dtype=np.bool_)
                own[window.positions] = True
                scored.append(own)
                sentence.append(number)
        found: list[list[Entity]] = [[] for _ in texts]
        if not filled:
            return found
        at_once = TOKENS_PER_BATCH[self.provider]
        log_probabilities = emissions(input_ids, scored, sentence, self._forward, at_once)
        labels = self._decoder.best_tags(log_probabilities)
        tagged = [number for number, path in enumerate(labels) if path.any()]  # 0 is the label of O
        marginals = self._decoder.log_marginals([log_probabilities[number] for number in tagged])
        for number, probable in zip(tagged, marginals, strict=True):
            index = filled[number]
            found[index] = self._entities(texts[index], cells[index], labels[number], probable)
        return found

    def _entities(
        self,
        text: str,
        cells: Sequence[str],
        path: NDArray[np.intp],
        marginals: NDArray[np.float32],
    ) -> list[Entity]:
        """The entities of one text, in order."""
        found = spans([self._labels.tags[label] for label in path.tolist()])
        starts, stops = offsets(cells)
        entities = []
        for span, confidence in zip(found, confidences(found, path, marginals), strict=True):
            start, end = starts[span.start], stops[span.stop - 1]
            score = self._calibration.score(span.type, confidence)
            passed = self._calibration.passed(span.type, score)
            entities.append(Entity(text[start:end], span.type, start, end, score, passed))
        return entities
