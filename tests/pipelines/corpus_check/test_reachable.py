"""Sources that cannot be reached."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.corpus_check.reachable import require_reachable
from pipelines.errors import PipelineError
from stages.params.download import Encoder
from tests.tiny import write_params


@pytest.fixture
def params(tmp_path):
    """The tiny corpus and encoder as local files, which are there."""
    for name in ("corpus/train.txt", "corpus/test.txt", "encoder/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    params = write_params(tmp_path).download
    encoder = Encoder(hub_id=None, revision=None, folder="encoder", sha256={}, from_scratch=True)
    changes = {
        split: source.model_copy(update={"sources": [f"corpus/{split}.txt"]})
        for split, source in params.splits.items()
    }
    return params.model_copy(update={**changes, "encoder": encoder})


class Sources(BaseHTTPRequestHandler):
    """/gone does not exist, /busy has no time, /slow answers after the tests, others at once."""

    over = threading.Event()

    def do_HEAD(self):
        if self.path == "/slow":
            self.over.wait()
        self.send_response({"/gone": 404, "/busy": 503}.get(self.path, 200))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sources)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Sources.over.set()
    server.shutdown()


@pytest.mark.parametrize(
    ("addresses", "causes"),
    [
        (["{server}/here"], None),
        (["{server}/busy"], None),  # `download` tries again
        (["{server}/slow"], None),  # `download` waits longer
        (["{server}/gone", "corpus/train.txt"], None),
        (["{server}/gone"], ["{server}/gone: HTTP 404"]),
        (["http://127.0.0.1:1/x"], ["http://127.0.0.1:1/x: Connection refused"]),
        (
            ["{server}/gone", "corpus/trian.txt", "$NER_UNSET/x"],
            [
                "{server}/gone: HTTP 404",
                "corpus/trian.txt: {folder}/corpus/trian.txt does not exist",
                "$NER_UNSET/x: that environment variable is not set here; set it,",
            ],
        ),
    ],
)
def test_a_source_that_cannot_be_reached(tmp_path, params, server, addresses, causes):
    names = {"server": server, "folder": tmp_path}
    sources = [address.format(**names) for address in addresses]
    changed = params.train.model_copy(update={"sources": sources})
    params = params.model_copy(update={"train": changed})
    if causes is None:
        require_reachable(tmp_path, params)
        return
    with pytest.raises(PipelineError) as raised:
        require_reachable(tmp_path, params)
    lines = str(raised.value).splitlines()
    assert lines[0] == "Sources cannot be reached:"
    for line, cause in zip(lines[1:-1], causes, strict=True):
        assert line.startswith(f"  download.train: {cause.format(**names)}")
    assert lines[-1].startswith("Correct the address")


def test_a_hub_that_cannot_be_reached(tmp_path, params, monkeypatch):
    hub = Encoder(hub_id="a/b", revision="0" * 40, folder=None, sha256={}, from_scratch=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        PipelineError, match=r"download\.encoder: http://127\.0\.0\.1:1: Connection"
    ):
        require_reachable(tmp_path, params.model_copy(update={"encoder": hub}))
