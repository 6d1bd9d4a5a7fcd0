"""README's pictures of the pages."""

import re

from tests.conftest import ROOT

MOST_BYTES = 200_000  # of one, in a clone for ever


def test_readme_shows_each_picture_and_none_is_large():
    shown = re.findall(r"docs/pictures/([\w-]+\.png)", (ROOT / "README.md").read_text("utf-8"))
    files = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    assert sorted(shown) == sorted(files)
    assert max(files.values()) < MOST_BYTES
