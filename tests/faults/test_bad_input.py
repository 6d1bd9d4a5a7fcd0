"""Bad input that no other test gives, and whether README's table names tests that are there."""

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import PipelineError
from pipelines.workspaces import overlays
from stages.contract.errors import StageError
from stages.contract.section import read
from stages.corpus.formats.read import read_corpus
from stages.fetching.encoder import check_parts
from stages.params.params import Params
from tests.conftest import ROOT
from tests.stages.corpus.formats.conftest import align_params

REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
ODD_YAML = {
    "a 13th month": "seed: 2026-13-01",
    "a number that is none": "seed: !!int x",
    "a Python object": "seed: !!python/object/apply:os.system [ls]",
    "a number of 5000 digits": f"seed: {'9' * 5000}",
    "a section in itself": "seed: &a [*a]",
    "a date for a key": "2026-01-01: 3",
    "a list for a key": "? [a, b]\n  : 3",
    "a NUL": "seed: \x00",
    "half a surrogate pair": 'seed: "\\ud83d"',
    "nested 5000 times": f"seed: {'[' * 5000}{']' * 5000}",
    "two documents": "seed: 1\n---\na: 1",
    "a tab for indentation": "seed:\n\t1",
    "an alias of nothing": "seed: *nothing",
}


@pytest.mark.parametrize("odd", ODD_YAML.values(), ids=ODD_YAML)
def test_yaml_of_any_kind_is_refused_in_a_sentence(tmp_path, odd):
    file, layer = tmp_path / "params.yaml", tmp_path / "overlay.yaml"
    file.write_text(REAL.replace("seed: 42", odd), encoding="utf-8")
    layer.write_text(f"train:\n  {odd}", encoding="utf-8")
    with pytest.raises(StageError) as error:
        read(Params, file, whole=True)
    with pytest.raises(PipelineError) as refused:
        overlays.sections(ROOT, [layer])
    for said in (str(error.value), str(refused.value)):
        assert "\n" not in said
        assert "params.yaml" in said or "overlay.yaml" in said
    assert str(layer) in str(refused.value)


@given(st.integers(0, REAL.count("\n")), st.text(st.characters(codec="utf-8"), max_size=12))
@settings(deadline=None, max_examples=60)
def test_params_with_any_line_are_read_or_refused(tmp_path_factory, number, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    lines = REAL.split("\n")
    lines[number] = lines[number][: len(text)] + text
    file.write_bytes("\n".join(lines).encode())
    try:
        read(Params, file, whole=True)
    except StageError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_params_that_are_a_folder(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(StageError, match=r"params\.yaml: Is a directory"):
        read(Params, tmp_path / "params.yaml")


def test_a_corpus_that_is_a_folder(tmp_path):
    with pytest.raises(StageError, match="is not here: run `dvc repro download` first"):
        read_corpus(tmp_path, align_params(), repair=True)


def test_a_line_of_100_mb(tmp_path):
    file = tmp_path / "train.txt"
    with file.open("wb") as sparse:
        sparse.truncate(100_000_000)
    tracemalloc.start()
    with pytest.raises(StageError) as error:
        read_corpus(file, align_params(), repair=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(error.value).startswith(f"{file}:1: ")
    assert len(str(error.value)) < 1000
    assert peak < 450e6


def test_a_config_nested_without_end(tmp_path):
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(StageError, match=r"here: config\.json is not JSON"):
        check_parts(tmp_path, "here")


def test_every_test_that_the_table_names_is_there():
    table = (ROOT / "tests/faults/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `(tests/\S+\.py)::(\w+)` \|$", table, re.MULTILINE)
    assert len(rows) >= 40
    for file, name in rows:
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
