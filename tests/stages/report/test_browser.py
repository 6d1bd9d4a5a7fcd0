"""The report in Chromium: offline, on a phone and dark, filtered, sorted and paged by keyboard."""

import shutil

import pytest

from stages.scoring.slices import Members
from tests.stages.report.chromium import NAMES, chromium
from tests.stages.report.looks import assert_fine
from tests.stages.report.test_worst import judged

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="there is no Chromium"),
]
TYPES = ["PER", "ORG", "LOC"]
FORMS = ("full_width", "half_width", "no_punctuation", "documents")
# Type → the colours of its name in sentences and lists, and of its dot in the table of types.
COLOURS = """
(() => {
  const found = {};
  const add = (type, element, property) =>
    (found[type] ??= new Set()).add(getComputedStyle(element)[property]);
  for (const tag of document.querySelectorAll(".tag"))
    add(tag.firstChild.data.trim(), tag, "color");
  for (const row of document.querySelectorAll("[aria-labelledby=of-types] tbody tr"))
    add(row.cells[0].textContent, row.querySelector(".dot"), "borderTopColor");
  return Object.fromEntries(Object.entries(found).map(([type, all]) => [type, [...all]]));
})()
"""
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

    def counted():
        return tab.value("document.querySelector('output').value")

    assert shown() == ["甲", "乙", "丙"]  # by the sum of confidences
    tab.value("document.querySelector('[name=text]').focus()")
    tab.call("Input.insertText", text="甲在北")  # on the page PER and missed stand before 在
    assert shown() == ["甲"]
    assert counted() == "1 to 1 of 1"
    tab.call("Input.insertText", text="滩")
    assert (shown(), counted()) == ([], "0 of 3")
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


def many_mistakes():
    """More sentences than a page lists; each has a list of wrong names, and a right one."""
    names = [(at, at + 3, TYPES[at % 3]) for at in range(1, 91, 5)]
    short = [(start, stop - 1, type_) for start, stop, type_ in names]
    return [judged("名" * 100, [*names, (95, 97, "LOC")], [*short, (95, 97, "LOC")])] * 200


@pytest.mark.parametrize(("width", "most"), [(390, 8000), (1280, 4000)])
def test_many_sentences_are_folded_and_paged(tab, made, tmp_path, width, most):
    path = tmp_path / "index.html"
    slices = [Members(name, None, [0, 1]) for name in ("short", "long", "latin_or_digits")]
    form = {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 9, "sentences": 1000}
    robustness = dict.fromkeys(("as_it_is", *FORMS), form)
    html = made(many_mistakes(), types=TYPES, slices=slices, robustness=robustness)
    path.write_text(html, encoding="utf-8")
    tab.open(path, width, False)
    assert tab.value("document.documentElement.scrollHeight") < most
    first = f"{SHOWN}[0].querySelector('summary').textContent.split(':')[0]"
    assert (tab.value(f"{SHOWN}.length"), tab.value(first)) == (10, "Sentence 1")
    tab.value("document.querySelector('[name=next]').focus()")
    tab.press("Enter")
    assert (tab.value(f"{SHOWN}.length"), tab.value(first)) == (10, "Sentence 11")
    assert tab.value("document.querySelector('output').value") == "11 to 20 of 200"
    tab.press("Tab")
    tab.press("Enter")
    opened = "document.querySelectorAll('#sentences details[open]').length"
    assert tab.value(opened) == 10
    # Unfolded, a sentence is as wide as the page and no wider.
    assert tab.value("document.documentElement.scrollWidth") <= width
    tab.value("document.querySelector('[name=size]').value = '0'")
    tab.value("document.querySelector('form').dispatchEvent(new Event('input'))")
    assert tab.value(f"{SHOWN}.length") == 200


def test_a_type_has_one_colour_on_the_whole_page(tab, made, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(made(many_mistakes(), types=TYPES), encoding="utf-8")
    tab.open(path, 1280, True)
    colours = tab.value(COLOURS)
    assert set(colours) == {*TYPES}
    assert all(len(found) == 1 for found in colours.values())
    assert len({found[0] for found in colours.values()}) == 3


def test_without_javascript_every_sentence_can_be_unfolded(tab, made, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(made(many_mistakes(), types=TYPES), encoding="utf-8")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(path, 390, False)
        assert tab.value(f"{SHOWN}.length") == 200
        assert tab.value("document.documentElement.scrollHeight") < 8000
        tab.value(
            "document.querySelector('#sentences').closest('details').firstElementChild.focus()"
        )
        tab.press("Enter")
        assert tab.value("document.querySelector('#sentences').checkVisibility()")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
