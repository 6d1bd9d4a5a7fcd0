"""A model of words finds in a text what it finds in the same words of a corpus."""

import json

import pytest

from stages.model.decode import Decoder, spans
from stages.serving.tagger import Tagger
from stages.text.cells import offsets
from stages.text.labels import Labels
from tests.stages.english import TEXTS, write_english_encoder
from tests.stages.tiny import align_text

WORDS = {"format": "jsonl", "cells": "words", "window_tokens": 16, "window_overlap_tokens": 4}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A corpus aligned, random weights exported, and what torch finds in the test split."""
    import torch
    from transformers import AutoTokenizer

    from stages.model.tagger import forward_of, new_tagger
    from stages.onnx_export.graph import write_onnx
    from stages.scoring.spans import predict

    torch.set_num_threads(1)
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("english")
    encoder = write_english_encoder(folder / "bert")
    text = "".join(json.dumps({"text": text, "label": []}) + "\n" for text in [*TEXTS, *"abcd"])
    result = align_text(folder, encoder, text, text, **WORDS)
    tagger = new_tagger(encoder, result.labels).eval()
    write_onnx(tagger, folder / "model.onnx", "fp32", 20, 2**31 - 1)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    result.labels.write(folder)
    split, tags = result.splits["test"], result.labels.tags
    _, predicted = predict(split, forward_of(tagger), Decoder(tags), 512)
    found = []
    for cells, labels in zip(split.sentence_cells(), predicted, strict=True):
        starts, stops = offsets(cells)
        here = spans([tags[label] for label in labels])
        found.append([(starts[s.start], stops[s.stop - 1], s.type) for s in here])
    return folder, found


@pytest.fixture(scope="module")
def tagger(model):
    return Tagger(model[0], cpu_threads=1)


def test_the_labels_say_what_a_cell_is(model):
    assert Labels.read(model[0]).cells == "words"


def test_served_as_aligned(model, tagger):
    expected = model[1][: len(TEXTS)]
    found = tagger(TEXTS)
    assert [[(e.start, e.end, e.type) for e in row] for row in found] == expected
    assert sum(map(len, expected)) > 10  # or nothing was compared
    assert any(end - start > 9 for row in expected for start, end, _ in row)  # of several words


def test_offsets_are_those_of_the_callers_text(tagger):
    for text, entities in zip(TEXTS, tagger(TEXTS), strict=True):
        for entity in entities:
            assert entity.text == text[entity.start : entity.end] == entity.text.strip() != ""


def test_space_and_nothing(tagger):
    answers = tagger(["", " \n\u3000", TEXTS[0], "\ud800", "x" * 5000])
    assert answers[:2] == [[], []]
    assert answers[2] == tagger(TEXTS[:1])[0]
    assert len(answers) == 5
