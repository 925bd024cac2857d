"""What a poller is made of, checked where it is handed in.

A part of a wrong kind would otherwise be found out at the first poll, as a fault of that poll.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .origin import check_origin
from .transports import Transport

__all__ = ["check_callable", "check_credentials", "check_part", "check_transport"]

T = TypeVar("T")


def check_part(what: str, value: object, kind: type[T]) -> T:
    """Returns `value`, which is a `kind`.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be a {kind.__name__}, not {value!r}")
    return value


def check_callable(what: str, value: T) -> T:
    """Returns `value`, which can be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{what} must be a function, not {value!r}")
    return value


def check_credentials(credentials: Any) -> Any:
    """Returns credentials of google-auth, or None; never shows them.

    Raises:
        TypeError: they are something else, such as the path of a file.
    """
    if isinstance(credentials, type):
        raise TypeError(f"credentials must be an object, not a class: {credentials.__name__}()")
    if credentials is not None and not hasattr(credentials, "before_request"):
        raise TypeError(
            f"credentials must be an object of google-auth, not {type(credentials).__name__}; "
            "google.auth.load_credentials_from_file reads a file"
        )
    return credentials


def check_transport(transport: Transport | None, origin: str, *, allow_http: bool) -> Transport | None:
    """Returns a transport that sends to `origin`: tokens, quotas and resume tokens are that one's.

    A transport without an attribute `origin` is believed.

    Raises:
        TypeError: it is no transport.
        ValueError: it sends to somewhere else.
    """
    if transport is None:
        return None
    if isinstance(transport, type) or not isinstance(transport, Transport):
        raise TypeError(f"transport must have library, send and aclose, as of lro_poller.transports, not {transport!r}")
    where = getattr(transport, "origin", None)
    if where is not None and (goes_to := check_origin(where, allow_http=allow_http)) != origin:
        raise ValueError(
            f"the transport sends to {goes_to}, and the poller is for {origin}; give endpoint={goes_to!r} if you mean it"
        )
    return transport
