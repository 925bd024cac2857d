"""Servers that mean harm: each ends as a failed poll, within the poll's timeout and in bounded memory."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from lro_poller import OperationPoller, PollError, PollTimeout
from lro_poller.wire import MAX_BODY

from ..conftest import make_poller
from ..fuzz.sockets import RawServer, outcome

TIMEOUT = 5.0
DONE = b'{"done":true}'
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(DONE), DONE)
SPACES = gzip.compress(b" " * (64 << 20), mtime=0)


class Stream(RawServer):
    """Sends what a generator yields, for as long as the client listens."""

    def __init__(self, pieces: Callable[[], AsyncIterator[bytes]]) -> None:
        super().__init__(keep=True)
        self._pieces = pieces

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        async for piece in self._pieces():
            writer.write(piece)
            await writer.drain()
            if writer.is_closing():
                return


async def endless_fields() -> AsyncIterator[bytes]:
    yield OK
    while True:
        yield b"X-Field: %b\r\n" % (b"y" * 1000)


async def one_endless_field() -> AsyncIterator[bytes]:
    yield OK + b"X-Field: "
    while True:
        yield b"y" * 10_000


async def endless_first_line() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 "
    while True:
        yield b"y" * 10_000


async def trickled_fields() -> AsyncIterator[bytes]:
    for byte in OK + b"X-Field: " + b"y" * 1000:
        yield bytes([byte])
        await asyncio.sleep(1.0)


async def endless_continues() -> AsyncIterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 100
        await asyncio.sleep(0.01)  # the clock jumps while the loop is idle only


async def endless_body() -> AsyncIterator[bytes]:
    yield OK + b"Content-Length: 99999999999\r\n\r\n"
    while True:
        yield b" " * 65_536


async def endless_chunks() -> AsyncIterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b" " * 65_536 + b"\r\n"


async def endless_chunks_of_one_byte() -> AsyncIterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n"
        await asyncio.sleep(0.01)


async def endless_chunk_extension() -> AsyncIterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n1;x="
    while True:
        yield b"y" * 10_000
        await asyncio.sleep(0.01)


async def endless_trailers() -> AsyncIterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + DONE + b"\r\n0\r\n"
    while True:
        yield b"X-Field: %b\r\n" % (b"y" * 1000)


async def silence() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


ENDLESS = [
    endless_fields,
    one_endless_field,
    endless_first_line,
    trickled_fields,
    endless_continues,
    endless_body,
    endless_chunks,
    endless_chunks_of_one_byte,
    endless_chunk_extension,
    endless_trailers,
    silence,
]


def encoded(body: bytes, encoding: bytes) -> bytes:
    return OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (encoding, len(body), body)


BOMBS = {
    "gzip": encoded(SPACES, b"gzip"),
    "gzip in gzip": encoded(gzip.compress(SPACES, mtime=0), b"gzip"),
    "gzip in gzip, declared": encoded(gzip.compress(SPACES, mtime=0), b"gzip, gzip"),
    "deflate": encoded(zlib.compress(b" " * (64 << 20)), b"deflate"),
    "deflate without a header": encoded(zlib.compress(b" " * (64 << 20))[2:-4], b"deflate"),
    "many members": encoded(gzip.compress(b" " * 1000, mtime=0) * 5000, b"gzip"),
    "br": encoded(b"\x8b\x03\x80" + b"\x00" * 100, b"br"),
    "zstd": encoded(b"\x28\xb5\x2f\xfd" + b"\x00" * 100, b"zstd"),
    "an encoding nobody knows": encoded(b"\x00" * 100, b"x-secret"),
    "fields of a megabyte": OK + b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1000) for n in range(1000)) + b"\r\n",
    "ten thousand fields": OK + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
    "one huge field": OK + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n",
    "a chunk of absurd size": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n" + DONE,
    "a chunk of negative size": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + DONE,
    "a negative length": OK + b"Content-Length: -1\r\n\r\n" + DONE,
    "two lengths": OK + b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + DONE,
    "a length and chunks": OK
    + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n"
    + DONE
    + b"\r\n0\r\n\r\n",
    "no HTTP at all": DONE,
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + DONE,
    "nested": OK + b"Content-Length: 20012\r\n\r\n" + b'{"metadata":' + b"[" * 20_000,
}
HARMLESS = {"a length and chunks", "two lengths", "a negative length"}  # refused or read, as the parser will have it


async def poll_once(poller: OperationPoller) -> tuple[object, float, int]:
    """What one poll came to, how many seconds it took, and how much memory."""
    loop = asyncio.get_running_loop()
    tracemalloc.start()
    try:
        began = loop.time()
        came = await outcome(poller)
        return came, loop.time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.behaviour("B27", "B16")
@pytest.mark.parametrize("pieces", ENDLESS, ids=lambda pieces: pieces.__name__)
async def test_what_never_ends_is_cut(pieces: Callable[[], AsyncIterator[bytes]]) -> None:
    async with Stream(pieces).listen() as server, make_poller(server.origin, poll_timeout=TIMEOUT) as poller:
        came, seconds, memory = await poll_once(poller)
    assert isinstance(came, PollError)
    assert seconds <= TIMEOUT + 0.01
    assert memory < 16 * MAX_BODY


@pytest.mark.behaviour("B27", "B16")
@pytest.mark.parametrize("reply", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("keep", [False, True], ids=["closed", "kept open"])
async def test_what_blows_up_is_a_failed_poll(reply: bytes, keep: bool) -> None:
    async with (
        RawServer(reply, keep=keep).listen() as server,
        make_poller(server.origin, poll_timeout=TIMEOUT) as poller,
    ):
        came, seconds, memory = await poll_once(poller)
        assert seconds <= TIMEOUT + 0.01
        assert memory < 16 * MAX_BODY
        if reply not in [BOMBS[name] for name in HARMLESS]:
            assert isinstance(came, PollError)
        server.reply = WHOLE  # and the next poll is none the worse for it
        assert (await poller.get("operations/fuzz")).done


@pytest.mark.behaviour("B16", "B27")
async def test_a_connection_that_is_closed_after_any_byte_is_a_failed_poll_and_never_an_outcome() -> None:
    async with RawServer().listen() as server, make_poller(server.origin, poll_timeout=TIMEOUT) as poller:
        for length in range(len(WHOLE)):
            server.reply = WHOLE[:length]
            assert isinstance(await outcome(poller), PollError), WHOLE[:length]
        server.reply = WHOLE
        assert (await poller.get("operations/fuzz")).done


@pytest.mark.behaviour("B16", "B27", "B10")
async def test_a_hostile_server_cannot_hold_up_a_deadline() -> None:
    async with Stream(trickled_fields).listen() as server, make_poller(server.origin, poll_timeout=60.0) as poller:
        with pytest.raises(PollTimeout) as caught:
            await poller.submit("operations/a", deadline=3.0)
    assert caught.value.elapsed == pytest.approx(3.0, abs=0.01)
