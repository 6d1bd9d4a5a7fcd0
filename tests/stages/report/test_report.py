"""The page of the tiny model, and of figures that are awkward; without a browser."""

import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from tests.stages.report.test_worst import judged

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """The elements: (tag, attributes, text so far below it)."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):  # of SVG
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, *tags):
        return [
            (attributes, " ".join("".join(texts).split()))
            for tag, attributes, texts in self.elements
            if tag in tags
        ]


@pytest.fixture(scope="module")
def page(tiny):
    return Page(tiny.report("index.html").read_text(encoding="utf-8"))


def test_headings_and_links_lead_through_it(page):
    assert len(page.all("h1")) == 1
    levels = [tag for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == "h1"
    assert {"h2", "h3"} == {*levels[1:]}
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert Counter(ids).most_common(1)[0][1] == 1
    links = [attributes["href"] for attributes, _ in page.all("a")]
    headings = [attributes["id"] for attributes, _ in page.all("h2")]
    assert links == ["#main", *(f"#{id_}" for id_ in headings)]
    assert len(headings) == 8
    named = {a["aria-labelledby"] for _, a, _ in page.elements if "aria-labelledby" in a}
    assert {id_ for names in named for id_ in names.split()} <= {*ids}


def test_each_table_has_a_name_heads_and_scrolls_by_keyboard(page):
    tables = page.all("table")
    assert len(tables) == 11
    assert all("aria-labelledby" in attributes for attributes, _ in tables)
    assert {a["scope"] for a, _ in page.all("th")} == {"col", "row"}
    frames = [a for a, _ in page.all("div") if a.get("role") == "region"]
    assert len(frames) == len(tables)
    assert {a["tabindex"] for a in frames} == {"0"}
    plots = [a for a, _ in page.all("svg")]
    assert len(plots) == 3
    assert {a["role"] for a in plots} == {"img"}


def test_its_figures_are_those_of_the_metrics(page, tiny):
    test = tiny.json("metrics.json")["test"]
    [(_, title)] = page.all("title")
    assert title == f"MSRA: F1 {test['f1']:.4f}"
    said = " ".join(text for _, text in page.all("dd"))
    for name in ("f1", "f1_low", "f1_high", "precision", "recall", "ece"):
        assert f"{test[name]:.4f}" in said
    rows = [text for _, text in page.all("tr")]
    for type_ in ("PER", "ORG", "LOC"):
        row = [f"{test[type_][name]:.4f}" for name in ("f1", "precision", "recall")]
        ends = "{f1_low:.4f} to {f1_high:.4f}".format(**test[type_])
        assert f"{type_}{''.join(row)}{test[type_]['support']:,}{ends}" in rows


def test_the_worst_sentences_can_be_filtered_and_sorted(page, tiny):
    items = [(a, text) for a, text in page.all("li") if "data-kinds" in a]
    assert 0 < len(items) <= tiny.params.evaluate.errors
    fields = {a["name"] for a, _ in page.all("input", "select")}
    assert fields - {"text", "order"} == {"kinds", "types"}
    for attributes, text in items:
        assert {f"data-{name}" for name in fields - {"text", "order"}} <= {*attributes}
        for kind in attributes["data-kinds"].split():
            mark = "" if "…" in text else "✗ "  # of a long one a part is shown
            assert f"{mark}{kind.replace('_', ' ')}" in text
    values = {a["value"] for a, _ in page.all("option") if "value" in a}
    orders = {name.removeprefix("data-") for name in items[0][0]} & values
    assert orders == {"weight", "confidence", "mistakes"}
    assert all(float(a["data-weight"]) > 0 for a, _ in items)


def test_a_corpus_cannot_write_markup(made):
    bad = "</script><script>alert('x')</script>"
    sentence = judged(bad, [(0, 5, "PER")], [(2, 30, "PER")])
    html = made([sentence], {"name": bad, "licence": bad})
    assert html.count("<script") == html.count("</script") == 1
    page = Page(html)
    [(_, title)] = page.all("h1")
    assert title == f"{bad}, test split: F1 0.5000"
    assert sum(f"Licence: {bad}." in text for _, text in page.all("p")) == 1
    marked = [(a["class"], text) for a, text in page.all("mark")]
    gold, found = bad[:5] + "PER ✗ shifted", bad[2:30] + "PER ✗ shifted"
    assert marked == [("t0 wrong", gold), ("t0 wrong", found)]


def test_slices_are_shown_where_there_are_any(made):
    sentence = judged("在北京", [(1, 3, "PER")], [(1, 3, "PER")])
    row = {"f1": 0.875, "precision": 1.0, "recall": 0.75, "support": 4, "sentences": 1234}
    with_slices = Page(made([sentence], slices={"no punctuation": row}))
    rows = [text for _, text in with_slices.all("tr") if text.startswith("no punctuation")]
    assert rows == ["no punctuation0.87501.00000.750041,234"]
    assert "slices" not in {a.get("id") for a, _ in Page(made([sentence])).all("h2")}


def test_a_model_that_finds_nothing(made):
    html = made([judged("在北京", [(1, 3, "PER")], [])])
    assert "1 of 1 sentences with a mistake" in html
    assert re.search(r"Calibration error</dt><dd>–", html)
    assert made([judged("在北京", [], [])]).count("data-kinds") == 0
