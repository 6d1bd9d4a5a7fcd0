"""The image that serves: the champion of a real MLflow server, as nobody, on a read-only root."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError

import mlflow
import pytest

from pipelines.tracking import connection
from stages.serving.tagger import Tagger
from tests.conftest import ROOT
from tests.docker.conftest import call, image_of
from tests.invented import text_of
from tests.pipelines import mlflow_server
from tests.pipelines.champion import register
from tests.pipelines.served import Server
from tests.pipelines.serving.test_addresses import asked
from tests.pipelines.workspaces.test_process_group import wait_for

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]
KEY = "of the callers, not of MLflow"
# As docs/image.md has them with Docker, whose tmpfs is noexec; and on the network of the host, on
# whose loopback MLflow's server is.
SAFE = ["--init", "--read-only", "--tmpfs", "/tmp:noexec", "--cap-drop", "ALL"]  # noqa: S108
SAFE += ["--security-opt", "no-new-privileges", "--network", "host"]
Start = Callable[..., Server]


@pytest.fixture(scope="module")
def image(engine: str) -> str:
    return image_of("serve", engine)


@pytest.fixture(scope="module")
def url(tiny, empty_mlflow, tmp_path_factory) -> Iterator[str]:
    """The address of an MLflow server in which the tiny model is the champion."""
    folder = tmp_path_factory.mktemp("registry")
    url = mlflow_server.prepare(folder, empty_mlflow)
    project = folder / "project"
    project.mkdir()
    with mlflow_server.serving(folder, url), pytest.MonkeyPatch.context() as patch:
        patch.setenv(connection.URI, url)
        register(project, tiny.onnx, [tiny.report("predictions.jsonl")])
        yield url


@pytest.fixture
def start(engine: str, image: str, url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts the image's own command with more options, in a container `tmp_path.name`."""
    [inspected] = json.loads(call(engine, "image", "inspect", image)[1])

    def start(*options: str, **env: str) -> Server:
        command = [engine, "run", "--rm", "--name", tmp_path.name, *SAFE]
        command += ["--volume", f"{ROOT}:/workspace:ro", "--volume", f"{tmp_path}:/run/secrets:ro"]
        for name in ("MLFLOW_TRACKING_URI", *env):
            command += ["--env", name]
        command += [image, *inspected["Config"]["Cmd"]]
        env["MLFLOW_TRACKING_URI"] = url
        return Server(ROOT, tmp_path / "log", *options, command=command, **env)

    yield start
    call(engine, "rm", "--force", tmp_path.name)


def test_it_serves_the_champion_as_nobody_on_a_read_only_root(start, engine, tiny, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "key").write_text(KEY)
    server = start("--api-key-file", "/run/secrets/key").ready()
    assert (server.get("/ping"), server.get("/health")) == ("\n", "\n")
    for path in ("/version", "/metrics"):
        with pytest.raises(HTTPError, match="401"):
            server.get(path)
    assert server.post({"inputs": ["北京"]})[0] == 401
    server.headers = {"Authorization": f"Bearer {KEY}"}
    assert server.get("/version") == mlflow.__version__
    texts = [text_of(sentence) for sentence in tiny.test[2:10]]
    expected = Tagger(tiny.onnx, cpu_threads=1)(texts)
    assert sum(map(len, expected)) > 4
    rows = server.rows({"inputs": texts})
    assert [[(e["type"], e["start"], e["end"]) for e in row["entities"]] for row in rows] == [
        [(e.type, e.start, e.end) for e in row] for row in expected
    ]
    assert {row["provider"] for row in rows} == {"CPUExecutionProvider"}
    status, answer, _ = asked(server, {"text": texts[0]}, **server.headers)
    assert (status, answer["version"]) == (200, "1")
    assert answer["entities"] == rows[0]["entities"]
    assert server.metric('ner_texts_total{result="ok"}') == len(texts) + 1

    def inside(*command: str) -> tuple[int, str, str]:
        return call(engine, "exec", tmp_path.name, *command)

    assert inside("id", "-u") == (0, "10001\n", "")
    assert inside("touch", "/workspace/new", "/opt/ner/new", "/etc/new")[0] == 1
    assert inside("python", "/etc/ner/healthcheck.py") == (0, "", "")
    assert server.stop() == 0
    assert server.events()[-1]["event"] == "ended"
    assert "Traceback" not in server.log.read_text()


def test_what_it_took_is_answered_before_it_ends(start, engine, tiny, tmp_path):
    server = start().ready()
    text = text_of(tiny.test[2]) * 3_000
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.rows, {"inputs": [text]})
        wait_for(lambda: server.metric("ner_requests_open") == 1, "the text is taken", 30)
        assert call(engine, "stop", "--time", "70", tmp_path.name)[0] == 0
        [row] = long.result()
    assert row["error"] is None
    assert server.process.wait(30) == 0


def test_without_the_gpu_that_it_must_have_it_does_not_serve(start):
    server = start(NER_REQUIRE_CUDA="1")
    assert server.process.wait(120) == 1
    assert "NER_REQUIRE_CUDA is set and ONNX Runtime offers CPU" in server.log.read_text()


def test_health_is_bad_where_nothing_answers(image, engine):
    check = ["sh", "-c", "python /etc/ner/healthcheck.py; exit $?", "serve"]
    assert call(engine, "run", "--rm", image, *check)[0] == 1


def test_without_the_project_it_says_how_to_mount_it(image, engine):
    code, printed, said = call(engine, "run", "--rm", image)
    assert (code, printed) == (1, "")
    mount = '-v "$PWD:/workspace:ro"'
    assert said.endswith(f"/workspace has no project: mount the checkout there, {mount}\n")
