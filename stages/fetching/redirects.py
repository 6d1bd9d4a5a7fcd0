"""Where a source may redirect to: no further than the operator meant."""

import ipaddress
import socket

import httpx

from stages.contract.errors import StageError


def check_redirect(configured: str, request: httpx.Request) -> None:
    """Looks at each request that comes of the address `configured`, before it is made.

    A name is resolved here and once more by the request itself, so a server that answers the two
    differently is not kept out; where only a proxy can resolve it, the proxy must.

    Raises:
        StageError: it leads to another scheme than http(s), from https to http, or from a public
            host to an address of this machine or a private network.
    """
    origin, target = httpx.URL(configured), request.url
    if (origin.scheme, origin.host, origin.port) == (target.scheme, target.host, target.port):
        return
    if target.scheme not in ("http", "https"):
        raise StageError(f"redirects to {target.scheme}://, only http(s):// is followed")
    if (origin.scheme, target.scheme) == ("https", "http"):
        raise StageError("redirects from https to http, which anybody on the way could change")
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
