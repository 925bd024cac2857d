"""The emulator's batch path: many requests in one, as Google's batch endpoints take them.

Decides how a batch is read and answered. Each part goes through the application as a request of its own
would, so what an operation is scripted to answer is answered in its part; a fault that breaks the
connection breaks it for all parts.
"""

from __future__ import annotations

import asyncio
import secrets

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..status import Code
from ..transports.multipart import Message, find_boundary, read_part, split, write
from .subscriptions import ApiError

__all__ = ["BATCH_PATH", "answer_batch"]

BATCH_PATH = "/batch"

_MOST_PARTS = 100  # of Google's services


async def answer_batch(request: web.Request) -> web.Response:
    """Answers each part of a batch: all at the same time, in the order in which they came."""
    boundary = find_boundary(request.headers.get("Content-Type", ""))
    if boundary is None:
        raise _refusal("it is not multipart/mixed with a boundary")
    try:
        parts = [read_part(part) for part in split(await request.read(), boundary)]
        requests = [(name, _request(request, Message.read(content))) for name, content in parts]
    except ValueError as error:
        raise _refusal(str(error)) from error
    if not 0 < len(requests) <= _MOST_PARTS:
        raise _refusal(f"it must have between 1 and {_MOST_PARTS} parts, not {len(requests)}")
    replies = await asyncio.gather(*(_answer(request.app, part) for _, part in requests))
    ours = f"batch_{secrets.token_urlsafe(16)}"
    answers = [(_response_id(name), reply) for (name, _), reply in zip(requests, replies, strict=True)]
    return web.Response(
        body=write(ours.encode(), answers), headers={"Content-Type": f"multipart/mixed; boundary={ours}"}
    )


def _refusal(why: str) -> ApiError:
    return ApiError(Code.INVALID_ARGUMENT, f"The batch cannot be read: {why}")


def _response_id(name: str) -> str:
    """`<response-a>` to `<a>`, as Google answers."""
    return f"<response-{name.removeprefix('<')}"


def _request(outer: web.Request, message: Message) -> web.Request:
    """The request that a part holds. What the fields of the batch say holds for it, unless it says otherwise."""
    method, _, rest = message.start.decode("latin-1").strip().partition(" ")
    target, _, version = rest.rpartition(" ")
    if not (method.isalpha() and target.startswith("/") and version.startswith("HTTP/")):
        raise ValueError("a part is no HTTP request to a path")
    if target.partition("?")[0] == outer.path:
        raise ValueError("a batch within a batch")
    fields = CIMultiDict((name, value) for name, value in outer.headers.items() if _is_inherited(name))
    fields.update(message.fields)
    raw = RawRequestMessage(
        method=method,
        path=target,
        version=HttpVersion11,
        headers=CIMultiDictProxy(fields),
        raw_headers=tuple((name.encode(), value.encode()) for name, value in fields.items()),
        should_close=False,
        compression=None,
        upgrade=False,
        chunked=False,
        url=URL(target, encoded=True),
    )
    return web.Request(
        raw, _payload(outer, message.body), outer.protocol, _Capture(), outer.task, asyncio.get_running_loop()
    )


def _is_inherited(name: str) -> bool:
    return not name.lower().startswith(("content-", "transfer-", "connection"))


def _payload(outer: web.Request, body: bytes) -> StreamReader:
    reader = StreamReader(outer.protocol, 1 << 16, loop=asyncio.get_running_loop())
    reader.feed_data(body)
    reader.feed_eof()
    return reader


async def _answer(app: web.Application, request: web.Request) -> bytes:
    """The bytes that a request of its own would have been answered with."""
    capture = request.writer
    assert isinstance(capture, _Capture)
    response = await app._handle(request)
    await response.prepare(request)
    await response.write_eof()
    return bytes(capture.written)


class _Capture(AbstractStreamWriter):
    """Keeps what a response writes. Parts are not compressed, nor sent in chunks."""

    def __init__(self) -> None:
        self.written = bytearray()

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.written += chunk

    async def write_eof(self, chunk: bytes = b"") -> None:
        self.written += chunk

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        head = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
        self.written += ("\r\n".join(head) + "\r\n\r\n").encode()

    async def drain(self) -> None:
        pass

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        pass

    def enable_chunking(self) -> None:
        pass
