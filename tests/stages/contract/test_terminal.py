"""Terminals that cannot show every character."""

import io
import json
import sys

import pytest

from stages.contract.terminal import accept_any_text

TEXT = "北京 😀 é \ud83d"
SHOWN = {
    "utf-8": "北京 😀 é \\ud83d",
    "gbk": "北京 \\ud83d\\ude00 é \\ud83d",
    "ascii": "\\u5317\\u4eac \\ud83d\\ude00 \\u00e9 \\ud83d",
}


@pytest.mark.parametrize(("encoding", "shown"), SHOWN.items())
def test_what_cannot_be_shown_is_escaped_as_in_json(monkeypatch, encoding, shown):
    streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding=encoding))
    accept_any_text()
    print(TEXT, file=sys.stderr, flush=True)
    print(json.dumps({"text": TEXT}, ensure_ascii=False), flush=True)
    assert streams["stderr"].getvalue().decode(encoding) == f"{shown}\n"
    assert json.loads(streams["stdout"].getvalue().decode(encoding)) == {"text": TEXT}


def test_a_stream_that_has_no_encoding_stays(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    accept_any_text()
    print(TEXT)
    assert sys.stdout.getvalue() == f"{TEXT}\n"
