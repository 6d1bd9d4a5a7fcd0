"""The tiny model, served by `python -m pipelines serve`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.serving.tagger import Tagger
from tests.invented import text_of
from tests.pipelines.served import Server
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
