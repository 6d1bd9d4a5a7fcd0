"""Checks the variables of the environment that HTTP clients and Git read."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.doctor.checks.finding import Finding, Level, Requirements
from pipelines.errors import without_password
from stages.fetching.client import PROXIES, network_problem, set_variables

# Of httpx (download, Prefect); of requests (MLflow, DVC); of Git; of boto3 (DVC).
CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "AWS_CA_BUNDLE"),
)
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
CONNECT_S = 3.0


def check(required: Requirements) -> Iterator[Finding]:  # noqa: ARG001
    """Yields a finding per problem, else one; asks proxies for nothing but a connection."""
    certificates = [*_certificates()]
    found = [*certificates, *([] if certificates else _clients()), *_spellings(), *_proxies()]
    names = ", ".join(set_variables(*PROXIES, "NO_PROXY"))
    fine = f"{names}: proxies answer" if names else "no proxy is set"
    yield from found or [Finding("network", Level.OK, fine)]


def _certificates() -> Iterator[Finding]:
    for name in CERTIFICATES:
        value = os.environ.get(name)
        if value and not Path(value).exists():
            message = f"{name} is {value}, which does not exist"
            yield Finding("network", Level.ERROR, message, "correct it or unset it")


def _clients() -> Iterator[Finding]:
    problem = network_problem()
    if problem:
        message, _, remedy = problem.rpartition("; ")
        yield Finding("network", Level.ERROR, message, remedy)


def _spellings() -> Iterator[Finding]:
    for name in (*PROXIES, "NO_PROXY"):
        values = {*set_variables(name).values()}
        if len(values) > 1:
            message = f"{name} and {name.lower()} differ, and programs read one or the other"
            yield Finding("network", Level.WARNING, message, "set both to the same")


def _proxies() -> Iterator[Finding]:
    for address in sorted({*set_variables(*PROXIES).values()}):
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            port = parts.port or PORTS.get(parts.scheme, 80)
            socket.create_connection((parts.hostname or "", port), CONNECT_S).close()
        except (OSError, ValueError) as error:
            message = f"the proxy {without_password(address)} does not answer: {error}"
            yield Finding("network", Level.ERROR, message, "start it, or correct its variable")
