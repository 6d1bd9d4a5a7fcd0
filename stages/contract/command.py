"""Runs a stage from the command line: `python -m stages.NAME`."""

import argparse
import gc
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from stages.contract.disk import full_disk
from stages.contract.errors import StageError
from stages.contract.outs import whole
from stages.contract.section import Section, read
from stages.contract.terminal import accept_any_text

S = TypeVar("S", bound=Section)


def command(section: type[S], stage: Callable[[S], dict[str, Any] | None], about: str) -> None:
    """Runs `stage` with its section of ./params.yaml, in the current folder.

    What it returns is measured, not determined by the inputs, so it goes to `.measured/NAME.json`
    and into no out; None is not written. A `StageError` ends the process with status 1 and its
    message.
    """
    gc.freeze()  # what was imported stays; then what `stages` switched off for the imports
    gc.enable()
    accept_any_text()
    name = section.__name__.lower()
    parser = argparse.ArgumentParser(prog=f"python -m stages.{name}", description=about)
    parser.parse_args()
    # SIGTERM unwinds the stack as Ctrl-C does, so that half-written outs are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = time.monotonic()
    try:
        measured = stage(read(section))
    except StageError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:  # outside the outs, such as in a temporary folder
        if full := full_disk(error, Path(error.filename or ".")):
            sys.exit(f"{name}: {full}, and run again")
        raise
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if measured is None:
        return
    measured = {
        "seconds": round(time.monotonic() - started, 3),
        "host": platform.node(),
        "python": platform.python_version(),
        **measured,
    }
    if image := os.environ.get("NER_IMAGE"):  # set by docker/run
        measured["image"] = image
    with whole(Path(".measured", f"{name}.json")) as [path]:
        path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
