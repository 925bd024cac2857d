"""What the frames of one HTTP/2 connection mean to a client (RFC 9113).

Bytes in, ended exchanges out: it reads no clock and does no I/O. It speaks the part of the
protocol that requests without a body need. It sends no data, hence waits for no window; it
turns server push off. Whatever a server could make grow has a bound. A fault in one
exchange ends that exchange, a fault in the framing ends the connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..wire import MAX_BODY, Fault
from .http2_fields import EMPTY_TABLE, MAX_FIELDS, NO_HEAD, FieldsReader, Head

__all__ = ["USUAL_LIMIT", "Exchange", "Failure", "Outcome", "Session"]

_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 5, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_CONCURRENT_STREAMS = 1, 2, 3
_INITIAL_WINDOW_SIZE, _MAX_HEADER_LIST_SIZE = 4, 6
_PROTOCOL_ERROR, _REFUSED_STREAM, _CANCEL, _ENHANCE_YOUR_CALM = 1, 7, 8, 11

_MAX_FRAME = 1 << 14  # RFC 9113, section 4.2: what a server may send while we announce nothing larger
_MAX_BLOCK = 1 << 15  # bytes of a reply's header fields as they are sent: CONTINUATION could go on for ever
_MOST_USELESS = 10_000  # frames in a row: a server that pings each ten seconds does so for a day
_FRAMES_A_REPLY = 8
_STREAM_WINDOW = MAX_BODY + _MAX_FRAME  # a body of the largest size never waits for us, but for its padding
_CONNECTION_WINDOW = 1 << 26
_LAST_STREAM = (1 << 31) - 1
USUAL_LIMIT = 100  # exchanges at once, until the server says: what RFC 9113 recommends as the least
_SETTINGS_SENT = {
    _HEADER_TABLE_SIZE: 0,
    _ENABLE_PUSH: 0,
    _INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
    _MAX_HEADER_LIST_SIZE: MAX_FIELDS,
}


@dataclass(slots=True)
class Exchange:
    """A reply as far as it has come."""

    head: Head = NO_HEAD
    body: bytearray = field(default_factory=bytearray, repr=False)
    padding: int = 0  # bytes of the stream's window that are used up by what is no body


@dataclass(frozen=True, slots=True)
class Failure:
    """An exchange ended without a reply.

    Attributes:
        why: What happened, in words that name the origin.
        unprocessed: Whether the server is known not to have acted on the request (RFC 9113, section 8.7).
    """

    fault: Fault
    why: str
    unprocessed: bool = False


Outcome: TypeAlias = "Exchange | Failure"


class _MalformedError(Exception):
    """A frame that the protocol does not allow; the text says what the server did."""

    def __init__(self, what: str, code: int = _PROTOCOL_ERROR) -> None:
        super().__init__(what)
        self.code = code


class Session:
    """One connection, from its preface to its end.

    Args:
        origin: How failures name the server.

    Attributes:
        unsent: Bytes for the server; whoever sends them clears it.
        settled: Whether the server's settings have come: it does speak HTTP/2.
        limit: How many exchanges the server allows at once.
        closing: Whether there may be no new exchange.
        broken: The fault in the framing that ended the connection.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.unsent = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._queue(_SETTINGS, 0, 0, b"".join(struct.pack(">HI", *setting) for setting in _SETTINGS_SENT.items()))
        self._queue(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _CONNECTION_WINDOW))
        self.settled = False
        self.limit = USUAL_LIMIT
        self.closing = False
        self.broken: Failure | None = None
        self._reader = FieldsReader()
        self._exchanges: dict[int, Exchange] = {}
        self._next = 1
        self._rest = b""
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags and header block, until it is whole
        self._consumed = 0
        self._useless = 0  # frames in a row that brought no reply any further
        self._ended: list[tuple[int, Outcome]] = []

    @property
    def used(self) -> bool:
        """Whether there was any exchange."""
        return self._next > 1

    def open(self, block: bytes) -> int:
        """Queues a request without a body; returns the number of its stream.

        Args:
            block: From `encode_fields`.
        """
        stream = self._next
        if stream == 1:
            block = EMPTY_TABLE + block
        self._next += 2
        if self._next > _LAST_STREAM:
            self.closing = True
        self._exchanges[stream] = Exchange()
        self._useless = max(0, self._useless - _FRAMES_A_REPLY)  # its reply may come when nobody waits for it any more
        kind, flags = _HEADERS, _END_STREAM
        while len(block) > _MAX_FRAME:  # as of a long name
            self._queue(kind, flags, stream, block[:_MAX_FRAME])
            kind, flags, block = _CONTINUATION, 0, block[_MAX_FRAME:]
        self._queue(kind, flags | _END_HEADERS, stream, block)
        return stream

    def cancel(self, stream: int) -> None:
        """Tells the server that nobody waits for `stream` any more."""
        if self._exchanges.pop(stream, None) is not None:
            self._queue(_RST_STREAM, 0, stream, struct.pack(">I", _CANCEL))

    def leave(self, code: int = 0) -> None:
        """Tells the server that the connection ends, once: after a fault it has heard so, and why."""
        self.closing = True
        if self.broken is None:
            self._queue(_GOAWAY, 0, 0, struct.pack(">II", 0, code))

    def receive(self, data: bytes) -> list[tuple[int, Outcome]]:
        """Takes in what has come; returns the exchanges that it ended. Never raises.

        After a fault in the framing that is every exchange, and nothing more is taken in.
        """
        if self.broken is not None:
            return []
        data = self._rest + data if self._rest else data
        position, end = 0, len(data)
        try:
            while end - position >= 9:
                size = int.from_bytes(data[position : position + 3], "big")
                too_large = "sent a frame of more than 16384 bytes" if self.settled else "does not speak HTTP/2"
                _require(size <= _MAX_FRAME, too_large)
                begin, position = position + 9, position + 9 + size
                if position > end:
                    position = begin - 9
                    break
                stream = int.from_bytes(data[begin - 4 : begin], "big") & _LAST_STREAM
                self._take(data[begin - 6], data[begin - 5], stream, data[begin:position])
            self._rest = data[position:]
        except _MalformedError as error:
            self.leave(error.code)
            self.broken = self._failure(Fault.BROKEN, str(error))
            self._ended += [(stream, self.broken) for stream in self._exchanges]
            self._exchanges.clear()
        ended, self._ended = self._ended, []
        return ended

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Takes one frame. What a client need not understand is passed over (RFC 9113, section 4.1)."""
        _require(self.settled or kind == _SETTINGS, "does not speak HTTP/2")
        _require((self._block is not None) == (kind == _CONTINUATION), "broke off its header fields")
        self._useless += 1  # unless it proves to be of use
        take = _TAKERS.get(kind)
        if take is not None:
            take(self, flags, stream, payload)
        _require(self._useless <= _MOST_USELESS, "sent frames without end", _ENHANCE_YOUR_CALM)

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        _require(len(payload) % 6 == 0, "sent malformed SETTINGS")
        settings = dict(struct.iter_unpack(">HI", payload))
        self.limit = settings.get(_MAX_CONCURRENT_STREAMS, self.limit)
        self.settled = True
        self._queue(_SETTINGS, _ACK, 0, b"")

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        _require(len(payload) == 8, "sent a malformed PING")
        if not flags & _ACK:
            self._queue(_PING, _ACK, 0, payload)

    def _take_promise(self, flags: int, stream: int, payload: bytes) -> None:
        raise _MalformedError("pushed what nobody asked for")

    def _take_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        _require(len(payload) >= 8, "sent a malformed GOAWAY")
        self.closing = True
        last = int.from_bytes(payload[:4], "big") & _LAST_STREAM
        for dropped in [opened for opened in self._exchanges if opened > last]:
            self._end(dropped, self._failure(Fault.UNREACHABLE, "ended the connection", unprocessed=True))

    def _take_reset(self, flags: int, stream: int, payload: bytes) -> None:
        _require(len(payload) == 4 and self._known(stream), "sent a malformed RST_STREAM")
        code = int.from_bytes(payload, "big")
        why, unprocessed = f"reset the stream (code {code})", code == _REFUSED_STREAM
        self._end(stream, self._failure(Fault.UNREACHABLE, why, unprocessed=unprocessed))

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        _require(self._known(stream), "answered what nobody asked")
        block = _unpadded(flags, payload)
        if flags & _PRIORITY:
            _require(len(block) >= 5, "sent malformed HEADERS")
            block = block[5:]
        if flags & _END_HEADERS:
            self._take_block(stream, flags, block)
        else:
            self._block = (stream, flags, bytearray(block))

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        assert self._block is not None
        begun, first_flags, block = self._block
        block += payload
        whole = bool(flags & _END_HEADERS)
        _require(
            stream == begun and len(block) <= _MAX_BLOCK and (bool(payload) or whole), "sent header fields without end"
        )
        if flags & _END_HEADERS:
            self._block = None
            self._take_block(stream, first_flags, bytes(block))

    def _take_block(self, stream: int, flags: int, block: bytes) -> None:
        """A whole header block: informational, of the reply, or trailers. It is decoded even if nobody waits for it."""
        try:
            head = self._reader.read(block)
        except ValueError as error:
            raise _MalformedError("sent header fields that cannot be decoded") from error
        exchange = self._exchanges.get(stream)
        if exchange is None:
            return
        ended = exchange.head.status >= 200  # then these are trailers
        if head.malformed or (ended and (head.status or not flags & _END_STREAM)):
            self._break(stream, self._failure(Fault.BROKEN, "sent malformed header fields"))
            return
        if not ended:
            exchange.head = head
        if head.status >= 200:
            self._useless = 0
        if flags & _END_STREAM:
            self._finish(stream, exchange)
        elif exchange.head.status == 0:
            self._break(stream, self._without_status())

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        _require(self._known(stream), "answered what nobody asked")
        self._reopen(len(payload))
        data = _unpadded(flags, payload)
        exchange = self._exchanges.get(stream)
        if exchange is None:
            return
        if exchange.head.status < 200 and not flags & _END_STREAM:
            self._break(stream, self._without_status())
            return
        if len(exchange.body) + len(data) > MAX_BODY:
            self._break(stream, self._failure(Fault.TOO_LARGE, f"sent a body of more than {MAX_BODY} bytes"))
            return
        exchange.body += data
        if data:
            self._useless = 0
        if flags & _END_STREAM:
            self._finish(stream, exchange)
        else:
            self._reopen_stream(stream, exchange, len(payload) - len(data))

    def _reopen_stream(self, stream: int, exchange: Exchange, padding: int) -> None:
        """Lets the server send on over the stream, whose window has room for the largest body and no more."""
        exchange.padding += padding
        if exchange.padding >= _MAX_FRAME // 2:
            self._queue(_WINDOW_UPDATE, 0, stream, struct.pack(">I", exchange.padding))
            exchange.padding = 0

    def _reopen(self, size: int) -> None:
        """Lets the server send on over the connection."""
        self._consumed += size
        if self._consumed >= _CONNECTION_WINDOW // 2:
            self._queue(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._consumed))
            self._consumed = 0

    def _finish(self, stream: int, exchange: Exchange) -> None:
        """The server has said that the reply is whole; held against what it announced."""
        status, announced = exchange.head.status, exchange.head.fields.get("content-length")
        if status < 200:
            self._end(stream, self._without_status())
        elif announced is not None and announced != str(len(exchange.body)) and status != 304:
            self._end(stream, self._failure(Fault.BROKEN, "sent a body of another length than announced"))
        else:
            self._end(stream, exchange)

    def _break(self, stream: int, failure: Failure) -> None:
        self._end(stream, failure)
        self._queue(_RST_STREAM, 0, stream, struct.pack(">I", _CANCEL))

    def _end(self, stream: int, outcome: Outcome) -> None:
        if self._exchanges.pop(stream, None) is not None:
            self._ended.append((stream, outcome))

    def _failure(self, fault: Fault, what: str, *, unprocessed: bool = False) -> Failure:
        return Failure(fault, f"{self._origin} {what}", unprocessed)

    def _without_status(self) -> Failure:
        return self._failure(Fault.BROKEN, "sent a reply without a status")

    def _known(self, stream: int) -> bool:
        """Whether `stream` is one that was opened here, whatever became of it."""
        return stream % 2 == 1 and stream < self._next

    def _queue(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.unsent += struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


_TAKERS: dict[int, Callable[[Session, int, int, bytes], None]] = {
    _DATA: Session._take_data,
    _HEADERS: Session._take_headers,
    _RST_STREAM: Session._take_reset,
    _SETTINGS: Session._take_settings,
    _PUSH_PROMISE: Session._take_promise,
    _PING: Session._take_ping,
    _GOAWAY: Session._take_goaway,
    _CONTINUATION: Session._take_continuation,
}


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    _require(len(payload) > 0 and payload[0] < len(payload), "sent malformed padding")
    return payload[1 : len(payload) - payload[0]]


def _require(held: bool, what: str, code: int = _PROTOCOL_ERROR) -> None:  # noqa: FBT001  # reads as the rule it is
    if not held:
        raise _MalformedError(what, code)
