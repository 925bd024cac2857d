"""A client written by hand on asyncio.Protocol: the limit of what Python can do.

It sends the same bytes for ever, reads the reply's length and its JSON, and checks
nothing: what a client of one's own would cost if it had no duties.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast
from urllib.parse import urlsplit

from .scene import TOKEN, Scene

__all__ = ["open_protocol"]


@contextlib.asynccontextmanager
async def open_protocol(scene: Scene) -> AsyncIterator[Callable[[], int]]:
    loop, where = asyncio.get_running_loop(), urlsplit(scene.origin)
    context = ssl.create_default_context() if scene.tls else None
    connections = []
    for name in scene.names:
        _, connection = await loop.create_connection(
            _connect(where.netloc, name), where.hostname or "", where.port or 443, ssl=context
        )
        connections.append(connection)
    try:
        yield lambda: sum(connection.polls for connection in connections)
    finally:
        for connection in connections:
            connection.close()


def _connect(host: str, name: str) -> Callable[[], _Connection]:
    head = f"GET /v1beta/{name} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    return lambda: _Connection(head.encode())


class _Connection(asyncio.Protocol):
    """One request after another, each when the reply to the last is whole."""

    def __init__(self, request: bytes) -> None:
        self.polls = 0
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # by its methods: uvloop's are of no common class
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        assert not json.loads(body)["done"]
        self._received = b""
        self.polls += 1
        self._transport.write(self._request)

    def close(self) -> None:
        self._transport.abort()
