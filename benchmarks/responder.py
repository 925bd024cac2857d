"""A server for machines without nginx, and for batches: every poll gets the same pending operation.

It looks for the ends of requests, and for the Content-IDs of batches, and for nothing else,
so that it answers faster than any client here can ask. `python -m benchmarks.responder
CERTIFICATE PORT TLS_PORT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import sys
from typing import Any, cast

from .scene import BODY

__all__: list[str] = []

_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


_PART = (
    b"--batch\r\nContent-Type: application/http\r\nContent-ID: <response-%b>\r\n\r\n"
    + _REPLY.replace(b"%", b"%%")
    + b"\r\n"
)
_CONTENT_ID = re.compile(rb"^content-id: *<?([^>\r\n]+)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


class _Answering(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # by its methods: uvloop's are of no common class

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head) if found and head.startswith(b"POST") else None
            size = int(length[1]) if length else 0
            if not found or len(rest) < size:
                return
            self._received = rest[size:]
            self._transport.write(_answer_batch(rest[:size]) if size else _REPLY)


def _answer_batch(body: bytes) -> bytes:
    parts = b"".join([_PART % name for name in _CONTENT_ID.findall(body)]) + b"--batch--\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=batch\r\nContent-Length: %d\r\n\r\n"
    return head % len(parts) + parts


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
