"""The documents' pictures."""

import re

from tests.conftest import ROOT

MOST_BYTES = 200_000  # of one, in a clone for ever


def test_a_document_shows_each_picture_and_none_is_large():
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    shown = set(re.findall(r"pictures/([\w-]+\.png)", text))
    files = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    assert sorted(shown) == sorted(files)
    assert max(files.values()) < MOST_BYTES
