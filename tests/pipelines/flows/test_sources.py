"""Local files that changed under their hashes, and sources that cannot be reached."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.errors import PipelineError
from pipelines.flows.sources import require_reachable, require_unchanged
from stages.contract.hashing import digests
from stages.params.download import Encoder, Source
from tests.tiny import write_params


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Train by an absolute path, test by a relative one with a variable, an encoder's folder."""
    monkeypatch.setenv("NER_CORPUS", "corpus")
    for name in ("corpus/train.txt", "corpus/test.txt", "encoder/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def source(address, name):
        found = digests(tmp_path / "corpus" / name)
        return Source(sources=["https://example.org/x", address], **found)

    sha256 = digests(tmp_path / "encoder/config.json")["sha256"]
    changes = {
        "train": source((tmp_path / "corpus/train.txt").as_uri(), "train.txt"),
        "test": source("$NER_CORPUS/test.txt", "test.txt"),
        "encoder": Encoder(
            hub_id=None, revision=None, folder="encoder", sha256={"config.json": sha256},
            from_scratch=True,
        ),
    }  # fmt: skip
    return write_params(tmp_path).download.model_copy(update=changes)


def test_what_is_as_expected_or_elsewhere_passes(tmp_path, params, monkeypatch):
    require_unchanged(tmp_path, params)
    (tmp_path / "corpus/train.txt").unlink()
    monkeypatch.delenv("NER_CORPUS")
    require_unchanged(tmp_path, params)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("corpus/train.txt", "train"),
        ("corpus/test.txt", "test"),
        ("encoder/config.json", "encoder"),
    ],
)
@pytest.mark.parametrize("content", ["longer than before, and other", None])
def test_a_changed_file_is_named(tmp_path, params, name, key, content):
    (tmp_path / name).write_text(content or name.upper())
    check = (
        "bytes" if content and key != "encoder" else "git_blob" if key != "encoder" else "sha256"
    )
    with pytest.raises(
        PipelineError, match=rf"^{tmp_path / name} has {check} .*, download\.{key} ex"
    ):
        require_unchanged(tmp_path, params)


def test_an_unpinned_one_may_change(tmp_path, params):
    free = params.train.model_copy(update={"bytes": None, "git_blob": None, "sha256": "unpinned"})
    (tmp_path / "corpus/train.txt").write_text("another")
    require_unchanged(tmp_path, params.model_copy(update={"train": free}))


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
