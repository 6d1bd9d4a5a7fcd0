"""Lets a process read and print any text, whatever the locale and the terminal."""

import codecs
import io
import json
import os
import sys

ESCAPE = "json_escape"


def accept_any_text() -> None:
    r"""Makes stdout and stderr write what their encoding lacks as in JSON: `\u5317`.

    Else a GBK terminal stops at an emoji, and ASCII, as in cron, at any Chinese character. Lines of
    JSON stay valid.

    Where Python takes even file names and arguments for ASCII, the process is started again in
    Python's UTF-8 mode.
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        encoding = os.environ.get("PYTHONIOENCODING") or sys.stdout.encoding
        env = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], env)  # noqa: S606
    codecs.register_error(ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
