"""Origins: scheme, host and port, and where a token may go.

Decides which endpoints are accepted. Plain HTTP is for this machine alone unless the
caller says otherwise: a bearer token sent in the clear belongs to whoever hears it.

Sources: RFC 6454 (origin), RFC 6750 section 5.3 (bearer tokens over TLS).
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

__all__ = ["check_origin"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"""[^][ \\%"<>^`{|}]+|\[[0-9A-Fa-f:.]+\](:[0-9]*)?""")
"""With its port. Brackets hold an address of IPv6."""

_BARE_HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?|localhost(:\d+)?", re.ASCII)

_USER = re.compile(r"//.*@")
"""What stands before a host may be a password."""


def check_origin(endpoint: str, *, allow_http: bool = False, what: str = "endpoint") -> str:
    """Returns the origin that `endpoint` names, written as RFC 6454 does: no trailing slash, no default port.

    Args:
        what: What it is called in messages.

    Raises:
        ValueError: it is no origin, or plain HTTP to another machine; the message names it.
    """
    if not isinstance(endpoint, str):
        raise TypeError(f"{what} must be a str such as 'http://127.0.0.1:8901', not {endpoint!r}")
    shown = repr(_USER.sub("//…@", endpoint))
    try:
        parts = urllib.parse.urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{what} {shown}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        meant = ""
        if _BARE_HOST.fullmatch(endpoint):
            scheme = "http" if _is_loopback(endpoint.partition(":")[0]) else "https"
            meant = f"; did you mean '{scheme}://{endpoint}'?"
        raise ValueError(f"{what} {shown} must be an origin such as 'https://example.com:443'{meant}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{what} {shown} must be an origin: scheme, host and port, nothing else")
    if not parts.netloc.isprintable() or not _HOST.fullmatch(parts.netloc):
        raise ValueError(f"{what} {shown} has no valid host")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise ValueError(
            f"{what} {shown} is plain HTTP to another machine, where a token could be read on the way; "
            "use https, or pass allow_http=True if you mean it"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
