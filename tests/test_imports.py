import pytest

from tests.imports import graph_of, loaded_at_import


@pytest.mark.parametrize("heavy", ["torch", "transformers"])
def test_pipelines_load_no_tensors(heavy):
    assert loaded_at_import(graph_of("stages", "pipelines"), "pipelines", heavy) == set()


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
