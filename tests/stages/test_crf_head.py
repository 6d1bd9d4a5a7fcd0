"""A model with a CRF head, through every stage: its transitions go where its weights go."""

import json
import shutil
import signal

import numpy as np
import pytest

from stages.model.decode import Decoder
from stages.scoring.predictions import read_predictions
from stages.scoring.temperature import Calibration
from stages.serving.tagger import Tagger
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from tests.invented import text_of
from tests.stage_process import files
from tests.stages.curve import curve
from tests.tiny import Tiny, write_params

# 20 s of training; the loss, the decoding and the marginals have quicker tests.
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]
# So high a rate that the transitions matter after so few steps.
CHANGES = {"head": "crf", "crf_learning_rate": 0.1, "epochs": 4}


@pytest.fixture(scope="module")
def crf(tiny, forks, tmp_path_factory):
    """As `tiny`, with a CRF."""
    path = tmp_path_factory.mktemp("crf")
    shutil.copytree(tiny.path / "data", path / "data")
    shutil.copytree(tiny.path / "reports", path / "reports")
    params = write_params(path, **CHANGES)
    for stage in ("train", "evaluate", "export"):
        forks.run(stage, path)
    return Tiny(path, params, tiny.test)


@pytest.fixture(scope="module")
def tags(crf):
    return Labels.read(crf.aligned).tags


@pytest.fixture(scope="module")
def emissions(crf):
    """Of the test split, by torch."""
    import torch

    from stages.model.tagger import forward_of, load_tagger
    from stages.scoring.spans import predict

    split, tags = read_aligned(crf.aligned / "test.parquet"), Labels.read(crf.aligned).tags
    forward = forward_of(load_tagger(crf.ner, torch.device("cpu")))
    return predict(split, forward, Decoder(tags), 2048)[0]


@pytest.fixture(scope="module")
def answers(crf):
    """Of the served tagger, to each test sentence."""
    return Tagger(crf.onnx, cpu_threads=1)([text_of(sentence) for sentence in crf.test])


def test_the_transitions_are_a_file_beside_the_weights(tiny, crf):
    content = (crf.ner / "transitions.json").read_bytes()
    assert (crf.onnx / "transitions.json").read_bytes() == content
    for folder in ("models/ner", "models/onnx"):
        ours, linears = (set(files(each.path / folder)) for each in (crf, tiny))
        assert ours - linears == {"transitions.json"}
        assert linears <= ours
    assert (crf.ner / "transitions.json").stat().st_mode & 0o777 == 0o644


def test_they_were_learnt_and_dev_f1_is_by_them(crf, tags):
    found = Decoder.read(crf.ner, tags).transitions
    assert found.scores[0, tags.index("B-PER")] != 0
    # A name has two or three characters: one of one character hardly ever ends.
    for type_ in ("PER", "LOC", "ORG"):
        b, i = tags.index(f"B-{type_}"), tags.index(f"I-{type_}")
        assert found.scores[b, i] > found.scores[b, 0] + 0.5
    rows, report = curve(crf.path / "reports"), crf.json("train.json")
    assert rows[0]["loss"] > 4 * rows[-1]["loss"]
    assert report["best_dev_f1"] > 0.5


def test_evaluate_and_export_decode_by_them(crf, tags, emissions):
    with crf.report("predictions.jsonl").open(encoding="utf-8") as file:
        exported = [row.predicted for row in read_predictions(file)]
    assert crf.json("export.json")["f1"] == crf.json("metrics.json")["test"]["f1"]
    assert crf.json("export.json")["tag_agreement"] == 1
    decoder = Decoder.read(crf.ner, tags)
    by_them, without = decoder.best_tags(emissions), Decoder(tags).best_tags(emissions)
    assert any((a != b).any() for a, b in zip(by_them, without, strict=True))
    starts = [sum(tags[label].startswith("B-") for label in path) for path in by_them]
    assert [len(row) for row in exported] == starts


def test_the_served_entities_are_those_that_were_scored(crf, answers):
    with crf.report("predictions.jsonl").open(encoding="utf-8") as file:
        for row, entities in zip(read_predictions(file), answers, strict=True):
            assert {(s.start, s.stop, s.type) for s in row.predicted} == {
                (e.start, e.end, e.type) for e in entities
            }


def test_a_score_is_the_marginal_of_the_tags(crf, tags, emissions, answers):
    decoder = Decoder.read(crf.ner, tags)
    [long, *_] = decoder.log_marginals(emissions[1:2])  # of 2,500 characters, each a cell
    assert len(answers[1]) > 100
    calibration = Calibration.read(crf.onnx, ["PER", "ORG", "LOC"])
    differences = []
    for entity in answers[1]:
        path = [tags.index(f"{'I' if n else 'B'}-{entity.type}") for n in range(len(entity.text))]
        rows = np.arange(entity.start, entity.end)
        by_crf, by_softmax = (
            calibration.score(entity.type, float(np.exp(table[rows, path]).mean()))
            for table in (long, emissions[1])
        )
        assert entity.score == pytest.approx(by_crf, abs=1e-3)
        differences.append(abs(entity.score - by_softmax))
    assert max(differences) > 0.005  # softmax would be another score
    scores = {error["confidence"] for error in map(json.loads, crf.report("errors.jsonl").open())}
    assert 0 < min(scores) <= max(scores) <= 1


def test_other_transitions_are_other_answers(crf, answers, tmp_path):
    """So the tagger reads them, and nothing but the file has them."""
    shutil.copytree(crf.onnx, tmp_path / "onnx")
    path = tmp_path / "onnx/transitions.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for row in (values["start"], *values["after"].values()):
        row["B-PER"] = -50.0
    path.write_text(json.dumps(values), encoding="utf-8")
    texts = [text_of(sentence) for sentence in crf.test[2:40]]
    found = Tagger(tmp_path / "onnx", cpu_threads=1)(texts)
    assert {e.type for row in found for e in row} == {"LOC", "ORG"}
    assert {e.type for row in answers[2:40] for e in row} == {"PER", "LOC", "ORG"}


def test_the_model_card_names_the_head(tiny, crf):
    cards = [(each.onnx / "README.md").read_text(encoding="utf-8") for each in (tiny, crf)]
    assert "Head: linear, " in cards[0]
    assert "transitions" not in cards[0]
    assert "Head: linear-chain CRF, " in cards[1]
    assert "`transitions.json` has " in cards[1]


def test_terminated_and_started_again_it_comes_to_the_same_bytes(crf, forks, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    write_params(work, **CHANGES, checkpoint_minutes=1e-9)
    shutil.copytree(crf.path / "data", work / "data")
    run = forks.start("train", work)
    assert run.end(signal.SIGTERM, lambda: [*work.glob(".checkpoints/*/0000001?-*.pt")]) == 143
    run = forks.start("train", work)
    assert run.wait() == 0, run.printed
    assert "resuming after step 1" in run.printed
    assert files(work / "models/ner") == files(crf.ner)
    for name in ("train.json", "train.csv"):
        assert (work / "reports" / name).read_bytes() == crf.report(name).read_bytes()
