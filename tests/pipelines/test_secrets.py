"""No secret is written or printed, whatever it was given by."""

import os
from pathlib import Path

import pytest
import yaml

from pipelines.errors import PipelineError
from pipelines.tracking import connection
from pipelines.workspaces import workspace
from pipelines.workspaces.git import run as git
from tests.conftest import ROOT
from tests.pipelines import standin
from tests.pipelines.mlflow_server import prepare, serving
from tests.support.mirror import Mirror

TOKEN, KEY, PASSWORD, HUB = "t0k3n-of-a-url", "s3cr3t-of-s3", "p4ssw0rd-of-mlflow", "hf-t0k3n"
SECRETS = [secret.encode() for secret in (TOKEN, KEY, PASSWORD, HUB)]
REMOTE = f"""\
['remote "store"']
    url = s3://no-such-bucket/dvc
    endpointurl = http://127.0.0.1:9
    access_key_id = somebody
    secret_access_key = {KEY}
[core]
    remote = store
"""


@pytest.fixture
def fetching(project: Path, mirror: Mirror) -> Path:
    """A stand-in whose download is the real one, of a source behind a token."""
    dvc_yaml = yaml.safe_load((project / "dvc.yaml").read_text())
    fetch = dvc_yaml["stages"]["download"]
    fetch |= {"cmd": "python -m stages.download", "deps": ["stages/download.py"]}
    fetch["outs"] = ["data/corpus", "data/encoder"]
    dvc_yaml["stages"]["align"]["deps"] = ["stage.py", "data/corpus"]
    (project / "dvc.yaml").write_text(yaml.safe_dump(dvc_yaml))
    params = yaml.safe_load((project / "params.yaml").read_text())
    sample = yaml.safe_load((ROOT / "samples" / "params.yaml").read_text())["download"]
    for split in ("train", "test"):
        mirror.put(f"/{split}", (ROOT / "samples" / "corpus" / f"{split}.txt").read_bytes())
        source = f"$NER_SOURCE/{split}?token=$NER_TOKEN"
        params["download"][split] = sample[split] | {"sources": [source]}
    params["download"]["encoder"] |= sample["encoder"] | {"folder": str(ROOT / "samples/encoder")}
    params["download"]["attempts"] = 1
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    standin.commit(project)
    (project / ".dvc" / "config.local").write_text(REMOTE)
    return project


@pytest.mark.timeout(600)
@pytest.mark.slow  # an MLflow and three Prefect servers
def test_nothing_that_is_written_or_printed_has_one(
    fetching: Path, mirror: Mirror, empty_mlflow: Path, tmp_path: Path
) -> None:
    url = prepare(tmp_path / "mlflow", empty_mlflow)
    at, with_login = mirror.url.split("//")[1], url.replace("//", f"//trainer:{PASSWORD}@")
    given = {
        "NER_SOURCE": f"http://me:{TOKEN}@{at}", "NER_TOKEN": TOKEN, "HF_TOKEN": HUB,
        "AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": KEY, "no_proxy": "127.0.0.1",
        "MLFLOW_TRACKING_URI": with_login, "NER_RUNTIME": "local",
    }  # fmt: skip
    said = []
    with serving(tmp_path / "mlflow", url):
        good = standin.pipelines(fetching, "run", **given)
        assert good.returncode == 0, good.stderr
        assert "The outs were not pushed to the DVC remote store" in good.stdout
        mirror.replies.clear()
        gone = {"download": {"licence": "another"}}
        (tmp_path / "gone.yaml").write_text(yaml.safe_dump(gone))
        overlay = ("--params", str(tmp_path / "gone.yaml"))
        failed = standin.pipelines(fetching, "run", *overlay, **given)
        assert "answered 404" in failed.stderr
        said += [good, failed, standin.pipelines(fetching, "status", **given)]
    away = standin.pipelines(fetching, "run", **given)
    assert f"MLflow at {url} cannot be used" in away.stderr
    printed = [text for done in [*said, away] for text in (done.stdout, done.stderr)]
    assert [text for text in printed if any(s.decode() in text for s in SECRETS)] == []
    kept = workspace.all_of(fetching)
    assert len(kept) == 3
    theirs = [fetching / ".dvc" / "config.local"]
    theirs += [path / ".dvc" / "config.local" for path in kept]  # for the owner's eyes alone
    assert [path.stat().st_mode & 0o777 for path in theirs[1:]] == [0o600] * 3
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path not in theirs]
    names = {path.name for path in written}
    assert {"server.db", "prefect.db", "params.yaml", "log", "checksums.sha256"} <= names
    found = [path for path in written if any(s in path.read_bytes() for s in SECRETS)]
    assert found == []


def test_a_login_in_mlflows_address_goes_where_mlflow_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = "me:p%40ss"
    monkeypatch.setenv(connection.USER, "")
    monkeypatch.setenv(connection.PASSWORD, "")
    monkeypatch.setenv(connection.URI, f"https://{login}@ml.example.org:5000/x")
    assert connection.uri(tmp_path) == "https://ml.example.org:5000/x" == os.environ[connection.URI]
    assert (os.environ[connection.USER], os.environ[connection.PASSWORD]) == ("me", "p@ss")
    monkeypatch.setenv(connection.URI, f"postgresql://{login}@db.example.org/mlflow")
    assert connection.uri(tmp_path) == f"postgresql://{login}@db.example.org/mlflow"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "MLflow at postgresql://p4ss@db/mlflow is away",
            "MLflow at postgresql://***@db/mlflow is away",
        ),
        ("http://127.0.0.1:5000/a@b is good", "http://127.0.0.1:5000/a@b is good"),
        ("mail me@example.org", "mail me@example.org"),
        ("http://u:p@ss@host/x", "http://***@host/x"),
        ("http://u:p/w@host:80/x", "http://***@host:80/x"),
        ("http://u:1/w?x#y@host", "http://***@host"),
        ("'s3://u:p@ss/@a.b:1' and http://v:w@c", "'s3://***@a.b:1' and http://***@c"),
        ("http://h/a,https://u:p@c/d", "http://h/a,https://***@c/d"),
        ("http://localhost:1/a?u=b@c", "http://localhost:1/a?u=b@c"),
        ("http://[::1]:1/a@b s3://bucket/a@b", "http://[::1]:1/a@b s3://bucket/a@b"),
        ("'https://h/x?a=1&access_token=t0k&b=2'", "'https://h/x?a=1&access_token=***&b=2'"),
        (
            "https://h/x?X-Amz-Signature=ab&sig=c%2F&n=1",
            "https://h/x?X-Amz-Signature=***&sig=***&n=1",
        ),
        ("$NER_SOURCE/x?token=$NER_TOKEN: gone", "$NER_SOURCE/x?token=$NER_TOKEN: gone"),
        ("http://h/monkey?monkey=1", "http://h/monkey?monkey=1"),
    ],
)
def test_no_error_repeats_a_password(said: str, shown: str) -> None:
    assert str(PipelineError(said)) == shown


def test_git_says_no_password_of_a_remote(project: Path) -> None:
    address = f"http://me:{PASSWORD}@127.0.0.1:{standin.closed_port()}/project.git"
    standin.git(project, "remote", "add", "origin", address)
    with pytest.raises(PipelineError) as error:
        git(project, "fetch", "--quiet", "origin")
    assert "127.0.0.1" in str(error.value)
    assert PASSWORD not in str(error.value)
