"""The simulated world at the other end of an HTTP/2 connection.

Everything between the poller and the bytes is the real thing, and so is the server's side:
h2, an implementation that is not ours. Only the wire is simulated: what one end writes, the
other is handed in the next step of the loop. Where the world says that a request brought no
reply, its stream is reset. Now and then the server takes leave: what it has not begun by then
is sent again, over a new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from typing import Any
from weakref import WeakKeyDictionary

import h2.exceptions
from h2.errors import ErrorCodes

from lro_poller import WORKSPACE_EVENTS
from lro_poller.transports.http2 import Http2Transport
from lro_poller.transports.http2_connection import Connection
from lro_poller.wire import NoReply

from ..transports.http2_server import Http2Server, ServerConnection, Stream
from .world import World

__all__ = ["Http2Line"]

_LEAVES_AFTER = 200  # requests on one connection
_HANDS_OVER = 4  # steps of the loop until the task of a request that was reset has ended


class Http2Line(Http2Transport):
    """What one poller sends its polls through."""

    frames_replies = True

    def __init__(self, world: World) -> None:
        super().__init__(WORKSPACE_EVENTS.origin, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self._world = world
        self._server = Http2Server(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._answer)
        self._last: WeakKeyDictionary[ServerConnection, int] = WeakKeyDictionary()  # streams of those that take leave

    @property
    def closed(self) -> bool:
        return not self._connections and not self._server.connections

    async def _connect(self) -> Connection:
        self._world.counts["connections"] += 1
        client, server = Connection(self.origin), ServerConnection(self._server)
        ours, theirs = _End(client), _End(server)
        ours.other, theirs.other = theirs, ours
        client.connection_made(ours)
        server.connection_made(theirs)
        self._connections.add(client)
        client.closed.add_done_callback(lambda _: self._connections.discard(client))
        await client.ready
        return client

    async def _answer(self, stream: Stream) -> None:
        for _ in range(_HANDS_OVER):
            await asyncio.sleep(0)
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the client does not wait any more
            try:
                await self._pass_on(stream)
            except NoReply:
                self._world.counts["streams reset"] += 1
                stream.reset()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                stream.reset(ErrorCodes.CANCEL)

    async def _pass_on(self, stream: Stream) -> None:
        last = self._last.get(stream.connection)
        if last is not None and stream.number > last:
            self._world.counts["not begun by then"] += 1
            return  # the client was told that nothing is done about it
        if last is None and stream.number > 2 * _LEAVES_AFTER:
            self._last[stream.connection] = stream.number
            self._world.counts["leaves taken"] += 1
            stream.connection.raw(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + struct.pack(">II", stream.number, 0))
        reply = await self._world.send(stream.headers[":method"], stream.headers[":path"], stream.headers)
        await stream.respond(reply.status, reply.body, [(name.lower(), value) for name, value in reply.headers.items()])


class _End(asyncio.Transport):
    """One end of a simulated wire."""

    other: _End

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            self._loop.call_soon(self.other._receive, bytes(data))

    def _receive(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)
            self._loop.call_soon(self.other.close)

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0
