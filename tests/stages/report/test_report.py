"""The page of the tiny model, and of figures that are awkward; without a browser."""

import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from stages.report.digits import ends, score
from stages.report.page import with_run
from stages.scoring.slices import Members
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
    assert {"h2"} == {*levels[1:]}
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert Counter(ids).most_common(1)[0][1] == 1
    links = [attributes["href"] for attributes, _ in page.all("a")]
    headings = [attributes["id"] for attributes, _ in page.all("h2")]
    nav = ["#main", *(f"#{id_}" for id_ in headings)]
    assert links[: len(nav)] == nav
    assert {*links} == {*nav}  # what to do first links to the figures
    assert [id_ for id_ in headings if id_ != "warnings"] == [
        *("first", "types", "mistakes", "where", "confidence", "learning", "worst", "data")
    ]
    named = {a["aria-labelledby"] for _, a, _ in page.elements if "aria-labelledby" in a}
    assert {id_ for names in named for id_ in names.split()} <= {*ids}


def test_each_table_has_a_name_heads_and_scrolls_by_keyboard(page):
    tables = page.all("table")
    assert len(tables) == 12
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
    interval = (test["f1_low"], test["f1_high"])
    [(_, title)] = page.all("title")
    assert title == f"NER on MSRA: F1 {score(test['f1'], interval)}"
    said = " ".join(text for _, text in page.all("dd"))
    for name in ("f1", "precision", "recall", "ece"):
        assert score(test[name], interval) in said
    assert ends(interval) in said
    rows = [text for _, text in page.all("tr")]
    for type_ in ("PER", "ORG", "LOC"):
        of_type = test["types"][type_]
        own = (of_type["f1_low"], of_type["f1_high"])
        f1, precision, recall = (
            score(of_type[name], own) for name in ("f1", "precision", "recall")
        )
        assert f"{type_}{f1}{ends(own)}{precision}{recall}{of_type['support']:,}" in rows


def test_its_head_names_what_is_known_of_data_and_model(page, tiny):
    facts = [text for _, text in page.all("dd")][:4]
    source = tiny.json("../data/corpus/source.json")
    hub = source["encoder"]["from"]
    assert facts == [
        f"MSRA, {len(tiny.test)} sentences, SHA-256 {source['test']['sha256'][:12]}",
        f"{hub['hub_id']} at {hub['revision'][:12]}",
        "cpu",
        "in the copy of this page that a run logs to MLflow",
    ]


def test_who_runs_the_stages_adds_what_a_stage_cannot_know(tiny):
    text = tiny.report("index.html").read_text(encoding="utf-8")
    filled = Page(with_run(text, {"Model": "a <b> version 7", "Commit": "0123abcd"}))
    assert [text for _, text in filled.all("dt")][:5] == [
        *("Test data", "Encoder", "Scored on", "Model", "Commit")
    ]
    assert [text for _, text in filled.all("dd")][3:5] == ["a <b> version 7", "0123abcd"]
    assert with_run("<p>of an older commit</p>", {"Model": "a"}) == "<p>of an older commit</p>"


def test_the_worst_sentences_can_be_filtered_and_sorted(page, tiny):
    items = [(a, text) for a, text in page.all("li") if "data-kinds" in a]
    assert 0 < len(items) <= tiny.params.evaluate.errors
    fields = {a["name"] for a, _ in page.all("input", "select")}
    assert fields - {"text", "order", "size"} == {"kinds", "types"}
    for attributes, text in items:
        assert {f"data-{name}" for name in fields - {"text", "order", "size"}} <= {*attributes}
        for kind in attributes["data-kinds"].split():
            assert "…" in text or f"✗ {kind.replace('_', ' ')}" in text  # of a long one a part
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
    assert title == f"NER on {bad}: F1 0.00"
    assert sum(f"Licence: {bad}." in text for _, text in page.all("p")) == 1
    marked = [(a["class"], text) for a, text in page.all("mark")]
    # The mistake is the prediction's, so the gold has no sign of it.
    gold, found = bad[:5] + "PER", bad[2:30] + "PER ✗ shifted"
    assert marked == [("c0 l0", gold), ("c0 l0 worse", found)]


def test_plain_text_is_among_the_data(made):
    text = {"sentences": 1234, "characters": 5678, "windows": 1240, "unknown_rate": 0.01}
    pins = {"bytes": 7, "sha256": "5" * 64, "git_blob": "6" * 40}
    html = made([judged("在北京", [(1, 3, "PER")], [])], {"text.0": pins}, text=text)
    assert "1,234 lines, 5,678 characters, 1,240 windows, 1.000 % unknown." in html
    assert f"<dt>text.0</dt>\n<dd>7 bytes; SHA-256 <code>{'5' * 64}</code>" in html
    without = made([judged("在北京", [(1, 3, "PER")], [])])
    assert "Plain text" not in without
    assert "text.0" not in without


def test_slices_are_shown_where_there_are_any(made):
    found, missed = (judged("在北京", [(1, 3, "PER")], it) for it in ([(1, 3, "PER")], []))
    slices = [Members("no punctuation", None, [1, 2]), Members("none", "PER", [])]
    html = made([found, found, missed], slices=slices)
    rows = [text for _, text in Page(html).all("tr") if text.startswith(("no p", "none"))]
    assert rows[-2:] == ["no punctuation0.670.00–1.001.000.5022", "none––––00"]
    assert "of-slices" not in made([found])


def test_files_that_were_added_to_train_are_counted(made):
    sentence = judged("在北京", [(1, 3, "PER")], [])
    added = "2 files of a growing source, which <code>data/corpus/source.json</code> lists"
    assert added in made([sentence], {"growing": [{"name": "a.bio"}, {"name": "b.bio"}]})
    assert "growing" not in made([sentence])


def test_a_model_that_finds_nothing(made):
    html = made([judged("在北京", [(1, 3, "PER")], [])])
    assert "1 of 1 sentences with a mistake" in html
    assert "F1 is below 0.5 for all types (0.00)" in html
    assert re.search(r"Calibration error</dt><dd>–", html)
    nothing = made([judged("在北京", [], [])])
    assert nothing.count("data-kinds") == 0
    assert "The model makes no mistake in these 1 sentences" in nothing
