"""Hundreds of types: decoding, scoring and intervals stay within bounded memory."""

import tracemalloc
from random import Random

import numpy as np

from stages.model.decode import Decoder, spans
from stages.params.evaluate import Bootstrap
from stages.scoring.bootstrap import with_intervals
from stages.scoring.mistakes import Judged
from stages.scoring.spans import scores
from stages.text.labels import iob2_tags

SENTENCES, CELLS, TYPES = 3000, 8, 128
SAMPLES = 2000


def test_memory_is_bounded_at_128_types():
    types = [f"T{number:03}" for number in range(TYPES)]
    tags = iob2_tags(types)
    random, rng = Random(0), np.random.default_rng(0)  # noqa: S311
    gold, emissions = [], []
    for _ in range(SENTENCES):
        type_ = random.choice(types)
        rows = [tags.index(tag) for tag in ("O", f"B-{type_}", f"I-{type_}", *"OOOOO")]
        emission = rng.standard_normal((CELLS, len(tags)), dtype=np.float32)
        emission[range(CELLS), rows] += 5  # most of them are found
        gold.append(spans([tags[row] for row in rows]))
        emissions.append(emission)
    tracemalloc.start()
    paths = Decoder(tags).best_tags(emissions)
    predicted = [spans([tags[label] for label in path]) for path in paths]
    judged = [
        Judged("京" * CELLS, of_gold, found, {})
        for of_gold, found in zip(gold, predicted, strict=True)
    ]
    found = with_intervals(
        scores(judged), judged, types, Bootstrap(samples=SAMPLES, confidence=0.95, seed=17)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    of_types = found["types"]
    assert set(types) == set(of_types)
    assert sum(row["support"] for row in of_types.values()) == found["support"] == SENTENCES
    assert all(row["f1_low"] <= row["f1"] <= row["f1_high"] for row in of_types.values())
    # Drawn counts of each sentence would be 19 GB, counts of each type in each sentence 9 MB.
    assert peak < 60e6, f"{peak / 1e6:.0f} MB"
