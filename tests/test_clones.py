"""Clones in other surroundings give the same bytes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.clone import clone, commit
from tests.support.nobody import NOBODY, as_nobody

ONE = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "umask": "022"}
# No UTF-8 anywhere: Python would else make its own of the locale C.
OTHER = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LANG": "tr_TR.UTF-8"}
OTHER |= {"TZ": "Pacific/Kiritimati", "umask": "077", "PYTHONHASHSEED": "7"}


@pytest.fixture
def folder():
    """One that any user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="clones-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.slow  # the sample job twice
def test_other_path_user_locale_time_zone_and_umask_give_the_same_dvc_lock(folder: Path) -> None:
    one, other = clone(folder / "one"), clone(folder / "an other" / "two")
    become = as_nobody("+dac_override,+dac_read_search")
    if become:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder / "an other"], check=True)
    repro(one, ONE)
    repro(other, OTHER, become)
    assert (one / "dvc.lock").read_text() == (other / "dvc.lock").read_text()
    assert (one / "models/onnx/model.onnx").stat().st_mode & 0o777 == 0o644
    owner = (other / "models/onnx").stat().st_uid
    assert owner == (NOBODY if become else os.getuid())


def repro(folder: Path, env: dict[str, str], become: Sequence[str] = ()) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept |= {"PATH": path, "HOME": str(folder), "NER_RUNTIME": "local"}
    job = f"umask {env['umask']}; exec {sys.executable} -m dvc repro"
    command = [*become, "sh", "-c", job]
    done = subprocess.run(command, cwd=folder, env=kept | env, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def test_a_users_line_endings_change_no_byte(tmp_path: Path) -> None:
    one, other = clone(tmp_path / "one"), tmp_path / "other"
    settings = ["-c", "core.autocrlf=true"]
    for path in (".gitattributes", "docker/run", "stages/align.py", "samples/corpus/test.txt"):
        commit(one, *settings, "add", path)
    commit(one, "commit", "--quiet", "--message", "some of it")
    commit(tmp_path, *settings, "clone", "--quiet", str(one), str(other))
    names = [path.relative_to(other) for path in other.rglob("*") if ".git" not in path.parts]
    files = [name for name in names if (other / name).is_file()]
    assert len(files) == 4
    assert {name: (one / name).read_bytes() for name in files} == {
        name: (other / name).read_bytes() for name in files
    }
    assert b"\r\n" not in (other / "docker/run").read_bytes()
