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
from pipelines.promotion.prediction_diff import changed
from pipelines.workspaces import overlays
from stages.model.decode import Span
from stages.report.colours import colours
from stages.report.pieces import CONTEXT_CELLS, Mention, Piece
from stages.scoring.predictions import Scored
from stages.scoring.slices import Members
from tests.conftest import ROOT
from tests.stages.report.chromium import NAMES, chromium
from tests.stages.report.looks import assert_fine

PER, LOC, ORG = Span(0, 2, "PER"), Span(3, 5, "LOC"), Span(3, 7, "ORG")


def scored(predicted: set[Span], gold: set[Span], text: str | None) -> Scored:
    return Scored(frozenset(gold), frozenset(predicted), text)


def test_each_kind_of_change() -> None:
    text = "李明在北京大学"
    [item] = changed([scored({ORG}, {ORG}, None)], [scored({LOC}, {ORG}, text)])
    assert item.changes == [Mention("fixed", "LOC", "北京"), Mention("gained", "ORG", "北京大学")]
    # A change is marked in the prediction that has it.
    assert item.gold == [Piece("李明在"), Piece("北京大学", "ORG")]
    assert item.challenger == [Piece("李明在"), Piece("北京大学", "ORG", "gained")]
    assert item.champion == [Piece("李明在"), Piece("北京", "LOC", "fixed"), Piece("大学")]
    [item] = changed([scored({LOC}, {ORG}, text)], [scored({ORG}, {ORG}, None)])
    assert [change.kind for change in item.changes] == ["false_positive", "lost"]
    assert [item.champion[1].kind, item.challenger[1].kind] == ["lost", "false_positive"]
    same = scored({LOC}, {ORG}, text)
    assert changed([same], [same]) == []
    one_more = scored({LOC, PER}, {ORG, PER}, text)
    [item] = changed([one_more], [same])
    kinds = [[piece.kind for piece in line] for line in (item.champion, item.challenger)]
    assert kinds == [[None, "wrong", None], ["gained", None, "wrong", None]]


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
    theirs = [scored({LOC}, {LOC}, None), scored({LOC, PER}, {LOC}, "李明在北京大学")]
    assert [item.number for item in changed(mine, theirs)] == [1, 0]


TYPES = ["PER", "ORG", "LOC"]
BAD = "\"'<script>alert(1)</script>{{ title }}&amp;"


def page(tmp_path: Path) -> Path:
    """Of a challenger that lost an entity of each type, in a text of markup."""
    spans = [Span(0, 2, "PER"), Span(5, 9, "LOC"), Span(12, 40, "ORG")]
    mine = [scored(set(), set(spans), BAD), scored({LOC}, {LOC}, None)] * 30
    theirs = [scored(set(spans), set(spans), None), scored({LOC}, {LOC}, None)] * 30
    sides = [
        Side(ModelVersion("msra-ner", number, 1_764_000_000_000, run_id=BAD), sentences, TYPES)
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
    [verdict] = re.findall(r"<h1[^>]*>(.*?)</h1>", html)
    assert verdict == "✗ Version 12 must not replace version 9: 1 of 2 gates failed"


def test_a_type_looks_as_in_the_report(tmp_path: Path) -> None:
    html = page(tmp_path).read_text(encoding="utf-8")
    for type_, look in colours(TYPES).items():
        assert {*re.findall(rf'<mark class="(c\d l\d)[^"]*">[^<]*<span[^>]*>{type_}', html)} == {
            look
        }


@pytest.mark.browser
@pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="there is no Chromium")
def test_it_can_be_read_on_a_phone_and_dark_and_is_filtered(tmp_path: Path) -> None:
    path = page(tmp_path)
    with chromium(tmp_path / "chromium") as tab:
        for width in (390, 1280):
            for dark in (False, True):
                assert_fine(tab, path, width, dark)
        shown = "document.querySelector('output').value"
        assert tab.value(shown) == "1 to 10 of 30"
        assert tab.value("document.documentElement.scrollHeight") < 4000
        for kind, said in (("lost", "1 to 10 of 30"), ("gained", "0 of 30")):
            tab.value(f"document.querySelector('[name=kinds]').value = '{kind}'")
            tab.value("document.querySelector('form').dispatchEvent(new Event('input'))")
            assert tab.value(shown) == said
