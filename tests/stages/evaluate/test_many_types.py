"""A corpus of 128 types, from `align` to the report of a model that was not trained."""

import json

import pytest
import torch
from transformers import AutoTokenizer

from stages.evaluate import Outs, evaluate
from stages.model.tagger import new_tagger
from stages.report.report import COLUMNS, StageReports
from tests.stages.evaluate.conftest import REPORTS, jsonl
from tests.stages.tiny import align_text, tagged, write_encoder

FIGURES = ["f1", "precision", "recall", "support", "all"]  # as types may be called
TYPES = [*FIGURES, *(f"T{number:03}" for number in range(123))]
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.mark.usefixtures("one_thread")
def test_from_align_to_the_report(tiny, tmp_path):
    entities = [((0, 2, one), (3, 5, "f1")) for one in TYPES]
    corpus = [tagged(f"张三去北京{n}", *both) for n, both in enumerate(entities)]
    encoder = write_encoder(tmp_path / "data/encoder", **TINY)
    result = align_text(tmp_path, encoder, corpus, corpus, types=TYPES)
    assert result.sentences("test") == corpus
    torch.manual_seed(0)
    model = tmp_path / "ner"
    new_tagger(encoder, result.labels).save_pretrained(model)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(model)
    outs = Outs(*(tmp_path / name for name in REPORTS))
    evaluate(
        tiny.params.evaluate.model_copy(update={"slices": {}}),
        model,
        tmp_path / "data/aligned",
        StageReports(
            tiny.path / "data/corpus/source.json",
            tmp_path / "reports/align.json",
            tiny.report("train.csv"),
        ),
        outs,
    )
    test = json.loads(outs.metrics.read_text())["test"]
    assert test["support"] == 256
    of_types = test["types"]
    assert of_types.keys() == {*TYPES}
    assert [of_types[type_]["support"] for type_ in TYPES] == [1 + 128, *[1] * 127]
    assert len(jsonl(outs.errors.read_bytes())) == tiny.params.evaluate.errors
    page = outs.index.read_text(encoding="utf-8")
    assert len(page) < 1e6
    assert f"Of 128 types, the tables have the {COLUMNS} with the most mistakes" in page
    table = page[page.index('aria-labelledby="of-confusion"') :].partition("</table>")[0]
    assert table.count("<tr>") == COLUMNS + 2
