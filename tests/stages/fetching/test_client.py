"""What is said of the variables of the environment that an HTTP client cannot use."""

import pytest

from stages.contract.errors import StageError
from stages.fetching.client import network_problem
from tests.stages.fetching.conftest import BODY

SOCKS = "which cannot be used (SOCKS); name an http:// proxy, or unset it"
# A variable, its value, and what is said of it after "NAME is VALUE, ".
WRONG = {
    "SOCKS": ("ALL_PROXY", "socks5://127.0.0.1:7891", SOCKS),
    "SOCKS, in small letters": ("all_proxy", "socks5h://127.0.0.1:7891", SOCKS),
    "SOCKS 4": ("HTTPS_PROXY", "socks4://h:1", "which cannot be used (Unknown scheme for proxy"),
    "a port": ("http_proxy", "http://h:port", "which cannot be used (Invalid port: 'port'); corr"),
    "a network": ("no_proxy", "::1/128", "which cannot be used (Invalid port: ':1'); correct it"),
    "certificates": ("SSL_CERT_FILE", "/none.pem", "which cannot be used ([Errno 2] No such file"),
}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(("name", "value", "said"), WRONG.values(), ids=WRONG)
def test_a_variable_that_cannot_be_used_is_named(monkeypatch, name, value, said):
    monkeypatch.setenv("http_proxy" if name.lower() == "all_proxy" else "ALL_PROXY", "proxy:3128")
    assert network_problem() == ""
    monkeypatch.setenv(name, value)
    assert network_problem().startswith(f"{name} is {value}, {said}")


def test_no_password_is_shown(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@h:1")  # pragma: allowlist secret
    assert network_problem().startswith("ALL_PROXY is socks5://***@h:1, which cannot")


def test_a_file_needs_no_proxy_and_an_address_says_what_is_wrong(get, monkeypatch, tmp_path):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:7891")
    (tmp_path / "copy").write_bytes(BODY)
    assert get("http://127.0.0.1:1/x", str(tmp_path / "copy"))["bytes_fetched"] == len(BODY)
    with pytest.raises(StageError) as error:
        get("http://127.0.0.1:1/x")
    assert str(error.value) == (
        "train.txt could not be fetched: http://127.0.0.1:1/x: ALL_PROXY is"
        f" socks5://127.0.0.1:7891, {SOCKS}; do something"
    )
