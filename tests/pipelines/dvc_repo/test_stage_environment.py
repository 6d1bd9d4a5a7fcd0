"""What the code of a commit sees of this process's environment, and what is read of its output."""

import json
from pathlib import Path

import pytest

from pipelines.dvc_repo import remote, repro
from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import PipelineError, StageFailed
from tests.pipelines import done
from tests.pipelines.dvc_repo.test_stages import make

OF_NO_STAGE = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"),
    *("GITHUB_TOKEN", "POSTGRES_PASSWORD", "PGPASSFILE", "DVC_STUDIO_TOKEN", "DOCKER_AUTH_CONFIG"),
)
OF_REMOTES = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL_S3"),
    *("AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK"),
)
OF_STAGES = (
    *("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "NER_TOKEN", "NER_RUNTIME", "https_proxy"),
    *("NO_PROXY", "SSL_CERT_FILE", "LC_ALL", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "PET_NNODES"),
    *("OMP_NUM_THREADS", "LD_LIBRARY_PATH", "DOCKER_HOST", "XDG_RUNTIME_DIR", "DVC_NO_ANALYTICS"),
    *("TORCHINDUCTOR_CACHE_DIR", "PYTORCH_ALLOC_CONF", "HOME", "TMPDIR"),
)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in {*OF_NO_STAGE, *OF_REMOTES, *OF_STAGES} - {"HOME", "NER_RUNTIME"}:
        monkeypatch.setenv(key, str(tmp_path))


def test_what_a_stage_prints_is_read_as_it_wrote_it(project: Path, monkeypatch) -> None:
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # its locale's is ASCII
    for key, value in (other | {"NER_PASS": ",".join(other)}).items():
        monkeypatch.setenv(key, value)
    (project / "stage.py").write_text("print('李明在北京')\nraise SystemExit(1)\n")
    lines: list[str] = []
    with pytest.raises(StageFailed):
        repro.repro(make(project), "download", lines.append)
    assert "李明在北京" in lines


@pytest.mark.usefixtures("full")
def test_a_stage_has_what_it_needs_and_no_password_and_its_lines_no_secret(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "HF_TOKEN": "hf-t0k3n",
        "MLFLOW_TRACKING_PASSWORD": "p4ss(word",  # pragma: allowlist secret
        "NER_TOKEN": "on",
    }
    given |= {"OF_THIS_HOST": "1", "NER_PASS": "OF_THIS_HOST, PREFECT_API_URL"}
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    (project / "stage.py").write_text(
        "import json, os, pathlib, sys\n"
        "pathlib.Path('seen').write_text(json.dumps(list(os.environ)))\n"
        "print('GET http://me:p@ss/w@host/x?token=t0k, hf-t0k3n, p4ss(word, on', flush=True)\n"
        "sys.exit('refused: hf-t0k3n')\n"
    )
    made, lines = make(project), list[str]()
    with pytest.raises(StageFailed) as raised:
        repro.repro(made, "download", lines.append)
    seen = set(json.loads((made / "seen").read_text()))
    assert seen & {*OF_NO_STAGE, *OF_REMOTES} == {"PREFECT_API_URL"}
    assert seen >= {*OF_STAGES, "OF_THIS_HOST", "NER_CHECKPOINTS", "PATH"}
    assert "GET http://***@host/x?token=*** ***, ***, on" in lines
    assert "refused: ***" in lines
    assert "refused: ***" in raised.value.lines


@pytest.mark.usefixtures("full")
def test_keys_of_a_remote_are_for_its_commands_alone() -> None:
    with_keys = dvc_stages.environment(remotes=True).keys()
    assert with_keys >= {*OF_REMOTES}
    assert not with_keys & {*OF_NO_STAGE}
    assert not dvc_stages.environment().keys() & {*OF_REMOTES}


def test_a_variable_to_pass_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_PASS", "HOME,OF_NO_HOST")
    with pytest.raises(PipelineError, match=r"^NER_PASS names OF_NO_HOST, which is not set: "):
        dvc_stages.environment()


def test_a_push_that_fails_says_why_without_a_key(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    (tmp_path / "s3cr3t").write_text("no folder")
    url = f"    url = {tmp_path}/s3cr3t/x\n"
    settings = f"[core]\n    remote = store\n['remote \"store\"']\n{url}"
    (project / ".dvc" / "config.local").write_text(settings)
    made = make(project)
    done.call(made, "repro", "--single-item", "download")
    said = remote.push(made)
    assert said is not None
    assert "Not a directory" in said
    assert f"{tmp_path}/***/x" in said
    assert "s3cr3t" not in said
