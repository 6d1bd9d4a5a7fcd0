import gzip
import re
import time

import pytest

from stages.contract.errors import StageError
from tests.stages.fetching.conftest import BODY
from tests.support.mirror import Reply

PAGE = b"\n<!DOCTYPE html><title>Please sign in</title>"


def test_good(get, mirror):
    address = mirror.put("/train", BODY)
    assert get(address) == {"mirror": address, "bytes_fetched": len(BODY)}
    assert mirror.requests == [("/train", None)]
    assert mirror.headers[0]["Accept-Encoding"] == "identity"


def test_redirect_gives_the_token_to_nobody_else(get, mirror, mirror_2):
    elsewhere = mirror_2.put("/real", BODY)
    address = mirror.put("/train", status=302, headers={"Location": elsewhere})
    assert get(address, headers={"Authorization": "Bearer x"})["mirror"] == address
    assert [asked["Authorization"] for asked in mirror.headers] == ["Bearer x"]
    assert [asked["Authorization"] for asked in mirror_2.headers] == [None]


UNPINNED = {"bytes": None, "git_blob": None, "sha256": "unpinned"}


def test_unpinned_is_what_came_whole_and_never_put_together(get, mirror, mirror_2):
    cut = mirror.put("/train", b"older" * 100, cuts=[100, 200])
    whole = mirror_2.put("/train", BODY)
    assert get(cut, whole, **UNPINNED)["mirror"] == whole
    assert mirror.requests == [("/train", None)] * 2
    assert mirror_2.requests == [("/train", None)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_moved_on_the_same_host(get, mirror, status):
    mirror.put("/moved", BODY)
    address = mirror.put("/train", status=status, headers={"Location": "/moved?etag=%22x%22"})
    assert get(address, headers={"Authorization": "Bearer x"})["mirror"] == address
    assert [asked["Authorization"] for asked in mirror.headers] == ["Bearer x"] * 2


def test_moved_in_a_circle_is_not_asked_again(get, mirror):
    address = mirror.put("/train", status=302, headers={"Location": "/train"})
    with pytest.raises(StageError, match="/train: redirects in a circle;"):
        get(address)
    assert len(mirror.requests) == 21


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_asked_again(get, mirror, status):
    address = mirror.put("/train", b"", status=status)
    with pytest.raises(StageError, match=rf"answered {status} .*\(attempt 3 of 3\)"):
        get(address, attempts=3)
    assert len(mirror.requests) == 3


def test_busy_is_given_the_time_that_it_asks_for(get, mirror):
    busy = Reply(status=429, headers={"Retry-After": "1"})
    address = mirror.put("/train", BODY, first=[busy])
    started = time.monotonic()
    assert get(address)["mirror"] == address
    assert time.monotonic() - started >= 1


def test_busy_for_too_long_is_left_for_the_next_mirror(get, mirror, mirror_2):
    address = mirror.put("/train", status=429, headers={"Retry-After": "1800"})
    good = mirror_2.put("/train", BODY)
    assert get(address, good)["mirror"] == good
    assert len(mirror.requests) == 1
    with pytest.raises(StageError) as error:
        get(address)
    assert str(error.value) == (
        f"train.txt could not be fetched: {address}: answered 429 Too Many Requests and asks to"
        " wait 1800 s, more than download.timeout_s: try again later, or raise it; do"
        " something"
    )


HTML_TYPE = {"Content-Type": "Text/HTML; charset=utf-8"}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 10240\n"
GZIP = {"Content-Encoding": "gzip"}
CUT = [100, 200]
# A mirror's answer, the error, the number of requests.
REFUSED = {
    "404": ({"status": 404}, "answered 404 Not Found: it was moved, or its branch was renamed;", 1),
    "401": ({"status": 401}, "answered 401 Unauthorized: it is private or does not exist;", 1),
    "to nowhere": ({"status": 302}, "answered 302 Found;", 1),
    "pointer": ({"body": POINTER}, "is a Git LFS pointer, not the file: fetch the file with", 1),
    "not gzip": (
        {"body": BODY, "headers": GZIP},
        r"the transfer from 127.0.0.1:\d+ failed \(.*decompress",
        2,
    ),
    "403": ({"status": 403}, "answered 403 Forbidden", 1),
    "204": ({"status": 204, "length": False}, "answered 204 No Content", 1),
    "page": ({"body": PAGE}, "is an HTML page, not the file", 1),
    "page by type": ({"body": b"Hi", "headers": HTML_TYPE}, "is an HTML page, not the file", 1),
    "wrong byte": ({"body": b"\1" + BODY[1:]}, r"has git_blob \w{40}, expected \w{40}, ", 1),
    "one byte less": ({"body": BODY[:-1]}, "has 10239 bytes, expected 10240", 1),
    "one byte more": ({"body": BODY + b"z"}, "has over 10240 bytes, expected 10240", 1),
    "empty": ({"body": b""}, "is empty", 1),
    "endless": ({"endless": True}, "has over 10240 bytes, expected 10240", 1),
    "half": ({"body": BODY, "cuts": CUT}, r" failed \(.*\), got 300 of 10240 bytes ", 2),
    "hanging": (
        {"body": BODY, "hang_after": 9},
        "sent nothing for 0.3 s, got 18 of 10240 bytes ",
        2,
    ),
    "silent": ({"silent": True}, r"sent nothing for 0.3 s \(attempt 2 of 2\)", 2),
}


@pytest.mark.parametrize(("how", "cause", "requests"), REFUSED.values(), ids=REFUSED)
def test_refused_then_the_next_mirror(get, mirror, mirror_2, how, cause, requests):
    address = mirror.put("/train", **how)
    with pytest.raises(StageError) as error:
        get(address, timeout_s=0.3)
    message = str(error.value)
    assert re.match(f"train.txt could not be fetched: {re.escape(address)}: ", message)
    assert re.search(cause, message)
    assert message.endswith("; do something")
    assert "\n" not in message
    assert len(mirror.requests) == requests

    good = mirror_2.put("/train", BODY)
    mirror.put("/train", **how)
    assert get(address, good, timeout_s=0.3, attempts=1)["mirror"] == good


@pytest.mark.parametrize("cuts", [[], [30]])
def test_compressed_although_not_asked_for(get, mirror, cuts):
    packed = gzip.compress(BODY)
    address = mirror.put("/train", packed, cuts=cuts, headers=GZIP, ranges=False)
    assert get(address)["mirror"] == address
    assert mirror.requests == [("/train", None)] * (1 + len(cuts))


def test_a_range_of_compressed_content_is_asked_for_whole(get, mirror, mirror_2):
    cut = mirror.put("/train", BODY, cuts=[700])
    packed = mirror_2.put("/train", gzip.compress(BODY), headers=GZIP)
    assert get(cut, packed, attempts=1)["mirror"] == packed
    assert [asked for _, asked in mirror_2.requests] == ["bytes=700-", None]


def test_a_pointer_is_no_unpinned_file(get, mirror, tmp_path):
    (tmp_path / "pointer").write_bytes(POINTER)
    for address in (mirror.put("/train", POINTER), str(tmp_path / "pointer")):
        with pytest.raises(StageError, match=r"is a Git LFS pointer, .*write /resolve/"):
            get(address, **UNPINNED)


def test_bytes_unknown(get, mirror):
    address = mirror.put("/train", BODY[:-1])
    with pytest.raises(StageError, match="has git_blob"):
        get(address, bytes=None)
    mirror.put("/train", BODY)
    assert get(address, bytes=None)["bytes_fetched"] == len(BODY)


def test_each_hash_counts(get, mirror):
    address = mirror.put("/train", BODY)
    for check, digits in [("git_blob", 40), ("sha256", 64)]:
        with pytest.raises(StageError, match=f"has {check} .*, expected {'0' * digits};"):
            get(address, **{check: "0" * digits})
        get(address, **{check: None})


def test_nobody_there(get, mirror):
    mirror.close()
    with pytest.raises(StageError, match=r"127.0.0.1:\d+ cannot be reached .*refused"):
        get(mirror.url + "/train")


def test_every_cause_is_told(get, mirror, tmp_path):
    page, gone = mirror.put("/page", PAGE), mirror.url + "/gone"
    with pytest.raises(StageError) as error:
        get(page, gone, str(tmp_path / "none"), "$NOT_SET_AT_ALL/x", "s3://bucket/x", "http://x:y")
    for cause in [
        f"{page}: is an HTML page",
        f"{gone}: answered 404",
        f"{tmp_path}/none: is not there",
        "$NOT_SET_AT_ALL/x: that environment variable is not set",
        "s3://bucket/x: is neither http",
        "http://x:y: is not a valid address",
    ]:
        assert cause in str(error.value)


def test_secret_in_a_variable_stays_secret(get, mirror, monkeypatch):
    monkeypatch.setenv("MIRROR", mirror.url.replace("//", "//user:hunter2@"))
    mirror.put("/train", BODY)
    assert get("$MIRROR/train")["mirror"] == "$MIRROR/train"
    for path in ("/gone", "/cut"):
        mirror.put("/cut", BODY, cuts=[1, 1])
        with pytest.raises(StageError) as error:
            get(f"$MIRROR{path}")
        assert "hunter2" not in str(error.value)


def test_local(get, tmp_path, monkeypatch):
    file = tmp_path / "a file"
    file.write_bytes(BODY)
    monkeypatch.setenv("CORPUS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for address in [
        str(file),
        "a file",
        file.as_uri(),
        "$CORPUS/a file",
        "file://$CORPUS/a%20file",
    ]:
        assert get(address) == {"mirror": address, "bytes_fetched": len(BODY)}


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"\1" + BODY[1:], "has git_blob"),
        (BODY[:9], "has 9 bytes, expected 10240"),
        (PAGE, "is an HTML page"),
        (b"", "is empty"),
        (None, "is not there"),
    ],
)
def test_wrong_local(get, tmp_path, body, cause):
    file = tmp_path / "file"
    if body is not None:
        file.write_bytes(body)
    with pytest.raises(StageError, match=f"{file}: {cause}"):
        get(str(file))
