"""Makes the HTTP client, and says which variable of the environment it cannot use."""

import os
import re
from collections.abc import Mapping
from typing import Any

import httpx

from stages.contract.errors import StageError

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
UNUSABLE = (ImportError, ValueError, OSError, httpx.InvalidURL)  # SSLError is an OSError


def http_client(**options: Any) -> httpx.Client:
    """An `httpx.Client` that uses the proxies and certificates that the environment names.

    Raises:
        StageError: it cannot use one of them, also where no proxy is needed.
    """
    try:
        return httpx.Client(**options)
    except UNUSABLE as error:
        raise StageError(_sentence(error)) from None


def network_problem() -> str:
    """What is wrong with the variables of the environment that HTTP clients read; "" if nothing."""
    try:
        http_client().close()
    except StageError as error:
        return str(error)
    return ""


def set_variables(*names: str) -> Mapping[str, str]:
    """The variables of these names that are set, in capitals and small."""
    both = (name for upper in names for name in (upper, upper.lower()))
    return {name: os.environ[name] for name in both if os.environ.get(name)}


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        name = next(name for name in CERTIFICATES if os.environ.get(name))  # as httpx takes them
        wrong: Mapping[str, str] = {name: os.environ[name]}
    else:
        proxies = set_variables(*PROXIES)
        wrong = {k: v for k, v in proxies.items() if not _usable(v)} or set_variables("NO_PROXY")
    named = " and ".join(f"{name} is {value}" for name, value in wrong.items())
    cause, remedy = " ".join(str(error).split()), "correct it or unset it"
    if isinstance(error, ImportError):
        cause, remedy = "SOCKS", "name an http:// proxy, or unset it"
    sentence = f"{named}, which cannot be used ({cause}); {remedy}"
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", sentence)  # a login


def _usable(proxy: str) -> bool:
    try:
        httpx.Client(proxy=proxy if "://" in proxy else f"http://{proxy}", trust_env=False).close()
    except UNUSABLE:
        return False
    return True
