import ast

import pytest

from tests.conftest import ROOT
from tests.support.imports import graph_of, loaded_at_import

OURS = ("stages", "pipelines", "tests", "benchmarks", "docker", "samples")


@pytest.mark.parametrize("heavy", ["torch", "transformers"])
def test_pipelines_load_no_tensors(heavy):
    assert loaded_at_import(graph_of("stages", "pipelines"), "pipelines", heavy) == set()


@pytest.mark.parametrize("module", ["prediction", "promotion.isolated_model"])
def test_who_loads_a_model_loads_none_of_our_stages(module):
    """They would stand in for the code that the model brings."""
    chains = loaded_at_import(graph_of("stages", "pipelines"), f"pipelines.{module}", "stages")
    assert chains == set()


def test_a_run_loads_no_statistics():
    """`watch` needs them; they take half a second."""
    graph = graph_of("stages", "pipelines")
    assert loaded_at_import(graph, "pipelines.flows.train", "scipy") == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import torch", True),
        ("from torch.nn import Module", True),
        ("try:\n    import torch\nexcept ImportError:\n    pass", True),
        ("class C:\n    import torch", True),
        ("from {package} import other", True),
        ("def f():\n    import torch", False),
        ("class C:\n    def f(self):\n        from {package}.other import x", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", False),
        ("", False),
    ],
)
def test_the_check_finds_what_it_looks_for(tmp_path, monkeypatch, code, found):
    package = f"seen_{abs(hash(code))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "one.py").write_text(code.format(package=package) + "\n")
    (tmp_path / package / "other.py").write_text("import torch\n")
    monkeypatch.syspath_prepend(tmp_path)
    chains = loaded_at_import(graph_of(package), f"{package}.one", "torch")
    assert bool(chains) == found


def test_no_module_takes_a_private_name_of_another():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for package in OURS
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in private_names(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from stages.text.labels import _x", ["stages.text.labels._x"]),
        ("from pipelines.flows import _x", ["pipelines.flows._x"]),
        ("from stages.text import labels\nlabels._x()", ["labels._x"]),
        ("import stages.text.labels\nstages.text.labels._x()", ["stages.text.labels._x"]),
        ("def f():\n    from stages.text import labels as other\n    other._x", ["other._x"]),
        ("from stages.text import labels\nlabels.x(_y)\nself._x", []),
        ("import os\nos._exit(1)\nfrom sys import _getframe", []),
        ("from pipelines import __main__", []),
    ],
)
def test_a_private_name_is_seen_however_it_is_taken(code, found):
    assert private_names(code) == found


def private_names(code: str) -> list[str]:
    """Names of our own modules with one underscore before them that `code` imports or uses."""
    nodes = list(ast.walk(ast.parse(code)))
    found, ours = [], set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            found += [f"{node.module}.{a.name}" for a in node.names if is_private(a.name)]
            ours |= {a.asname or a.name for a in node.names if a.name.islower()}
        if isinstance(node, ast.Import):
            named = [a for a in node.names if a.name.split(".")[0] in OURS]
            ours |= {a.asname or a.name for a in named}
    attributes = (n for n in nodes if isinstance(n, ast.Attribute) and is_private(n.attr))
    return found + [ast.unparse(n) for n in attributes if ast.unparse(n.value) in ours]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
