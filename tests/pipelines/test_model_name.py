"""The name of the model: one key of params.yaml, in no module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.names import MODEL
from pipelines.workspaces import merging, overlays
from tests.conftest import ROOT


def test_params_yaml_names_the_model_and_an_overlay_another(tmp_path: Path) -> None:
    assert merging.model_name(ROOT) == overlays.sections(ROOT).run.model == MODEL
    own = tmp_path / "own.yaml"
    own.write_text("run: {model: Dishes_2.x}\n")
    assert merging.model_name(ROOT, [own]) == overlays.sections(ROOT, [own]).run.model
    assert merging.model_name(ROOT, [own]) == "Dishes_2.x"


@pytest.mark.parametrize("text", [None, "", "run: {keep_workspaces: 5}\n", "train: {}\n"])
def test_a_commit_from_before_the_key_has_the_name_that_it_had(tmp_path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "params.yaml").write_text(text or "run:\n")
    assert merging.model_name(tmp_path) == "msra-ner"


@pytest.mark.parametrize(
    "name", ["a/b", "a:b", "a b", "", "-a", "菜", "a@champion", "x" * 101, "7"]
)
def test_a_name_that_no_address_can_have_is_refused(tmp_path: Path, name: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"run: {{model: {name if name == '7' else repr(name)}}}\n")
    for read in (merging.model_name, overlays.sections):
        with pytest.raises(PipelineError, match=r"own\.yaml.*run\.model|run\.model.*own\.yaml"):
            read(ROOT, [own])


def test_no_module_says_a_name_itself() -> None:
    said = {
        (str(path.relative_to(ROOT)), text)
        for path in [*(ROOT / "pipelines").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]
        for text in texts(path)
        if "msra" in text.lower()
    }
    assert said == {("pipelines/names.py", "msra-ner")}
    pages = [*(ROOT / "pipelines").rglob("*.html"), *(ROOT / "stages").rglob("*.html")]
    assert len(pages) > 1
    assert not [page for page in pages if "msra" in page.read_text(encoding="utf-8").lower()]


def texts(path: Path) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in documents:
            yield text
