"""One HTTP/2 connection of asyncio's, with many exchanges at once.

Decides when bytes go out, who waits for which stream, and when a connection is worth no
further exchange. What the bytes mean is the session's business, what an outcome means the
transport's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from ..wire import Fault, NoReply
from .http2_session import Exchange, Failure, Session

__all__ = ["Connection", "NoExchange"]

_MOST_UNSENT = 1 << 20  # bytes; more is unread only by a server that makes us answer and does not listen
_MOST_EXCHANGES = 1000  # at once; servers allow some 100


class NoExchange(NoReply):
    """A request brought no reply.

    Attributes:
        repeatable: Whether the request may be sent again: the server did not act on it, or
            it does no harm and the connection was dead before it.
    """

    def __init__(self, failure: Failure, *, repeatable: bool) -> None:
        super().__init__(failure.fault, failure.why)
        self.repeatable = repeatable


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits for a stream, and how much had been heard from the server when it was opened."""

    future: asyncio.Future[Exchange]
    heard: int
    safe: bool


class Connection(asyncio.Protocol):
    """A protocol for `loop.create_connection`, over TLS.

    Args:
        origin: How failures name the server.

    Attributes:
        ready: Done when the server's settings have come; fails when the connection ends before.
        closed: Done when nothing of the connection is left.
    """

    def __init__(self, origin: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._session = Session(origin)
        self._lost = Failure(Fault.UNREACHABLE, f"{origin} ended the connection")
        self._waiting: dict[int, _Waiting] = {}
        self._turns = asyncio.Semaphore(0)
        self._transport: asyncio.Transport | None = None
        self._heard = 0
        self._flushing = False

    @property
    def usable(self) -> bool:
        """Whether a new exchange may begin."""
        return not self._session.closing and not self.closed.done()

    async def exchange(self, block: bytes, *, safe: bool) -> Exchange:
        """Sends a request and waits for the whole reply; cancelling resets the stream.

        Args:
            block: From `encode_fields`.
            safe: Whether the request may be repeated without harm (RFC 9110, section 9.2.1).

        Raises:
            NoExchange: there was no reply.
        """
        async with self._turns:
            if not self.usable:
                raise NoExchange(self._lost, repeatable=True)
            stream = self._session.open(block)
            waiting = _Waiting(self._loop.create_future(), self._heard, safe)
            self._waiting[stream] = waiting
            self._flush_soon()
            try:
                return await waiting.future
            finally:
                if self._waiting.pop(stream, None) is not None:
                    self._give_up(stream, waiting)

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
        ended = self._session.receive(data)
        if self._session.broken is not None:
            self._refuse(self._session.broken)
        elif self._session.settled and not self.ready.done():
            self._turns = asyncio.Semaphore(min(max(self._session.limit, 1), _MOST_EXCHANGES))
            self.ready.set_result(None)
        for stream, outcome in ended:
            waiting = self._waiting.pop(stream, None)
            if waiting is not None:
                _settle(waiting, outcome)
        if self._session.unsent:
            self._flush()
        self._close_if_over()

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.closing = True
        self._fail_all()
        self._refuse(self._lost)
        if not self.closed.done():
            self.closed.set_result(None)

    def _refuse(self, failure: Failure) -> None:
        """Tells whoever has opened the connection that it is of no use."""
        if not self.ready.done():
            self.ready.set_exception(NoExchange(failure, repeatable=False))
            self.ready.exception()  # nobody has to wait for it

    def _fail_all(self) -> None:
        lost, self._waiting = self._waiting, {}
        for waiting in lost.values():
            if not waiting.future.done():
                dead_before = waiting.safe and waiting.heard == self._heard
                waiting.future.set_exception(NoExchange(self._lost, repeatable=dead_before))

    def _give_up(self, stream: int, waiting: _Waiting) -> None:
        """Nobody waits for `stream` any more. A connection that has been silent since it was opened may be dead."""
        self._session.cancel(stream)
        self._flush_soon()
        if waiting.heard == self._heard:
            self._session.closing = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._session.closing and not self._waiting:
            self.close()

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


def _settle(waiting: _Waiting, outcome: Exchange | Failure) -> None:
    if waiting.future.done():
        return
    if isinstance(outcome, Failure):
        waiting.future.set_exception(NoExchange(outcome, repeatable=outcome.unprocessed))
    else:
        waiting.future.set_result(outcome)
