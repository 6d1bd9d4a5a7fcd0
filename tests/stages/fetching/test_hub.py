import json
import signal
from pathlib import Path

import pytest

from tests.stage_process import until_made
from tests.support.mirror import Reply

TAKEN = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
ORDER = ["config.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"]


@pytest.fixture
def run(work, hub, tmp_path):
    """Runs the stage against the hub, with no token and no cache of the user's."""
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "", "HF_HUB_OFFLINE": "0"}
    return lambda **more: work.run(**env | {"HF_ENDPOINT": hub.mirror.url} | more)


def test_brings_the_files_whole(run, work, hub, encoder, mirror):
    whole = (encoder / "model.safetensors").read_bytes()
    mirror.put(hub.file("model.safetensors"), whole, cuts=[50])
    assert run(HF_TOKEN="hf_secret") == (0, "")  # noqa: S106
    files = work.files()
    brought = {Path(n).name: b for n, b in files.items() if n.startswith("data/encoder/")}
    assert brought == {name: (encoder / name).read_bytes() for name in TAKEN}
    source = json.loads(files["data/corpus/source.json"])["encoder"]
    assert source["from"] == {"hub_id": hub.hub_id, "revision": hub.revision}
    assert list(source["sha256"]) == TAKEN
    measured = json.loads(files[".measured/download.json"])["files"]
    assert measured["vocab.txt"]["mirror"] == mirror.url + hub.file("vocab.txt")
    assert measured["model.safetensors"]["bytes_fetched"] == len(whole)
    asked = [hub.api, *map(hub.file, ORDER), hub.file("model.safetensors")]
    assert [path for path, _ in mirror.requests] == asked
    assert {asked["Authorization"] for asked in mirror.headers} == {"Bearer hf_secret"}


# The hub's answer about the revision, and the error.
REFUSED = {
    "revision": (
        {"status": 404, "headers": {"X-Error-Code": "RevisionNotFound"}},
        "the model has no such revision: check download.encoder.revision",
    ),
    "model": (
        {"status": 401, "headers": {"X-Error-Code": "RepoNotFound"}},
        "there is no such model, or a private one: check download.encoder.hub_id, or set HF_TOKEN",
    ),
    "gated": (
        {"status": 403, "headers": {"X-Error-Code": "GatedRepo"}},
        "is gated: accept its terms there and set HF_TOKEN, or name a copy in",
    ),
    "busy": ({"status": 503}, "it answered 503 Service Unavailable; try again, set HF_ENDPOINT"),
    "busy for long": (
        {"status": 429, "headers": {"RateLimit": '"api";r=0;t=290'}},
        "it answered 429 Too Many Requests and asks to wait 290 s, more than download.timeout_s",
    ),
    "page": ({"body": b"<html>Sign in"}, "the server is not a hub; try again, set HF_ENDPOINT"),
    "silent": ({"silent": True}, "sent nothing for 0.5 s; try again, set HF_ENDPOINT to a mirror"),
}


@pytest.mark.parametrize(("how", "says"), REFUSED.values(), ids=REFUSED)
def test_hub_refuses(run, work, hub, how, says):
    hub.tell(**how)
    work.section["timeout_s"] = 0.5
    refused(run(), work, hub, says)


def test_busy_hub_is_given_the_time_that_it_asks_for(run, hub):
    answer = hub.mirror.replies[hub.api]
    answer.first = [Reply(status=429, headers={"RateLimit": '"api";r=0;t=1'})]
    assert run() == (0, "")


def refused(result, work, hub, *says):
    status, printed = result
    assert (status, printed.count("\n")) == (1, 1)
    assert printed.startswith("download: ")
    assert f"{hub.hub_id} at revision {hub.revision} on {hub.mirror.url}" in printed
    for part in says:
        assert part in printed
    assert work.files() == {}


def test_hub_is_not_there(run, work, hub, mirror):
    mirror.close()
    refused(run(), work, hub, "cannot be reached", "refused")


def test_offline(run, work, hub):
    refused(run(HF_HUB_OFFLINE="1"), work, hub, "HF_HUB_OFFLINE is set")
    assert hub.mirror.requests == []


def test_a_password_in_its_address_is_refused_and_not_shown(run, work, hub):
    url = hub.mirror.url.replace("://", "://user:pa55@")
    message = (
        "download: HF_ENDPOINT has a password, which reports would show: use HF_TOKEN instead\n"
    )
    assert run(HF_ENDPOINT=url) == (1, message)
    assert hub.mirror.requests == []
    assert work.files() == {}


def test_hub_id_that_is_none(run, work, hub):
    work.section["encoder"]["hub_id"] = hub.hub_id = "a/b/c"
    refused(run(), work, hub, "this is not a hub id")


def test_pickled_weights_are_not_fetched(run, work, hub):
    del hub.siblings["model.safetensors"]
    hub.tell()
    refused(run(), work, hub, "has its weights only as a pickle")
    assert [path for path, _ in hub.mirror.requests] == [hub.api]


@pytest.mark.parametrize("name", ["vocab.txt", "model.safetensors"])
def test_wrong_byte_at_the_hub(run, work, hub, encoder, name):
    body = (encoder / name).read_bytes()
    hub.mirror.put(hub.file(name), body[:-1] + b"!")
    refused(run(), work, hub, f"{name} could not be fetched: ", ", expected ")


def test_file_behind_a_gate(run, work, hub):
    hub.mirror.put(hub.file("vocab.txt"), status=403)
    refused(run(), work, hub, "vocab.txt could not be fetched: ", "answered 403 Forbidden")


def test_a_file_without_a_hash_needs_one(run, work, hub):
    vocabulary = hub.siblings["vocab.txt"]
    vocabulary["blobId"] = vocabulary["size"] = None
    hub.tell()
    refused(run(), work, hub, "has no hash of vocab.txt", "download.encoder.sha256")
    work.section["encoder"]["sha256"] = {"vocab.txt": "0" * 64}
    refused(run(), work, hub, f"expected {'0' * 64}")


def test_sigterm_leaves_nothing_behind(work, hub, tmp_path, mirror):
    work.section["timeout_s"] = 60.0
    whole = mirror.replies[hub.file("model.safetensors")].body
    mirror.put(hub.file("model.safetensors"), whole, hang_after=60)
    with work.start(HF_HOME=str(tmp_path / "hf"), HF_ENDPOINT=mirror.url) as process:
        until_made("data/.encoder.partial/model.safetensors", work.path, process)
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        assert process.stderr.read() == ""
    assert work.files() == {}
    assert not any((work.path / "data").iterdir())
