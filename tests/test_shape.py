"""No function, file, folder or signature is larger than a reader can take in: `make shape`."""

import pytest

from tests.support.shape import LIMITS, Size, largest, too_large

CODE = '''\
def short(a, /, b, *more, c, **others): ...


class C:
    async def long(self):
        """Two lines."""
        def inner(): ...
'''


@pytest.mark.parametrize("kind", LIMITS)
def test_nothing_is_above_its_limit(kind):
    assert too_large(kind) == []


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (
            "lines of a function",
            [(3, "p/m.py:5 long"), (1, "p/m.py:7 inner"), (1, "p/m.py:1 short")],
        ),
        (
            "parameters of a function",
            [(5, "p/m.py:1 short"), (1, "p/m.py:5 long"), (0, "p/m.py:7 inner")],
        ),
        ("lines of a file", [(7, "p/m.py"), (0, "p/__init__.py")]),
        ("modules of a folder", [(1, "p")]),
    ],
)
def test_what_is_measured(tmp_path, kind, found):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/__init__.py").touch()
    (tmp_path / "p/m.py").write_text(CODE)
    assert largest(kind, tmp_path, ("p",)) == [Size(*size) for size in found]
