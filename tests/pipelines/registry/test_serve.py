"""MLflow's own server, `mlflow models serve`, with the tiny model, over HTTP."""

import signal
from concurrent.futures import ThreadPoolExecutor

import mlflow
import psutil
import pytest

from pipelines.tracking import connection
from stages.onnx_export.session import has_cuda
from tests.pipelines import served
from tests.pipelines.served import CHAMPION, FORMS, Server


@pytest.fixture(scope="module")
def server(registered, tmp_path_factory):
    made = Server(registered, tmp_path_factory.mktemp("served") / "log", command=served.mlflow())
    try:
        yield made.ready()
    finally:
        made.stop(signal.SIGTERM)
    assert "Traceback" not in made.log.read_text()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_request_gives_the_same(server, expected, form):
    rows = server.rows(form(list(expected)))
    assert [row["error"] for row in rows] == [None] * len(expected)
    found = [[(e["type"], e["start"], e["end"]) for e in row["entities"]] for row in rows]
    assert found == list(expected.values())


def test_eight_clients_at_once_get_their_own_answers(server, expected):
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: server.rows({"inputs": [text]}), [*expected] * 3))
    found = [[(e["type"], e["start"], e["end"]) for e in row["entities"]] for [row] in rows]
    assert found == [*expected.values()] * 3


def test_loading_the_model_changes_nothing_of_mlflow(registered):
    connection.connect(registered)
    before = vars(mlflow.pyfunc.scoring_server).copy()
    mlflow.pyfunc.load_model(CHAMPION)
    assert vars(mlflow.pyfunc.scoring_server) == before


def test_the_signature_says_what_comes_out(registered):
    connection.connect(registered)
    info = mlflow.models.get_model_info(CHAMPION)
    assert info.signature.outputs.input_names() == ["entities", "error", "provider"]
    assert info.saved_input_example_info["artifact_path"] == "input_example.json"


@pytest.mark.slow  # so that all others end within eight minutes
def test_a_killed_server_leaves_no_process(registered, tmp_path):
    serving = Server(registered, tmp_path / "log", command=served.mlflow()).ready()
    assert psutil.Process(serving.process.pid).children(recursive=True)
    serving.stop(signal.SIGKILL)


@pytest.mark.slow  # 8 s, and test_predict.py asks the same of `predict`
@pytest.mark.skipif(has_cuda(), reason="there is a GPU")
def test_required_cuda_is_not_replaced_by_the_cpu(registered, tmp_path):
    serving = Server(registered, tmp_path / "log", command=served.mlflow(), NER_REQUIRE_CUDA="1")
    assert serving.process.wait(120) == 1
    said = serving.log.read_text()
    assert said.count("NER_REQUIRE_CUDA is set and ONNX Runtime offers CPUExecutionProvider") == 1
