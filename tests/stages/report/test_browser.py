"""The report in Chromium: offline, on a phone and dark, filtered and sorted by keyboard."""

import shutil

import pytest

from tests.stages.report.chromium import NAMES, chromium
from tests.stages.report.test_worst import judged

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="there is no Chromium"),
]
SHOWN = "[...document.querySelectorAll('#sentences > li')].filter(li => !li.hidden)"
# Of text on what is behind it, by WCAG 2: at least 4.5 is asked for.
CONTRAST = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color).length === 3) return color;
    }
  };
  const speaks = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const found = [...document.querySelectorAll("body *")].filter(speaks).map((element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(light);
    const name = element.getAttribute("class") || element.tagName;
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), name];
  });
  return found.reduce((least, each) => (each[0] < least[0] ? each : least));
})()
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_asks_for_nothing_fits_and_can_be_read(tab, tiny, width, dark):
    path = tiny.report("index.html")
    tab.open(path, width, dark)
    asked = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked == [path.as_uri()]
    told = [e for e in tab.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert told == []
    wide = "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.documentElement)"
    assert tab.value(wide) == 0
    assert tab.value("getComputedStyle(document.body).backgroundColor") == (
        "rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)"
    )
    contrast, where = tab.value(CONTRAST)
    assert contrast >= 4.5, where


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
        return tab.value(f"{SHOWN}.map(li => li.querySelector('.said').textContent[4])")

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
    assert (tab.value("document.activeElement.value"), shown()) == ("invented", ["丙"])
    tab.press("ArrowUp")
    tab.press("ArrowUp")
    tab.press("Tab")
    tab.press("Tab")
    tab.press("ArrowDown")
    order = tab.value("document.activeElement.value")
    assert (order, shown()) == ("confidence", ["丙", "甲", "乙"])
