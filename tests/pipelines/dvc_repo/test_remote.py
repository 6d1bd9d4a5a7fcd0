"""The DVC remote: after a run a second clone has all of it and trains nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipelines.dvc_repo import remote
from pipelines.maintenance.bring import bring
from pipelines.workspaces.workspace import Workspace
from tests.pipelines import done, standin

AWAY = "http://127.0.0.1:9"  # where nothing listens


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace]:
    """A project with a run whose dvc.lock was brought home and committed."""
    project = standin.project(tmp_path_factory.mktemp("remote") / "project")
    made = done.run(project, log=False)
    bring(project, made.run_id, with_params=False)
    standin.commit(project)
    return project, made


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """DVC's settings of a remote in a real S3 server on loopback."""
    pytest.importorskip("dvc_s3", reason="dvc-s3 and moto[server] come with the group `dev`")
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # What it stores is the process's, not the server's: an earlier test's would still be there.
    httpx.post(f"{url}/moto-api/reset", trust_env=False).raise_for_status()
    httpx.put(f"{url}/bucket", trust_env=False).raise_for_status()
    yield (
        f"    url = s3://bucket/ner\n    endpointurl = {url}\n"
        "    access_key_id = test\n    secret_access_key = test\n    region = us-east-1\n"
    )
    server.stop()


def set_remote(folder: Path, settings: str) -> None:
    config = f"[core]\n    remote = store\n    no_scm = true\n['remote \"store\"']\n{settings}"
    with (folder / ".dvc" / "config.local").open("a") as file:
        file.write(config)


def push(made: Workspace, settings: str) -> None:
    local = (made.path / ".dvc" / "config.local").read_text()
    try:
        done.call(made.path, "config", "--local", "core.remote", "store")
        (made.path / ".dvc" / "config").write_text(f"['remote \"store\"']\n{settings}")
        assert remote.push(made.path) is None
    finally:
        (made.path / ".dvc" / "config.local").write_text(local)


# S3 takes 9 s, its server and client; what is ours is the same for a folder.
@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_second_clone_pulls_and_evaluates_without_training(
    ready, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project, made = ready
    settings = (
        request.getfixturevalue("s3") if kind == "s3" else f"    url = {tmp_path / 'store'}\n"
    )
    push(made, settings)
    second = tmp_path / "second"
    standin.git(tmp_path, "clone", "--quiet", str(project), str(second))
    set_remote(second, settings)
    done.call(second, "pull", "--run-cache")
    assert (second / "models" / "ner" / "weights").read_text() == "0.0002"
    assert "Running stage" not in done.repro(second)
    params = second / "params.yaml"
    params.write_text(params.read_text().replace("errors: 200", "errors: 100"))
    said = done.repro(second)
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'evaluate':"
    ]


def test_without_a_default_remote_nothing_is_pushed_or_pulled(ready) -> None:
    assert remote.push(ready[1].path) is None
    assert remote.pull(ready[1].path) is None


@pytest.fixture(scope="module")
def another(ready, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DVC remote `store`, of the run, and another machine's clone `second`."""
    project, made = ready
    folder = tmp_path_factory.mktemp("another")
    push(made, f"    url = {folder / 'store'}\n")
    standin.git(folder, "clone", "--quiet", str(project), str(folder / "second"))
    (folder / "second" / "dvc.lock").unlink()
    set_remote(folder / "second", "    url = ../../store\n")
    return folder


@pytest.fixture
def pushed(another: Path, tmp_path: Path) -> Path:
    """A copy of that clone, beside a copy of that remote."""
    return Path(shutil.copytree(another, tmp_path / "here")) / "second"


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("errors: 200", "errors: 100", ["evaluate"]),
        ("epochs: 10", "epochs: 9", ["train", "evaluate", "export"]),
    ],
)
def test_what_another_machine_ran_is_pulled_and_the_rest_runs(pushed, old, new, stages) -> None:
    params = pushed / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace(old, new, 1))
    assert params.read_text() != text
    assert remote.pull(pushed) is None
    ran = [line for line in done.repro(pushed).splitlines() if line.startswith("Running stage")]
    assert ran == [f"Running stage '{stage}':" for stage in stages]


def test_a_tampered_remote_writes_nothing_outside(pushed: Path) -> None:
    for listing in (pushed.parent / "store/files/md5").glob("*/*.dir"):
        listing.chmod(0o644)
        listing.write_text(listing.read_text().replace('"relpath": "', '"relpath": "../../../'))
    said = remote.pull(pushed)
    assert said is not None
    assert "outside its folder" in said
    assert not [*pushed.parent.rglob("weights")]


@pytest.mark.slow  # DVC tries for seven seconds
def test_a_remote_that_is_away_is_a_sentence(pushed: Path, monkeypatch) -> None:
    pytest.importorskip("dvc_s3", reason="dvc-s3 comes with the group `dev`")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    config = pushed / ".dvc/config.local"
    config.write_text(config.read_text().replace("../../store", "s3://bucket/ner"))
    done.call(pushed, "remote", "modify", "--local", "store", "endpointurl", AWAY)
    for name in ("access_key_id", "secret_access_key"):
        done.call(pushed, "remote", "modify", "--local", "store", name, "test")
    said = remote.pull(pushed)
    assert said is not None
    assert said.startswith("Not all that the DVC remote store may have was pulled (ERROR: ")
    assert AWAY in said
