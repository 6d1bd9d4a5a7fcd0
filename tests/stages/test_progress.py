import os
import termios
import time

from stages import progress as module
from stages.progress import progress


def test_lines_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module, "LINE_EVERY_S", 1e-9)
    with progress(3000, "train", " steps") as bar:
        bar.update(1000)
        bar.set_postfix(loss=0.5)
        bar.update(1000)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1].startswith("train:  67% 2.00k/3.00k [00:00<00:00,")
    assert lines[-1].endswith("steps/s, loss=0.5]")
    assert all(line.startswith("train: ") for line in lines)
    assert "\r" not in printed.err
    assert printed.err.endswith("\n")


def test_short_work_prints_nothing(capsys):
    with progress(3, "align", " sentences") as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_not_a_line_more_often_than_that(monkeypatch, capsys):
    monkeypatch.setattr(module, "LINE_EVERY_S", 0.2)
    started = time.monotonic()
    with progress(10**9, "train", " steps") as bar:
        while time.monotonic() < started + 1:
            bar.update(1)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6


def test_a_bar_on_a_terminal(monkeypatch):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with open(theirs, "w", encoding="utf-8") as stderr:  # noqa: PTH123
        monkeypatch.setattr("sys.stderr", stderr)
        with progress(2, "align", " sentences") as bar:
            bar.update(2)
        shown = ""
        while not shown.endswith("\n"):  # a read gives one write of the other side
            shown += os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.startswith("\ralign:   0%|")
    assert "\ralign: 100%|█" in shown
    assert shown.count("\n") == 1
