"""A server that answers with exactly the bytes it is told to, and what a poller makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from lro_poller import Operation, OperationPoller, PollError

from .answers import CORPUS, draw

__all__ = ["RawServer", "noise", "outcome"]


@dataclass
class RawServer:
    """Answers each request with `reply`, and closes the connection after it unless `keep` is set.

    Attributes:
        requests: The heads of the requests that came.
    """

    reply: bytes = b""
    keep: bool = False
    requests: list[bytes] = field(default_factory=list)
    origin: str = ""
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[RawServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.answer(writer)
                if not self.keep:
                    return
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._open.discard(task)
            writer.close()

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        """Sends the reply to one request."""
        writer.write(self.reply)
        await writer.drain()


async def outcome(poller: OperationPoller) -> Operation | PollError:
    """What one poll came to. Any other exception than the library's passes through."""
    try:
        return await poller.get("operations/fuzz")
    except PollError as error:
        str(error).encode(), repr(error).encode()
        if "in the transport" in error.reason:
            raise AssertionError("what a server sends is a broken reply at worst, never an unforeseen error") from error
        return error


def noise(seed: int, index: int) -> tuple[bytes, bool]:
    """The bytes of an answer, and whether the connection stays open after them."""
    dice = random.Random((seed << 32) + index)
    raw = dice.choice(list(CORPUS.values())) if dice.random() < 0.3 else draw(seed, index)
    answer = raw.write()
    if dice.random() < 0.5:
        head, _, body = answer.partition(b"\r\n\r\n")
        answer = b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body) + dice.choice([0, 0, 0, -1, 1]), body)
    for _ in range(dice.choice([0, 0, 1, 3])):
        at = dice.randrange(min(len(answer), 200) + 1)
        answer = answer[:at] + dice.choice(_NASTY) + answer[at + dice.randrange(3) :]
    if dice.random() < 0.1:
        answer = answer[: dice.randrange(len(answer) + 1)]
    return answer, dice.random() < 0.3


_NASTY = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b":",
        b" ",
        b"\t",
        b"HTTP/0.9 200\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: 99999999999999\r\n",
    ),
    *(b"Content-Length: -1\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"Content-Encoding: deflate\r\n", b"ffffffffffffffffff\r\n", b"0\r\n\r\n", b" folded: line\r\n", b"A" * 9000),
    *(
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/2.0 ",
        b"ICY 200 OK\r\n",
    ),
    *(b"Set-Cookie: a=b\r\n", b"Location: //\r\n", b"Retry-After: \xb2\r\n", b"Content-Type: \xff;charset=\r\n"),
]
