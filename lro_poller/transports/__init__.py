"""One request out, one reply in.

Sources: google/api/http.proto for the URL, RFC 9110 for what counts as a reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ..wire import Reply

__all__ = ["Transport"]


@runtime_checkable
class Transport(Protocol):
    """What sends a poll. A transport knows nothing of operations, deadlines or tokens.

    It follows no redirect, keeps no cookie, bounds what it reads (`wire.MAX_BODY`), and
    leaves time and numbers to the poller, which cancels `send` when it has taken too long.
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
        """Closes every connection."""
