"""Starts the command line: `python -m pipelines`."""

import atexit
import gc
import sys

# Before the imports, which make many objects and no garbage: 6 % less CPU time for a run with
# nothing to do.
gc.set_threshold(100_000)
# Registered first, so called last: to look for garbage at the end takes a run a second and a half.
atexit.register(gc.freeze)

try:
    from pipelines.cli.app import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"{sys.executable} has no package {missing.name}: use the environment's Python,"
        " .venv/bin/python; `make environment` creates it"
    )

if __name__ == "__main__":
    sys.exit(main())
