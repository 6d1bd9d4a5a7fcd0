"""Where `download` follows a redirect to; a proxy on loopback speaks for the public hosts."""

import httpx
import pytest

from stages.contract.errors import StageError
from stages.fetching.redirects import check_redirect
from tests.stages.fetching.conftest import BODY

PRIVATE = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
PRIVATE += ["192.168.1.1", "100.64.0.1", "0.0.0.0", "2130706433"]  # noqa: S104
PUBLIC, OTHER = "http://8.8.8.8/train", "http://1.1.1.1/train"


@pytest.fixture
def proxied(mirror, monkeypatch):
    """`proxied(address, location)`: whatever is asked for `address` is answered by a redirect."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, mirror.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")

    def proxied(address, location):
        mirror.put(address, status=302, headers={"Location": location})
        return address

    return proxied


def test_from_a_public_host_to_another(get, mirror, proxied):
    mirror.put(OTHER, BODY)
    assert get(proxied(PUBLIC, OTHER))["bytes_fetched"] == len(BODY)


@pytest.mark.parametrize("host", PRIVATE)
def test_from_a_public_host_into_a_private_network(get, mirror, proxied, host):
    inner = mirror.put("/train", BODY)
    port = inner.split(":")[2].split("/")[0]
    address = proxied(PUBLIC, f"http://{host}:{port}/train")
    with pytest.raises(StageError, match=r"8\.8\.8\.8/train: redirects to .*, in a private net"):
        get(address)
    assert [path for path, _ in mirror.requests] == [PUBLIC]  # and it was not tried again


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://8.8.8.8/x", "gopher://8.8.8.8/x"])
def test_to_another_scheme(get, mirror, to):
    address = mirror.put("/train", status=302, headers={"Location": to})
    scheme = to.partition(":")[0]
    with pytest.raises(StageError, match=f"/train: redirects to {scheme}://, only http"):
        get(address)
    assert len(mirror.requests) == 1


def test_what_the_operator_named_may_lead_where_it_stands(get, mirror, mirror_2):
    there = mirror_2.put("/train", BODY)
    address = mirror.put("/train", status=302, headers={"Location": there})
    assert get(address)["mirror"] == address


@pytest.mark.parametrize(
    ("configured", "target", "message"),
    [
        ("https://8.8.8.8/a", "http://8.8.8.8/a", "from https to http"),
        ("https://8.8.8.8/a", "https://1.1.1.1/b", None),
        ("http://10.0.0.1/a", "http://127.0.0.1/b", None),
        ("https://no-such-host.invalid/a", "https://also-none.invalid/b", None),
    ],
)
def test_which_is_followed(configured, target, message):
    if message is None:
        check_redirect(configured, httpx.Request("GET", target))
    else:
        with pytest.raises(StageError, match=message):
            check_redirect(configured, httpx.Request("GET", target))
