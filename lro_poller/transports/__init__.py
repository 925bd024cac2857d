"""One request out, one reply in: what a transport is, and the words it speaks.

`AiohttpTransport` is in `lro_poller.transports.aiohttp`, `Http2Transport` in `.http2`, `BatchTransport` in `.batch`:
each brings its own libraries. A transport of one's own returns a `Reply`, or raises `NoReply`.

Sources: google/api/http.proto for the URL, RFC 9110 for what counts as a reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ..origin import check_origin
from ..wire import MAX_BODY, Fault, NoReply, Reply

__all__ = ["MAX_BODY", "Fault", "Limited", "NoReply", "Reply", "Transport"]


@runtime_checkable
class Transport(Protocol):
    """What sends a poll, for pollers of one event loop. It knows nothing of operations, deadlines or tokens.

    It follows no redirect, keeps no cookie, bounds what it reads (`MAX_BODY`), and
    leaves time and numbers to the poller, which cancels `send` when it has taken too long.

    It may have more: an attribute `origin`, which a poller for another one refuses; an attribute `home`, the event loop
    that its connections belong to, which a poller in another loop refuses; and what `Limited` has.
    """

    library: str
    """What it is built on, as x-goog-api-client has it: `rest/3.14.5`."""

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Sends a request without a body to the one origin of this transport, and reads the whole reply.

        Args:
            method: `GET` to poll; `POST` to cancel.
            path: Percent-encoded, beginning with `/`, without a query.
            headers: Every field that the poller wants sent.

        Raises:
            NoReply: there was no reply, or none that could be read.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection. What is sent after that opens one again: several pollers may share a transport."""


@runtime_checkable
class Limited(Protocol):
    """A transport over which no more than so many requests are sent at once.

    Those beyond it would wait in there, out of the poller's order: the last poll before a deadline behind all others.
    """

    def capacity(self) -> int:
        """How many requests may be under way now; one at the least."""
        ...


def check_home(transport: object, home: object) -> None:
    """Sees to it that the connections of `transport` are not those of another event loop than the one that runs.

    Args:
        home: Whose they are; anything else than a loop where there are none.

    Raises:
        RuntimeError: they are, and that loop is not closed.
    """
    if not isinstance(home, asyncio.AbstractEventLoop) or home.is_closed():
        return
    if home is not asyncio.get_running_loop():
        raise RuntimeError(f"{transport!r} is in use in another event loop; each loop needs its own")


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
        raise TypeError(
            f"transport must have library, send and aclose, see lro_poller.transports.Transport, not {transport!r}"
        )
    where = getattr(transport, "origin", None)
    if where is not None and (goes_to := check_origin(where, allow_http=allow_http)) != origin:
        raise ValueError(
            f"the transport sends to {goes_to}, and the poller is for {origin}; give endpoint={goes_to!r} if you mean it"
        )
    return transport
