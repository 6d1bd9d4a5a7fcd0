"""The tiny model, served by `python -m pipelines serve`."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines.names import MODEL
from pipelines.registry import claim
from pipelines.registry.registry import Registry
from pipelines.tracking import connection
from stages.serving.tagger import Tagger
from tests.invented import text_of
from tests.pipelines import mlflow_server
from tests.pipelines.champion import register
from tests.pipelines.served import Server
from tests.pipelines.serving.followed import SECRET, WEBHOOKS, Followed, log_version, newer, sure
from tests.tiny import Tiny


@pytest.fixture(scope="session")
def server(registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it is."""
    served = Server(registered, tmp_path_factory.mktemp("served") / "log")
    try:
        yield served.ready()
    finally:
        code = served.stop()
    assert code == 0
    assert "Traceback" not in served.log.read_text()


@pytest.fixture(scope="session")
def sentences(tiny: Tiny) -> list[tuple[str, list]]:
    """Texts with what the tagger finds in them; in many it finds something."""
    texts = [text_of(sentence) for sentence in tiny.test[2:42]]
    found = Tagger(tiny.onnx, cpu_threads=1)(texts)
    assert sum(map(bool, found)) > 10
    return [
        (text, [(e.text, e.type, e.start, e.end) for e in entities])
        for text, entities in zip(texts, found, strict=True)
    ]


@pytest.fixture(scope="module")
def followed(tiny, empty_mlflow, tmp_path_factory) -> Iterator[Followed]:
    """Champion 1; 2 answers like it, 3 and 4 are sure of all with a score of 2."""
    folder = tmp_path_factory.mktemp("followed")
    url = mlflow_server.prepare(folder, empty_mlflow)
    project = folder / "project"
    project.mkdir()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        running.enter_context(mlflow_server.serving(folder, url, **WEBHOOKS))
        patch.setattr(claim, "SETTLE_S", 0.01)
        patch.setenv(connection.URI, url)
        register(project, tiny.onnx, [tiny.report("predictions.jsonl")])
        registry = Registry(connection.connect(project), MODEL)
        decode, temperature = "stages/model/decode.py", "stages/scoring/temperature.py"
        changes = {"2": (decode, newer), "3": (temperature, sure), "4": (decode, newer)}
        for number, (name, change) in changes.items():
            code = project / name
            code.write_text(change(code.read_text()))
            log_version(registry, project, tiny.report("predictions.jsonl"), number)
        (folder / "secret").write_text(SECRET)
        options = ["--webhook-url", "https://refused", "--webhook-secret-file", f"{folder}/secret"]
        server = Server(
            project, folder / "served.log", "--every", "0.2", *options, MLFLOW_TRACKING_URI=url
        )
        try:
            yield Followed(registry, server.ready(), project, folder, url, running)
        finally:
            assert server.stop() == 0
