"""Each family from `download` to the served tagger, or refused in a sentence."""

import hashlib

import pytest
import torch

from stages.align import align
from stages.contract.errors import StageError
from stages.download import download
from stages.export import Inputs, Outs, export
from stages.model.decode import Decoder
from stages.model.tagger import forward_of, load_tagger
from stages.scoring.spans import predict
from stages.serving.tagger import Tagger
from stages.text.labels import Labels
from stages.text.windows_table import read_aligned
from stages.train import train
from tests.support.families import FAMILIES

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(600)]
REFUSED = {"Longformer"}
# One in `make test`; all of them take minutes.
QUICK = {"DeBERTa-v3"}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in FAMILIES
        if name not in REFUSED
    ],
)
def test_from_download_to_the_served_tagger(tiny, family, tmp_path, name):
    corpus, encoder, aligned = (tmp_path / part for part in ("corpus", "encoder", "aligned"))
    download(_sources(tiny, family(name)), corpus, encoder)
    align(tiny.params.align, corpus, encoder, aligned, tmp_path / "align.json")
    pretrain = tiny.params.train.pretrain.model_copy(update={"epochs": 1})
    # So much that every family finds some entities.
    small = {"epochs": 4, "evals_per_epoch": 1, "pretrain": pretrain}
    section = tiny.params.train.model_copy(update={**small, "r_drop": 1.0, "layer_decay": 0.9})
    ner = tmp_path / "ner"
    train(section, aligned, encoder, ner, tmp_path / "train.json", tmp_path / "train.csv")
    onnx = tmp_path / "onnx"
    source = tiny.path / "data/corpus/source.json"
    inputs = Inputs(ner, aligned, source, *map(tiny.report, ["metrics.json", "calibration.json"]))
    outs = Outs(onnx, tmp_path / "export.json", tmp_path / "predictions.jsonl")
    export(tiny.params.export, inputs, outs)

    test, tags = read_aligned(aligned / "test.parquet"), Labels.read(aligned).tags
    model = load_tagger(ner, torch.device("cpu"))
    _, labels = predict(test, forward_of(model), Decoder(tags), 2048)
    served = Tagger(onnx, cpu_threads=1)(["".join(cells) for cells in test.sentence_cells()])
    starts = [sum(tags[label].startswith("B-") for label in found) for found in labels]
    assert [len(entities) for entities in served] == starts
    assert sum(starts) > 0


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_family_that_cannot_be_exported_is_refused_by_download(tiny, family, tmp_path, name):
    with pytest.raises(StageError, match="ModernBERT") as error:
        download(_sources(tiny, family(name)), tmp_path / "corpus", tmp_path / "encoder")
    assert "\n" not in str(error.value)


def _sources(tiny, encoder):
    """The section `download` with the tiny corpus and that encoder, from local files."""
    raw = tiny.path / "data/corpus"

    def source(split):
        path = next(raw.glob(f"{split}.*"))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        changes = {"sources": [str(path)], "sha256": sha256, "bytes": None, "git_blob": None}
        return getattr(tiny.params.download, split).model_copy(update=changes)

    folder = {"hub_id": None, "revision": None, "folder": str(encoder), "sha256": {}}
    of = tiny.params.download
    return of.model_copy(
        update={
            "train": source("train"),
            "test": source("test"),
            "encoder": of.encoder.model_copy(update=folder),
        }
    )
