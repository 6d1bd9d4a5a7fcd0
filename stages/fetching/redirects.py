"""Checks where a source redirects to."""

import ipaddress
import socket

import httpx

from stages.contract.errors import StageError


def check_redirect(configured: str, request: httpx.Request) -> None:
    """Checks `request`, made for the address `configured`, before it is sent.

    The host is resolved here and again by the request, so a name server that answers differently
    the second time is not caught. A name that only a proxy can resolve is left to the proxy.

    Raises:
        StageError: it leads to another scheme than http(s), from https to http, or from a public
            host to this machine or a private network.
    """
    origin, target = httpx.URL(configured), request.url
    if (origin.scheme, origin.host, origin.port) == (target.scheme, target.host, target.port):
        return
    if target.scheme not in ("http", "https"):
        raise StageError(f"redirects to {target.scheme}://, only http(s):// is followed")
    if (origin.scheme, target.scheme) == ("https", "http"):
        raise StageError("redirects from https to http, where anybody could change the file")
    if _is_private(target.host) and not _is_private(origin.host):
        raise StageError(
            f"redirects to {target.host}, in a private network: name it as a source if it is one"
        )


def _is_private(host: str) -> bool:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return not all(map(_is_public, found))


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.is_global and not parsed.is_multicast
