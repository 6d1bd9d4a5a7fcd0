"""comparison.html of two versions in a real registry, and the gates of slices."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from pipelines.errors import Exit
from pipelines.names import MODEL
from pipelines.promotion import decision
from pipelines.serving.disagreements import SCHEMA, differences
from pipelines.serving.row_files import RowFiles
from pipelines.settings import ShadowGate
from tests.pipelines.promotion.promoting import forced, go, refused
from tests.pipelines.registered import Registered


class Page(HTMLParser):
    """The text of each table's rows and of each card, and the list's items."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.items: list[dict[str, str | None]] = []
        self.loads: list[str] = []
        self.cards: list[list[str]] = []
        self._table: list[list[str]] = []
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[key]) for key in ("src", "href") if key in given]
        self._cell = tag in ("th", "td") or (self._cell and tag not in ("tr", "table"))
        if tag == "table":
            self._table = self.rows[str(given["aria-labelledby"])] = []
        if tag == "tr":
            self._table.append([])
        if tag in ("th", "td"):
            self._table[-1].append("")
        if tag in ("dt", "dd"):
            self.cards += [[]] if tag == "dt" else []
            self.cards[-1].append("")
        if tag == "li" and "data-kinds" in given:
            self.items.append(given)

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self._table[-1][-1] += data
        elif self.cards:
            self.cards[-1][-1] += data


def page_of(made: Registered, run: str, tmp_path: Path) -> Page:
    path = made.client.download_artifacts(made.runs[run], "comparison.html", str(tmp_path))
    return Page(Path(path).read_text(encoding="utf-8"))


def test_the_page_of_a_failed_promotion(made: Registered, tmp_path: Path) -> None:
    first, second = forced(made, "better"), made.version("worse")
    error = refused(Exit.GATES, go, made, comparison_sentences=3)
    run = made.client.get_run(made.runs["worse"])
    assert error.comparison == run.info.artifact_uri.removeprefix("file://") + "/comparison.html"
    assert str(error).endswith(f"\nComparison: {error.comparison}")
    page = page_of(made, "worse", tmp_path)
    assert all(link.startswith(("#", "data:")) for link in page.loads)

    gates = dict(page.rows["of-gates"][1:])
    assert next(iter(gates)) == "not_worse"  # failed, so it comes first
    assert gates["f1"] == "✓ passed 0.9300 >= 0.93"
    said = "✗ failed F1 -0.0500 against the champion, 95% interval [-0.09"
    assert gates["not_worse"].startswith(said)
    assert set(gates) == {gate["name"] for gate in error.gates}

    # Of five sentences that only the champion has right each lost all three entities.
    numbers = {" ".join(kind.split()[1:]): number.split()[0] for kind, number in page.cards}
    assert numbers == {"lost": "15", "gained": "0", "false positive": "15", "fixed": "0"}
    assert [item["data-kinds"] for item in page.items] == ["false_positive lost"] * 3
    assert [item["data-types"] for item in page.items] == ["PER LOC ORG"] * 3
    # Name, challenger, champion, difference, axis, interval, verdict, support, sentences
    types = {row[0]: row[1:] for row in page.rows["of-types"][1:]}
    assert types["ORG"][:3] == ["0.96", "0.99", "-0.03"]
    slices = {row[0]: row[1:] for row in page.rows["of-slices"][1:]}
    assert slices["last"][:3] == ["0.00", "0.50", "-0.50"]
    assert slices["last"][-2:] == ["12", "4"]
    assert slices["first_places"][:3] == ["1.00", "1.00", "+0.00"]
    assert slices["first_places"][-3:] == ["= not significant", "2", "2"]
    assert slices["empty"] == ["–", "–", "–", "", "–", "–", "0", "0"]
    versions = {row[0]: row[1:] for row in page.rows["of-versions"][1:]}
    assert versions["Version"] == [second, first]
    assert versions["Commit"] == ["c0ffee", "c0ffee"]


def test_the_page_of_a_first_champion(made: Registered, tmp_path: Path) -> None:
    made.version("good")
    done = go(made)
    page = page_of(made, "good", tmp_path)
    assert done.comparison
    assert page.items == []
    assert page.cards == []
    assert page.rows["of-types"][0] == ["Type", "Challenger", "Support", "Sentences"]
    assert page.rows["of-versions"][0] == ["Property", "Challenger"]


def test_texts_that_were_served_may_be_a_gate(made: Registered, tmp_path: Path) -> None:
    first, second = forced(made, "good"), made.version("better")
    asked = ShadowGate(disagreement_max=0.5, texts_min=4, folder=str(tmp_path / "kept"))
    error = refused(Exit.GATES, go, made, shadow=asked)
    [failed] = [gate for gate in error.gates if not gate["passed"]]
    assert failed["name"] == "shadow"
    assert failed["said"].startswith(f"0 texts that version {first} answered too are in ")
    given = made.settings.model_copy(update={"shadow": asked})
    assert not decision.decided(made.registry, second, given, first)  # more texts may come

    files = RowFiles(tmp_path / "kept" / MODEL, SCHEMA)
    loc, org = (
        {"text": "<b>北京", "type": type_, "start": 3, "end": 8, "score": 0.5}
        for type_ in ("LOC", "ORG")
    )
    for number, (text, old, new) in enumerate(
        [("他在 <b>北京。", loc, [org]), ("在 <b>北京。", loc, []), *[(None, loc, [loc])] * 18]
    ):
        kept = {"time": datetime(2026, 11, 30, 8, number, tzinfo=UTC), "text": text}
        kept |= {"champion": first, "challenger": second}
        files.add({**kept, "differences": differences(text or "", [old], new)})
    files.add({**kept, "challenger": "99", "differences": []})
    files.write()
    go(made, shadow=asked)
    assert made.tags(second)["gate.shadow"] == (
        f"passed 2 of 20 texts differ from version {first}, 95% interval [0.0279, 0.3010],"
        " upper end <= 0.5"
    )
    page = page_of(made, "better", tmp_path)
    counts = {row[0]: row[1] for row in page.rows["of-shadow"][1:]}
    assert counts == {"type": "1", "boundary": "0", "missed": "1", "spurious": "0"}
    html = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "The newest 2, with the entities that differ" in html
    assert "&lt;b&gt;北京" in html


def test_a_slice_may_be_a_gate(made: Registered) -> None:
    version = made.version("good")
    error = refused(Exit.GATES, go, made, slice_f1_min={"last": 0.5, "first_places": 0.9})
    [failed] = [gate for gate in error.gates if not gate["passed"]]
    assert failed == {"name": "slice.last", "passed": False, "said": "0.0000 < 0.5"}
    assert made.tags(version)["gate.slice.first_places"] == "passed 1.0000 >= 0.9"
    error = refused(Exit.FIGURES, go, made, slice_f1_min={"lost": 0.5})
    assert str(error).startswith(
        f"reports/slices.jsonl of version {version} of msra-ner has no slice lost,"
    )
