import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from stages.contract import outs
from stages.contract.outs import whole
from tests.conftest import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files():
    """Everything below the present folder, by path; a folder ends in a slash."""
    return {
        f"{path}/" if path.is_dir() else str(path): None if path.is_dir() else path.read_text()
        for path in sorted(Path().rglob("*"))
    }


def write(folder, file, text):
    folder.mkdir()
    (folder / "inside").write_text(text)
    file.write_text(text)


def replace(text, then=None):
    """Replaces both outs; `then` is raised before the end."""
    with whole(*PATHS) as [folder, file]:
        write(folder, file, text)
        if then:
            raise then


OLD = {"data/": None, "data/out/": None, "data/out/inside": "old", "report": "old"}
NEW = {**OLD, "data/out/inside": "new", "report": "new"}
PATHS = Path("data/out"), Path("report")


def test_makes_file_and_folder(here):
    with whole(Path("deep/er/folder"), Path("file")) as [folder, file]:
        assert not folder.exists()
        assert not file.exists()
        write(folder, file, "new")
        assert set(files()) == {
            "deep/",
            "deep/er/",
            "deep/er/.folder.partial/",
            "deep/er/.folder.partial/inside",
            ".file.partial",
        }
    assert files() == {
        "deep/": None,
        "deep/er/": None,
        "deep/er/folder/": None,
        "deep/er/folder/inside": "new",
        "file": "new",
    }


def test_replaces_both(here):
    replace("old")
    assert files() == OLD
    replace("new")
    assert files() == NEW


def test_a_file_where_a_folder_was_and_the_reverse(here):
    replace("old")
    with whole(*reversed(PATHS)) as [folder, file]:
        write(folder, file, "new")
    assert files() == {"data/": None, "data/out": "new", "report/": None, "report/inside": "new"}


def test_a_link_is_replaced_and_what_it_names_is_not(here):
    Path("cache").mkdir()
    Path("cache/folder").mkdir()
    Path("cache/file").write_text("cached")
    Path("data").mkdir()
    PATHS[0].symlink_to("../cache/folder")
    PATHS[1].symlink_to("cache/file")
    with whole(*PATHS) as [folder, file]:
        write(folder, file, "new")
    assert files() == NEW | {"cache/": None, "cache/folder/": None, "cache/file": "cached"}
    assert not any(path.is_symlink() for path in PATHS)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_keeps_what_was_there(here, error):
    replace("old")
    with pytest.raises(error):
        replace("new", then=error)
    assert files() == OLD


@pytest.mark.parametrize("made", [[0], [1], []])
def test_an_out_that_was_not_made(here, made):
    def half():
        with whole(*PATHS) as paths:
            for index in made:
                paths[index].touch()

    replace("old")
    with pytest.raises(FileNotFoundError):
        half()
    assert files() == OLD


@pytest.mark.parametrize("before", [OLD, {}])
def test_an_interrupt_at_any_line(tmp_path, monkeypatch, before):
    """All is old or all is new, whenever it comes; and the next run tidies up."""
    seen = set()
    for line in count():
        place = tmp_path / str(line)
        place.mkdir()
        monkeypatch.chdir(place)
        if before:
            replace("old")
        interrupted = _interrupted_at(line)
        now = {path: text for path, text in files().items() if "/." not in f"/{path}"}
        now.pop("data/", None)
        assert now in [{k: v for k, v in state.items() if k != "data/"} for state in (before, NEW)]
        seen.add("data/out/inside" in now and now["data/out/inside"])
        if not interrupted:
            break
        replace("new")
        assert files() == NEW
    assert line > 20
    assert seen == {"old" if before else False, "new"}


def _interrupted_at(line):
    """Replaces both outs; Ctrl-C comes at the `line`th line of outs.py that runs."""
    left = line

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != outs.__file__:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    try:
        with whole(*PATHS) as [folder, file]:
            write(folder, file, "new")
            sys.settrace(trace)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
    return False


def test_a_killed_run_leaves_nothing_to_the_next(here):
    code = """
import os, signal
from pathlib import Path
from stages.contract.outs import whole
with whole(Path("data/out"), Path("report")) as [folder, file]:
    folder.mkdir()
    (folder / "half").write_text("half")
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert "data/.out.partial/half" in files()
    # What a run that is killed between two renames leaves.
    Path("data/.out.former").mkdir()
    Path(".report.former").write_text("old")
    replace("new")
    assert files() == NEW
