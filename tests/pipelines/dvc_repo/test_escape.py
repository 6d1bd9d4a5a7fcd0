"""Lists of DVC's that lead out of their folder, and files that are not what their hash says."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.dvc_repo import cache
from pipelines.errors import PipelineError
from pipelines.workspaces import run_state, workspace
from tests.pipelines import done, standin

STAGE = """\
stages:
  download: {cmd: mkdir -p data/raw && echo raw > data/raw/a, outs: [data/raw]}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run whose out is a folder."""
    project = standin.project(tmp_path_factory.mktemp("escape") / "project")
    (project / "dvc.yaml").write_text(STAGE)
    done.repro(workspace.create(project, [], dirty=True).path)
    return project


@pytest.fixture
def project(ready: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "project", symlinks=True))


@pytest.fixture
def listed(project: Path) -> Path:
    """The list of that folder in the cache."""
    [made] = workspace.all_of(project)
    lock = yaml.safe_load((made / "dvc.lock").read_text())
    md5 = lock["stages"]["download"]["outs"][0]["md5"]
    return cache.object_path(project, md5)


def tamper(path: Path, relpath: str) -> None:
    files = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps([*files, {"md5": files[0]["md5"], "relpath": relpath}]))


def test_dvc_itself_writes_outside(listed: Path, project: Path) -> None:
    """Once this fails, DVC looks itself, and `require_within` can go."""
    tamper(listed, "../../../evil")
    [before] = workspace.all_of(project)
    made = workspace.create(project, [], dirty=True).path
    shutil.copy(before / "dvc.lock", made)
    done.call(made, "checkout", "--quiet", "--force")
    assert (made.parent / "evil").exists()


@pytest.mark.parametrize("relpath", ["../../../evil", "x/../../evil", "/tmp/evil"])  # noqa: S108
def test_such_a_list_is_refused(listed: Path, project: Path, relpath: str) -> None:
    cache.require_within(project)
    tamper(listed, relpath)
    with pytest.raises(PipelineError, match=f"^{listed} would write {relpath} outside its fol"):
        cache.require_within(project)


def test_a_run_does_not_begin_with_such_a_cache(listed: Path, project: Path, run) -> None:
    tamper(listed, "../evil")
    ended = run(project, dirty=True, force=True)
    assert ended.is_failed()
    assert ended.message.startswith(f"{listed} would write ../evil outside")
    assert run_state.word(workspace.all_of(project)[0]) == "failed"


@pytest.mark.parametrize("content", ["", "{}", '[{"md5": "1"}]', "[1]"])
def test_a_list_that_is_none_is_said(listed: Path, project: Path, content: str) -> None:
    listed.chmod(0o644)
    listed.write_text(content)
    if content == "{}":
        cache.require_within(project)  # an empty one leads nowhere
        return
    with pytest.raises(PipelineError, match=r"is not a file list of DVC: delete it"):
        cache.require_within(project)


def test_a_folder_is_whole_if_each_file_has_its_hash(listed: Path, project: Path) -> None:
    md5 = listed.parent.name + listed.name
    cache.require_whole(project, md5)
    [file] = json.loads(listed.read_text())
    content = cache.object_path(project, file["md5"])
    content.chmod(0o644)
    content.write_text("other")
    found = hashlib.md5(b"other").hexdigest()  # noqa: S324
    with pytest.raises(PipelineError, match=f"was changed, its MD5 is now {found}: restore"):
        cache.require_whole(project, md5)
    tamper(listed, "../evil")
    with pytest.raises(PipelineError, match=f"{listed.name} was changed"):
        cache.require_whole(project, md5)
