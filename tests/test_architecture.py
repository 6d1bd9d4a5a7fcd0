"""docs/architecture.md: its picture and its table of packages are those of the tree."""

import re
from itertools import pairwise

from tests.conftest import ROOT
from tests.support.imports import graph_of

TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PICTURE = re.search(r"^```mermaid\n(.*?)^```", TEXT, re.M | re.S)[1]


def packages():
    """Packages, and the modules that lie beside them, by their name in the table."""
    found = set()
    for top in ("stages", "pipelines"):
        for path in (ROOT / top).iterdir():
            if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.name[0] != "_"):
                found.add(f"{top}/{path.name}")
    return found


def arrows():
    """The pairs of names that the picture joins: `a & b --> c --> d` are four."""
    found = set()
    for line in PICTURE.splitlines():
        groups = [re.findall(r"\w+", part) for part in line.split("-->")]
        for left, right in pairwise(groups):
            found |= {(a, b) for a in left for b in right}
    return found


def test_the_table_has_each_package_once():
    rows = re.findall(r"^\| `((?:stages|pipelines)/[\w.]+)` \|", TEXT, re.M)
    assert sorted(rows) == sorted(packages())


def test_each_arrow_of_the_picture_is_an_import_and_all_others_follow():
    paths: dict[str, str] = {}
    for name in sorted(packages(), reverse=True):  # stages/serving before pipelines/serving
        short = name.rpartition("/")[2].removesuffix(".py")
        paths[name.replace("/", "_") if short in paths else short] = name
    full = {short: path.removesuffix(".py").replace("/", ".") for short, path in paths.items()}
    graph = graph_of("stages", "pipelines")
    squashed = {
        (a, b)
        for a in full
        for b in full
        if a != b
        and graph.direct_import_exists(importer=full[a], imported=full[b], as_packages=True)
    }
    drawn = arrows()
    assert drawn <= squashed
    assert squashed <= following(drawn)


def following(pairs):
    """These pairs and all that follow from them."""
    found = set(pairs)
    while more := {(a, d) for a, b in found for c, d in pairs if b == c} - found:
        found |= more
    return found
