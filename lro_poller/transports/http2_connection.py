"""One HTTP/2 connection of asyncio's, with many exchanges at once.

Decides when bytes go out, who waits for which stream, and when a connection is worth no
further exchange. What the bytes mean is the session's business, what an outcome means the
transport's.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import cast

from ..wire import Fault, NoReply
from .http2_session import Exchange, Failure, Session

__all__ = ["Connection", "NoExchange"]

_MOST_UNSENT = 1 << 20  # bytes; more is unread only by a server that makes us answer and does not listen
_SILENT = 1.0  # seconds without a word after which it may be dead: callers may give up sooner
_MOST_EXCHANGES = 1000  # at once; servers allow some 100


class NoExchange(NoReply):
    """A request brought no reply.

    Attributes:
        repeatable: Whether the request may be sent again: the server did not act on it, or
            it does no harm and the connection was dead before it.
        tried: False where it never had its turn on a connection that others have used.
    """

    def __init__(self, failure: Failure, *, repeatable: bool, tried: bool = True) -> None:
        super().__init__(failure.fault, failure.why)
        self.repeatable = repeatable
        self.tried = tried


@dataclass(eq=False, slots=True)
class _Request:
    """A request that waits for a stream, or for its reply.

    Attributes:
        block: From `encode_fields`.
        safe: Whether the request may be repeated without harm.
        reply: Done when it has ended, one way or the other.
        stream: 0 while it has none.
        heard: How much had been heard from the server when that was opened.
    """

    block: bytes = field(repr=False)  # the token is in it
    safe: bool
    reply: asyncio.Future[Exchange]
    stream: int = 0
    heard: int = 0


class Connection(asyncio.Protocol):
    """A protocol for `loop.create_connection`, over TLS.

    Args:
        origin: How failures name the server.

    Attributes:
        ready: Done when the server's settings have come; fails when the connection ends before.
        closed: Done when nothing of the connection is there any more.
        left: Whether whoever opened it has closed it: what was under way is not for another one.
    """

    def __init__(self, origin: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.left = False
        self._origin = origin
        self._session = Session(origin)
        self._lost = Failure(Fault.UNREACHABLE, f"{origin} ended the connection")
        self._line: dict[_Request, None] = {}  # those without a stream, in the order in which they came
        self._open: dict[int, _Request] = {}  # by stream
        self._transport: asyncio.Transport | None = None
        self._heard = 0
        self._asked_at = math.inf  # when the first request was sent since it was last heard
        self._flushing = False

    @property
    def usable(self) -> bool:
        """Whether a new exchange may begin."""
        return not self._session.closing and not self.closed.done()

    @property
    def in_flight(self) -> int:
        """How many exchanges are under way."""
        return len(self._open)

    @property
    def limit(self) -> int:
        """How many exchanges may be under way at once, as the server says now; others wait for a stream."""
        return min(self._session.limit, _MOST_EXCHANGES)

    async def exchange(self, block: bytes, *, safe: bool) -> Exchange:
        """Sends a request and waits for the whole reply; cancelling resets the stream.

        Args:
            block: From `encode_fields`.
            safe: Whether the request may be repeated without harm (RFC 9110, section 9.2.1).

        Raises:
            NoExchange: there was no reply.
        """
        if not self.usable:
            raise NoExchange(self._lost, repeatable=True)
        request = _Request(block, safe, self._loop.create_future())
        if self._line or len(self._open) >= self.limit:
            self._line[request] = None
        else:
            self._send(request)
        try:
            return await request.reply
        finally:
            if request in self._line:
                del self._line[request]
                self._leave_if_useless()
            if self._open.pop(request.stream, None) is not None:
                self._give_up(request)

    def leave(self) -> None:
        """Closes it for whoever has opened it: what is under way fails, and is not for another connection."""
        self.left, self._lost = True, Failure(Fault.UNREACHABLE, f"the transport to {self._origin} is closed")
        self.close()

    def close(self) -> None:
        """Takes leave of the server; what is under way fails."""
        if self._transport is not None and not self._transport.is_closing():
            self._session.leave()
            self._fail_all()
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        self._asked_at = math.inf
        ended = self._session.receive(data)
        if self._session.broken is not None:
            self._refuse(self._session.broken)
        elif self._session.settled and not self.ready.done():
            self.ready.set_result(None)
        for stream, outcome in ended:
            request = self._open.pop(stream, None)
            if request is not None:
                _settle(request, outcome)
        if self._line or self._session.closing:
            self._serve_line()
        if self._session.unsent:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.closing = True
        self._fail_all()
        self._serve_line()
        self._refuse(self._lost)
        if not self.closed.done():
            self.closed.set_result(None)

    def _refuse(self, failure: Failure) -> None:
        """Tells whoever has opened the connection that it is of no use."""
        if not self.ready.done():
            self.ready.set_exception(NoExchange(failure, repeatable=False))
            self.ready.exception()  # nobody has to wait for it

    def _serve_line(self) -> None:
        """Opens streams for whoever waits for one; where none is opened any more, all are turned away."""
        while self._line and self.usable and len(self._open) < self.limit:
            request = next(iter(self._line))
            del self._line[request]
            if not request.reply.done():  # as it is when somebody has cancelled its task
                self._send(request)
        if not self.usable:
            self._turn_away()
            if not self._open:
                self.close()

    def _send(self, request: _Request) -> None:
        request.stream, request.heard = self._session.open(request.block), self._heard
        self._open[request.stream] = request
        self._asked_at = min(self._asked_at, self._loop.time())
        self._flush_soon()

    def _turn_away(self) -> None:
        line, self._line = self._line, {}
        for request in line:
            if not request.reply.done():
                request.reply.set_exception(NoExchange(self._lost, repeatable=True, tried=not self._session.used))

    def _fail_all(self) -> None:
        lost, self._open = self._open, {}
        for request in lost.values():
            if not request.reply.done():
                dead_before = request.safe and request.heard == self._heard
                request.reply.set_exception(NoExchange(self._lost, repeatable=dead_before))

    def _give_up(self, request: _Request) -> None:
        """Nobody waits for its reply any more. A connection that has been silent for a while may be dead."""
        self._session.cancel(request.stream)
        self._flush_soon()
        if self._loop.time() - self._asked_at >= _SILENT:
            self._session.closing = True
        self._serve_line()

    def _leave_if_useless(self) -> None:
        """Somebody has waited for a stream in vain. Where the server allows none, it may be dead: nothing is sent to it."""
        if self.limit < 1 and not self._open:
            self._session.closing = True
            self._serve_line()

    def _flush_soon(self) -> None:
        """Sends at the end of this round of the loop, in one piece with what others have to send."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        transport, unsent = self._transport, self._session.unsent
        if transport is None or transport.is_closing() or not unsent:
            return
        transport.write(bytes(unsent))
        unsent.clear()
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            transport.abort()


def _settle(request: _Request, outcome: Exchange | Failure) -> None:
    if request.reply.done():
        return
    if isinstance(outcome, Failure):
        request.reply.set_exception(NoExchange(outcome, repeatable=outcome.unprocessed))
    else:
        request.reply.set_result(outcome)
