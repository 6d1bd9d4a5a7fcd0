import os
import re
import termios
import time

import pytest

import stages.contract.progress
from stages.contract.progress import progress

EVERY_S = 0.1


@pytest.fixture
def lines(monkeypatch, capsys):
    monkeypatch.setattr(stages.contract.progress, "LINE_EVERY_S", EVERY_S)

    def lines():
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err.splitlines()

    return lines


def done(line):
    return int(
        re.fullmatch(r"fetch: +\d+% (\d+)(\.\d+)?/100 \[00:0\d<\S+, +\S+ files/s\]", line)[1]
    )


def test_work_that_is_soon_done_prints_nothing(lines):
    with progress(100, "fetch", " files") as bar:
        bar.update(100)
    assert lines() == []


def test_not_shown_it_prints_nothing_and_takes_all_that_one_calls(lines):
    with progress(100, "fetch", " files", shown=False) as bar:
        for _ in range(3):
            time.sleep(EVERY_S)
            bar.update(10)
        bar.set_postfix(refresh=False, loss="1")
    assert lines() == []


def test_a_line_every_so_often_and_one_at_the_end(lines):
    started = time.monotonic()
    with progress(100, "fetch", " files") as bar:
        while bar.n < 90:  # fast, then slow, then nothing: tqdm adapts, the lines must not
            bar.update(1)
            time.sleep(0.001 if bar.n < 60 else 0.02)
        bar.update(10)
    seconds = time.monotonic() - started
    counts = [done(line) for line in lines()]
    assert counts[-1] == 100
    assert counts == sorted(set(counts))
    assert 3 <= len(counts) <= seconds / EVERY_S + 1


def test_the_end_is_not_repeated(lines):
    with progress(100, "fetch", " files") as bar:
        time.sleep(2 * EVERY_S)
        bar.update(100)
    assert [done(line) for line in lines()] == [100]


def test_no_unit_done_is_a_sign_of_life(lines):
    with progress(100, "fetch", " files") as bar:
        bar.update(1)
        time.sleep(2 * EVERY_S)
        bar.update(0)
        assert [done(line) for line in lines()] == [1]


def test_what_ends_early_keeps_its_place(lines):
    with pytest.raises(ValueError, match="broken"), progress(100, "fetch", " files") as bar:  # noqa: PT012
        time.sleep(2 * EVERY_S)
        bar.update(7)
        bar.update(3)
        raise ValueError("broken")
    assert [done(line) for line in lines()] == [7, 10]


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


def test_a_reader_that_passes_bars_on_gets_them_in_its_width_and_a_line(monkeypatch, capsys):
    monkeypatch.setenv("NER_BAR", "40")
    monkeypatch.setattr(stages.contract.progress, "LINE_EVERY_S", EVERY_S)
    with progress(3, "fetch", " files") as bar:
        for _ in range(3):
            time.sleep(EVERY_S)
            bar.update()
    *bars, end = capsys.readouterr().err.split("\r")[1:]
    assert len(bars) > 1
    assert all(len(bar.rstrip()) <= 40 and "\n" not in bar for bar in bars)
    assert re.fullmatch(r"fetch: 100% 3\.00/3\.00 \[.*\]\s*\n", end)
