"""The name in the card of a registered model, and the files beside it."""

import os

import pytest

from pipelines.registry import card

NEW = """\
---
language: zh
model-index:
- name: named-entity-recognition
  results: []
---

# named-entity-recognition

    mlflow.pyfunc.load_model("models:/NAME@champion")

# Not a title; models:/NAME@champion
"""
OLD = NEW.replace("named-entity-recognition", "msra-ner").replace("NAME", "msra-ner")


@pytest.mark.parametrize("text", [NEW, OLD], ids=["new", "of an older commit"])
def test_a_card_gets_the_name_where_it_had_one(text: str) -> None:
    named = card.named(text, "dishes-2")
    assert "\n- name: dishes-2\n" in named
    assert "\n# dishes-2\n" in named
    assert 'load_model("models:/dishes-2@champion")' in named
    assert "# Not a title" in named
    assert card.named(named, "other") == card.named(text, "other")


@pytest.mark.parametrize("links", ["none", "hard", "symbolic"])
def test_the_copy_has_no_links_out_and_leaves_the_original(tmp_path, links: str) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "onnx"
    cache.mkdir()
    folder.mkdir()
    for name, text in {"README.md": NEW, "model.onnx": "onnx"}.items():
        (cache / name).write_text(text)
        make = {"none": None, "hard": os.link, "symbolic": os.symlink}[links]
        if make:
            make(cache / name, folder / name)
        else:
            (folder / name).write_text(text)
    with card.named_copy(folder, "dishes") as copy:
        assert sorted(path.name for path in copy.iterdir()) == ["README.md", "model.onnx"]
        assert not any(path.is_symlink() for path in copy.iterdir())
        assert (copy / "README.md").read_text() == card.named(NEW, "dishes")
        assert (copy / "model.onnx").read_text() == "onnx"
        assert copy.name == "onnx"
    assert not copy.exists()
    assert (folder / "README.md").read_text() == (cache / "README.md").read_text() == NEW
    assert (folder / "model.onnx").read_text() == "onnx"
