"""The names of figures: one each, whatever a type is called, and the same as in older runs."""

import json

import pytest

from pipelines.cli.status_table import TYPE_F1
from pipelines.flows.artifacts import score_rows
from pipelines.registry import keys
from pipelines.registry.versions import GATED
from pipelines.tracking import report_values

TYPES = ["f1", "precision", "recall", "support", "all", "ece", "types", "PER", "a.f1"]
ROW = {"precision": 0.25, "recall": 0.5, "f1": 0.75, "support": 3}


@pytest.fixture
def leaves(tmp_path):
    def leaves(metrics, export):
        reports = {}
        for name, values in (("metrics", metrics), ("export", export)):
            reports[name] = tmp_path / f"{name}.json"
            reports[name].write_text(json.dumps(values))
        return report_values.leaves(reports)

    return leaves


def test_a_type_called_as_a_figure_clobbers_none(leaves):
    types = {type_: ROW | {"support": n} for n, type_ in enumerate(TYPES, 10)}
    slices = {"types": {**ROW, "sentences": 2}}
    test = {**ROW, "ece": 0.1, "types": types}
    passed = {**ROW, "types": types}
    found = leaves(
        {"test": test, "passed": passed, "slices": slices}, {**ROW, "opset": 20, "types": types}
    )
    assert (found["test.f1"], found["test.ece"], found["test.support"]) == (0.75, 0.1, 3)
    assert found["export.opset"] == 20
    assert found["slices.types.f1"] == 0.75
    for split in ("test", "passed", "export"):
        assert [found[f"{split}.{t}.support"] for t in TYPES] == [*range(10, 10 + len(TYPES))]
    assert len(found) == 3 * 4 * len(TYPES) + 4 + 1 + 4 + 5 + 4 + 1
    metrics = {keys.metric(name) for name in found}
    assert len(metrics) == len(found)
    assert {keys.figure(metric) for metric in metrics} == found.keys()
    rows = {row[0]: row[-1] for row in score_rows(found)}
    assert rows == {"all types": "3"} | {t: str(n) for n, t in enumerate(TYPES, 10)}
    tags = [name for name in found if GATED.fullmatch(name) and name.startswith("export")]
    assert tags == ["export.f1", *(f"export.{type_}.f1" for type_ in TYPES)]
    assert [TYPE_F1.fullmatch(tag)[1] for tag in tags[1:]] == TYPES


def test_reports_of_an_older_commit_give_the_same_names(leaves):
    types = {"PER": ROW, "types": ROW, "A.B": ROW}
    new = leaves({"test": {**ROW, "types": types}}, {**ROW, "types": types})
    assert leaves({"test": {**ROW, **types}}, {**ROW, **types}) == new
