import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stages.contract.errors import StageError
from stages.contract.progress import progress
from stages.fetching.transfer import Partial, pause_s
from tests.stages.fetching.conftest import BODY


def test_cut_off_is_resumed(get, mirror):
    address = mirror.put("/train", BODY, cuts=[700, 300])
    assert get(address, attempts=3)["bytes_fetched"] == len(BODY)
    assert mirror.requests == [("/train", r) for r in (None, "bytes=700-", "bytes=1000-")]


@pytest.mark.parametrize("checks", [{}, {"bytes": None}])
def test_resumed_at_another_mirror(get, mirror, mirror_2, checks):
    bad = mirror.put("/train", BODY, cuts=[700])
    good = mirror_2.put("/train", BODY)
    assert get(bad, good, attempts=1, **checks) == {"mirror": good, "bytes_fetched": len(BODY)}
    assert mirror_2.requests == [("/train", "bytes=700-")]


def test_server_that_ignores_range_starts_over(get, mirror):
    address = mirror.put("/train", BODY, cuts=[700], ranges=False)
    assert get(address)["bytes_fetched"] == 700 + len(BODY)
    assert mirror.requests == [("/train", None), ("/train", "bytes=700-")]


def test_server_that_sends_another_range_is_asked_for_all(get, mirror):
    wrong = {"Content-Range": f"bytes 0-9/{len(BODY)}"}
    address = mirror.put("/train", BODY, status=206, headers=wrong, cuts=[700], ranges=False)
    with pytest.raises(StageError, match=r"sent bytes 0-9/10240 when asked for bytes 700-"):
        get(address)
    mirror.put("/train", BODY)
    assert get(address)["bytes_fetched"] == len(BODY)


@pytest.mark.parametrize("left", [b"y" * 700, b"y" * (len(BODY) - 1)])
def test_wrong_start_left_by_another_mirror_is_dropped(get, mirror, mirror_2, left):
    bad = mirror.put("/train", left + BODY[len(left) :], cuts=[len(left)])
    good = mirror_2.put("/train", BODY)
    assert get(bad, good, attempts=1)["mirror"] == good
    assert mirror_2.requests == [("/train", f"bytes={len(left)}-"), ("/train", None)]


def test_all_bytes_but_no_end_is_enough(get, mirror):
    address = mirror.put("/train", BODY + b"z", cuts=[len(BODY)])
    assert get(address)["bytes_fetched"] == len(BODY)


@pytest.mark.parametrize("checks", [{}, {"bytes": None}])
def test_end_by_closing_the_connection(get, mirror, checks):
    address = mirror.put("/train", BODY, length=False)
    assert get(address, **checks)["bytes_fetched"] == len(BODY)
    assert len(mirror.requests) == 1


def test_short_of_the_end_by_closing_is_resumed(get, mirror):
    address = mirror.put("/train", BODY, length=False, cuts=[700])
    assert get(address)["bytes_fetched"] == len(BODY)


def test_a_page_does_not_cost_what_came_before(get, mirror):
    cut = mirror.put("/cut", BODY, cuts=[700])
    page = mirror.put("/page", b"<HTML>Sign in", ranges=False, length=False)
    good = mirror.put("/good", BODY)
    assert get(cut, page, good, attempts=1) == {"mirror": good, "bytes_fetched": len(BODY)}
    assert mirror.requests[2] == ("/good", "bytes=700-")


@pytest.mark.parametrize(("append", "content"), [(False, b"bbbbb"), (True, b"aabbb")])
def test_one_byte_too_many_is_the_most(tmp_path, append, content):
    path = tmp_path / "file"
    path.write_bytes(b"aa")
    with progress(4, "file", "B") as bar:
        Partial(path, 4, bar).write(itertools.repeat(b"b" * 9), append=append)
    assert path.read_bytes() == content


# Headers of a busy server, and the seconds that it asks to wait.
ASKED = {
    "nothing": ({}, 0),
    "seconds": ({"Retry-After": "7"}, 7),
    "a date that is over": ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    "a date without a zone": ({"Retry-After": "Wed, 21 Oct 2115 07:28:00"}, 0),
    "no date": ({"Retry-After": "later"}, 0),
    "the hub's": ({"RateLimit": '"resolvers";r=0;t=55', "Retry-After": "9"}, 55),
    "the hub's, none used up": ({"RateLimit": '"resolvers";r=3;t=55'}, 0),
}


@pytest.mark.parametrize(("headers", "seconds"), ASKED.values(), ids=ASKED)
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert pause_s(httpx.Headers(headers), 4000, "answered 429") == seconds
    if seconds:
        with pytest.raises(StageError, match=r"answered 429 and asks to wait \d+ s, more than"):
            pause_s(httpx.Headers(headers), 1, "answered 429")


def test_a_server_may_name_the_time_to_ask_again():
    soon = datetime.now(UTC) + timedelta(hours=1)
    headers = httpx.Headers({"Retry-After": format_datetime(soon, usegmt=True)})
    assert pause_s(headers, 4000, "answered 429") == pytest.approx(3600, abs=60)
