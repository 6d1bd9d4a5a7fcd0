"""What two models find in the same sentences, and the page that shows it."""

import re
import shutil
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from pipelines.promotion import comparison
from pipelines.promotion.bootstrap import Difference
from pipelines.promotion.gate_evaluation import Evaluation, Side
from pipelines.promotion.gates import Gate
from pipelines.promotion.prediction_diff import Change, changed
from pipelines.workspaces import overlays
from stages.model.decode import Span
from stages.report.pieces import CONTEXT_CELLS, Piece
from stages.scoring.predictions import Scored
from stages.scoring.slices import Members
from tests.conftest import ROOT
from tests.stages.report.chromium import NAMES, chromium
from tests.stages.report.looks import assert_fine

LOC, ORG = Span(3, 5, "LOC"), Span(3, 7, "ORG")


def scored(predicted: set[Span], gold: set[Span], text: str | None) -> Scored:
    return Scored(frozenset(gold), frozenset(predicted), text)


def test_each_kind_of_change() -> None:
    text = "李明在北京大学"
    [item] = changed([scored({ORG}, {ORG}, None)], [scored({LOC}, {ORG}, text)])
    assert item.changes == [Change("fixed", "LOC", "北京"), Change("gained", "ORG", "北京大学")]
    assert item.gold == item.challenger == [Piece("李明在"), Piece("北京大学", "ORG")]
    assert item.champion == [Piece("李明在"), Piece("北京", "LOC", "wrong"), Piece("大学")]
    [item] = changed([scored({LOC}, {ORG}, text)], [scored({ORG}, {ORG}, None)])
    assert [change.kind for change in item.changes] == ["false_positive", "lost"]
    same = scored({LOC}, {ORG}, text)
    assert changed([same], [same]) == []


def test_a_long_sentence_is_cut_to_its_changes() -> None:
    text = "一" * 1000 + "北京" + "二" * 1000
    loc = Span(1000, 1002, "LOC")
    [item] = changed([scored(set(), {loc}, text)], [scored({loc}, {loc}, None)])
    around = CONTEXT_CELLS
    assert item.gold == [
        Piece(" … " + "一" * around),
        Piece("北京", "LOC"),
        Piece("二" * around + " … "),
    ]
    assert item.challenger == [Piece(" … " + "一" * around + "北京" + "二" * around + " … ")]


def test_those_with_most_changes_come_first() -> None:
    mine = [scored(set(), {LOC}, "李明在北京大学")] * 2
    theirs = [scored({LOC}, {LOC}, None), scored({LOC, Span(0, 2, "PER")}, {LOC}, "李明在北京大学")]
    assert [item.number for item in changed(mine, theirs)] == [1, 0]


BAD = "\"'<script>alert(1)</script>{{ title }}&amp;"


def page(tmp_path: Path) -> Path:
    """Of a challenger that lost an entity of each type, in a text of markup."""
    spans = [Span(0, 2, "PER"), Span(5, 9, "LOC"), Span(12, 40, "ORG")]
    mine = [scored(set(), set(spans), BAD), scored({LOC}, {LOC}, None)] * 30
    theirs = [scored(set(spans), set(spans), None), scored({LOC}, {LOC}, None)] * 30
    sides = [
        Side(ModelVersion("msra-ner", number, 1_764_000_000_000, run_id=BAD), sentences)
        for number, sentences in (("12", mine), ("9", theirs))
    ]
    gates = [Gate("f1", False, f"0.5 < {BAD}"), Gate("cuda", True, "it ran")]
    slices = {"long": Members("long", None, [0, 1]), "empty": Members("empty", "LOC", [])}
    evaluation = Evaluation(gates, sides[0], slices, sides[1], Difference(-0.1, -0.2, -0.05))
    path = tmp_path / "comparison.html"
    settings = overlays.sections(ROOT).promote
    path.write_text(comparison.page(evaluation, settings), encoding="utf-8")
    return path


def test_what_a_corpus_holds_is_no_markup_and_nothing_is_loaded(tmp_path: Path) -> None:
    html = page(tmp_path).read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script>") == 1
    assert "&#34;&#39;&lt;script&gt;alert(1)&lt;/script&gt;{{ title }}&amp;amp;" in html
    assert not re.search(r"//\w+\.|url\(|@import|<(img|iframe|object)\b| src=", html)
    assert {*re.findall(r'href="(?!#)([^"]*)"', html)} == {"data:,"}
    assert "▼ worse" in html


@pytest.mark.browser
@pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="there is no Chromium")
def test_it_can_be_read_on_a_phone_and_dark_and_is_filtered(tmp_path: Path) -> None:
    path = page(tmp_path)
    with chromium(tmp_path / "chromium") as tab:
        for width in (390, 1280):
            for dark in (False, True):
                assert_fine(tab, path, width, dark)
        shown = "document.querySelector('output').value"
        assert tab.value(shown) == "30 of 30 shown"
        for kind, said in (("lost", "30 of 30 shown"), ("gained", "0 of 30 shown")):
            tab.value(f"document.querySelector('[name=kinds]').value = '{kind}'")
            tab.value("document.querySelector('form').dispatchEvent(new Event('input'))")
            assert tab.value(shown) == said
