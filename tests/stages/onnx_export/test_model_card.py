"""The model card as the hub's own library reads it."""

import json
import re

import pytest
from huggingface_hub import ModelCard

from stages.contract.errors import StageError
from stages.onnx_export.model_card import METRICS, model_card
from tests.invented import text_of


@pytest.fixture
def made(tiny, tmp_path):
    """The card with changes to what the stages before said."""

    def made(source=None, **metrics):
        changed = {
            "source": json.loads((tiny.path / "data/corpus/source.json").read_text("utf-8")),
            "metrics": tiny.json("metrics.json"),
        }
        for name, changes in (("source", source or {}), ("metrics", metrics)):
            text = json.dumps(changed[name] | changes, ensure_ascii=False)
            (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
        return model_card(
            tiny.json("export.json"), tmp_path / "metrics.json", tmp_path / "source.json"
        )

    return made


def test_its_metadata_are_the_hubs_and_its_figures_those_of_the_file(tiny):
    card = ModelCard.load(tiny.onnx / "README.md")
    data, export = card.data, tiny.json("export.json")
    assert (data.language, data.license, data.license_name) == ("zh", "other", "licence-of-msra")
    assert (data.pipeline_tag, data.library_name) == ("token-classification", "onnx")
    assert data.base_model == tiny.params.download.encoder.hub_id
    assert {"PER", "ORG", "LOC"} <= {*data.tags}
    found = {(r.metric_type, r.metric_name): r.metric_value for r in data.eval_results}
    assert found == {
        (metric, f"{title} {type_}".strip()): pytest.approx(row[metric], abs=5e-5)
        for type_, row in [("", export), *((t, export["types"][t]) for t in ("PER", "ORG", "LOC"))]
        for metric, title in METRICS.items()
    }
    [about] = {(r.task_type, r.dataset_name, r.dataset_split) for r in data.eval_results}
    assert about == ("token-classification", "MSRA", "test")
    row = "".join(f" {export[metric]:.4f} |" for metric in METRICS)
    assert f"| all types |{row} {export['support']:,} |" in card.text
    test = tiny.json("metrics.json")["test"]
    assert f"interval of {test['f1_low']:.4f} to {test['f1_high']:.4f}" in card.text


def test_it_holds_no_sentence_of_the_corpus(tiny):
    text = (tiny.onnx / "README.md").read_text(encoding="utf-8")
    assert not any(text_of(sentence) in text for sentence in tiny.test)
    assert not re.search("[\u4e00-\u9fff]", text)


def test_slices_an_encoder_of_a_folder_and_a_name_that_is_no_yaml(made):
    row = {"f1": 0.5, "precision": 0.25, "recall": 0.75, "support": 1234, "sentences": 9}
    source = {"name": "Our: corpus #1", "licence": "CC BY 4.0", "encoder": {"from": "folder"}}
    source["growing"] = [{"name": "a.bio"}, {"name": "b.bio"}]
    card = ModelCard(made(source, slices={"a|b": row}))
    assert "| a\\|b | 0.2500 | 0.7500 | 0.5000 | 1,234 |" in card.text
    assert card.data.base_model is None
    assert card.data.license_name == "licence-of-our-corpus-1"
    assert {result.dataset_name for result in card.data.eval_results} == {"Our: corpus #1"}
    assert "Our: corpus #1. Licence: CC BY 4.0." in card.text
    assert "| 2 files of a growing source, in train | | in `source.json` |" in card.text
    assert "a|b" not in made()
    assert "growing" not in made()


def test_plain_text_is_named_by_its_hash(made):
    card = made({"text.0": {"sha256": "5" * 64}, "text.1": {"sha256": "6" * 64}})
    listed = "".join(f"\n- a file with SHA-256 `{digit * 64}`" for digit in "56")
    assert f"Unlabelled text, for the pretraining of the encoder:\n{listed}\n" in card
    assert "Unlabelled" not in made()


def test_what_it_needs_is_named(tiny, tmp_path):
    with pytest.raises(StageError, match=r"^.*none is not here: run `dvc repro evaluate` first$"):
        model_card(
            tiny.json("export.json"), tmp_path / "none", tiny.path / "data/corpus/source.json"
        )
