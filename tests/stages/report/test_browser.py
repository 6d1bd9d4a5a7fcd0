"""The report in Chromium: offline, on a phone and dark, filtered and sorted by keyboard."""

import shutil

import pytest

from tests.stages.report.chromium import NAMES, chromium
from tests.stages.report.looks import assert_fine
from tests.stages.report.test_worst import judged

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="there is no Chromium"),
]
SHOWN = "[...document.querySelectorAll('#sentences > li')].filter(li => !li.hidden)"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_asks_for_nothing_fits_and_can_be_read(tab, tiny, width, dark):
    assert_fine(tab, tiny.report("index.html"), width, dark)


def test_sentences_are_found_filtered_and_sorted_by_keyboard(tab, made, tmp_path):
    sentences = [
        judged("甲在北京", [(0, 1, "PER"), (2, 4, "PER")], [], 0.4),
        judged("乙在上海", [(2, 4, "PER")], [(2, 3, "PER")], 0.3),
        judged("丙在天津", [], [(2, 4, "PER")], 0.5),
    ]
    path = tmp_path / "index.html"
    path.write_text(made(sentences), encoding="utf-8")
    tab.open(path, 1280, False)

    def shown():
        return tab.value(f"{SHOWN}.map(li => li.querySelector('.sentence').textContent[4])")

    assert shown() == ["甲", "乙", "丙"]  # by the sum of confidences
    tab.value("document.querySelector('[name=text]').focus()")
    tab.call("Input.insertText", text="甲在北")  # on the page PER and missed stand before 在
    assert shown() == ["甲"]
    assert tab.value("document.querySelector('output').value") == "1 of 3 shown"
    tab.call("Input.insertText", text="滩")
    assert shown() == []
    tab.value("document.querySelector('[name=text]').select()")
    tab.call("Input.insertText", text="在")
    assert shown() == ["甲", "乙", "丙"]

    tab.press("Tab")
    assert tab.value("document.activeElement.name") == "kinds"
    tab.press("ArrowDown")
    assert (tab.value("document.activeElement.value"), shown()) == ("missed", ["甲"])
    tab.press("ArrowDown")
    assert (tab.value("document.activeElement.value"), shown()) == ("false_positive", ["丙"])
    tab.press("ArrowUp")
    tab.press("ArrowUp")
    tab.press("Tab")
    tab.press("Tab")
    tab.press("ArrowDown")
    order = tab.value("document.activeElement.value")
    assert (order, shown()) == ("confidence", ["丙", "甲", "乙"])
