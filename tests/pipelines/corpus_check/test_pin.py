"""Sizes and hashes are written where the source is described, and nothing else changes."""

import pytest

from pipelines.corpus_check import pin
from pipelines.errors import PipelineError

CONTENT = {"bytes": 7, "git_blob": "b" * 40, "sha256": "a" * 64}
BLOB, SHA = "b" * 40, "a" * 64
PINS = f"bytes: 7, git_blob: {BLOB}, sha256: {SHA}"
LINES = PINS.replace(", ", "\n    ")
BLOCK = """\
download:
  train: # ours
    sha256: {} # old

    bytes:{}
    git_blob: {}
    sources:
    - a
"""
LIST = "sources: # two\n      - a\n      - b\n# end\n"
BEFORE_AFTER = {
    "values in a block": (BLOCK.format(0, "", "null"), BLOCK.format(SHA, " 7", BLOB)),
    "none in a block": (
        f"download:\n  train:\n    {LIST}",
        f"download:\n  train:\n    {LINES}\n    {LIST}",
    ),
    "none in braces": (
        "download: {train: {sources: ['a b'], }, name: x} # one line, kept whole\n",
        f"download: {{train: {{sources: ['a b'], {PINS}, }}, name: x}} # one line, kept whole\n",
    ),
    "one in braces": (
        "a: 1.0e-5\r\ndownload: {train: {sha256: null, sources: [a]}}\r\n",
        f"a: 1.0e-5\r\ndownload: {{train: {{sha256: {SHA}, sources: [a],"
        f" bytes: 7, git_blob: {BLOB}}}}}\r\n",
    ),
    "beside what is merged": (
        "base: &base {bytes: 1}\ndownload: {train: {<<: *base, sources: [a]}, test: *base}",
        f"base: &base {{bytes: 1}}\ndownload: {{train: {{<<: *base, sources: [a], {PINS}}},"
        " test: *base}",
    ),
}


def test_a_file_of_plain_text_is_one_of_a_list(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("download:\n  text:\n  - {sources: [a], sha256: null}\n  - sources: [b]\n")
    assert pin.write({"own": own}, {"text.0": CONTENT, "text.1": CONTENT}) == ["own"]
    assert own.read_text() == (
        f"download:\n  text:\n  - {{sources: [a], sha256: {SHA}, bytes: 7, git_blob: {BLOB}}}\n"
        f"  - {LINES}\n    sources: [b]\n"
    )


@pytest.mark.parametrize(("before", "after"), BEFORE_AFTER.values(), ids=BEFORE_AFTER)
def test_only_the_values_change(tmp_path, before, after):
    own, first = tmp_path / "own.yaml", tmp_path / "params.yaml"
    first.write_text("download: {train: {sources: [m]}}")
    own.write_bytes(before.encode())
    own.chmod(0o600)
    link = tmp_path / "link.yaml"
    link.symlink_to(own)
    assert pin.write({"params.yaml": first, "own": link}, {"train": CONTENT}) == ["own"]
    assert own.read_bytes().decode() == after
    assert link.is_symlink()
    assert own.stat().st_mode & 0o777 == 0o600
    assert first.read_text() == "download: {train: {sources: [m]}}"


def test_what_stands_for_two_splits_is_left_to_the_user(tmp_path):
    own = tmp_path / "own.yaml"
    text = "download: {train: &both {sources: [a], bytes: 1}, test: *both}"
    own.write_text(text)
    with pytest.raises(PipelineError) as error:
        pin.write({"own.yaml": own}, {"train": CONTENT})
    assert str(error.value) == f"own.yaml: write these below download.train yourself: {PINS}"
    assert own.read_text() == text
