"""A server for machines without nginx: every request gets the same pending operation.

It looks for the ends of requests and for nothing else, so that it answers faster than any
client here can ask; the benchmark prints how fast that is. `python -m benchmarks.responder
CERTIFICATE PORT TLS_PORT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from typing import Any, cast

from .scene import BODY

__all__: list[str] = []

_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


class _Answering(asyncio.Protocol):
    def __init__(self) -> None:
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # by its methods: uvloop's are of no common class

    def data_received(self, data: bytes) -> None:
        received = self._tail + data
        requests = received.count(b"\r\n\r\n")
        self._tail = received.rpartition(b"\r\n\r\n")[2]
        self._transport.write(_REPLY * requests)


async def _serve(certificate: str, plain: int, tls: int) -> None:
    loop, context = asyncio.get_running_loop(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await loop.create_server(_Answering, "127.0.0.1", plain)
    await loop.create_server(_Answering, "127.0.0.1", tls, ssl=context)
    await loop.create_future()


def _loop_factory() -> Any:
    """uvloop where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
