"""Imports DVC, waits for its turn and runs it: the program that `ahead` starts.

    python in_turn.py FILE ARGUMENT...

Its turn comes when who started it releases FILE, and has written to it; else that process is gone.
"""

import fcntl
import sys
from contextlib import suppress
from pathlib import Path

from dvc.cli import main
from dvc.repo import Repo

if __name__ == "__main__":
    # To read the stages imports the rest. What is wrong with them is DVC's to tell in its turn.
    with suppress(Exception), Repo() as repo:
        repo.index.graph  # noqa: B018
    with Path(sys.argv[1]).open(encoding="utf-8") as turn:
        fcntl.flock(turn, fcntl.LOCK_SH)
        mine = turn.read()
    sys.exit(main(sys.argv[2:]) if mine else 1)
