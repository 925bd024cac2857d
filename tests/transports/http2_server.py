"""A small HTTP/2 server over TLS, on the h2 library: an implementation that is not ours.

`Http2Server` answers by a handler; `gateway` makes one that passes everything on to an
HTTP/1.1 origin, so that the emulator's faults reach an HTTP/2 client too.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

import aiohttp
import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from yarl import URL

Handler = Callable[["Stream"], Awaitable[None]]


class Http2Server:
    """Serves on 127.0.0.1 while its block is open.

    Attributes:
        connections: Those that are open.
        accepted: How many there have been.
        resets: The streams that clients have reset, by their numbers.
        settings: What it tells its clients.
    """

    def __init__(self, ssl_context: ssl.SSLContext, handler: Handler) -> None:
        ssl_context.set_alpn_protocols(["h2"])
        self.origin = ""
        self.connections: list[ServerConnection] = []
        self.accepted = 0
        self.resets: list[int] = []
        self.settings: dict[SettingCodes, int] = {}
        self._ssl = ssl_context
        self.handler = handler

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ServerConnection(self), "127.0.0.1", 0, ssl=self._ssl)
        self.origin = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
            await connection.lost
        await self._server.wait_closed()


class ServerConnection(asyncio.Protocol):
    """One client."""

    transport: asyncio.Transport

    def __init__(self, server: Http2Server) -> None:
        self.server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.window_opened = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.accepted += 1
        self.server.connections.append(self)
        self.h2.local_settings = Settings(client=False, initial_values=self.server.settings)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(number), headers=headers):
                stream = Stream(self, number, [(str(name), str(value)) for name, value in headers])
                self.tasks[number] = asyncio.create_task(self._answer(stream))
            case h2.events.StreamReset(stream_id=int(number)):
                self.server.resets.append(number)
                if number in self.tasks:
                    self.tasks[number].cancel()
            case h2.events.WindowUpdated():
                self.window_opened.set()
                self.window_opened = asyncio.Event()

    async def _answer(self, stream: Stream) -> None:
        await self.server.handler(stream)
        self.tasks.pop(stream.number, None)

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self.tasks.values():
            task.cancel()
        self.server.connections.remove(self)
        self.lost.set_result(None)

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def allow(self, streams: int) -> None:
        """Tells the client that so many streams may be open at once from now on."""
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()

    def raw(self, *frames: bytes) -> None:
        """Sends frames that h2 would not."""
        self.transport.write(b"".join(frames))


class Stream:
    """One request, and its reply in parts."""

    def __init__(self, connection: ServerConnection, number: int, headers: list[tuple[str, str]]) -> None:
        self.connection = connection
        self.number = number
        self.headers = dict(headers)

    async def respond(self, status: int = 200, body: bytes = b"{}", headers: Iterable[tuple[str, str]] = ()) -> None:
        """The whole reply."""
        self.begin(status, headers)
        await self.send(body, end=True)

    def begin(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """The header fields."""
        self.connection.h2.send_headers(self.number, [(":status", str(status)), *headers])
        self.connection.flush()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """A piece of the body, as the client's windows allow."""
        machine, position = self.connection.h2, 0
        while position < len(data):
            size = min(machine.local_flow_control_window(self.number), machine.max_outbound_frame_size)
            if not size:
                await self.connection.window_opened.wait()
                continue
            machine.send_data(self.number, data[position : position + size])
            position += size
            self.connection.flush()
        if end:
            machine.end_stream(self.number)
            self.connection.flush()

    def reset(self, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        """The end of the stream, without the rest of the reply."""
        self.connection.h2.reset_stream(self.number, code)
        self.connection.flush()


def gateway(origin: str) -> Handler:
    """Passes requests on to `origin`; where that breaks off, so does the stream."""

    async def forward(stream: Stream) -> None:
        url = URL(origin + stream.headers[":path"], encoded=True)
        sent = {name: value for name, value in stream.headers.items() if not name.startswith(":")}
        connector = aiohttp.TCPConnector(force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
                session.request(stream.headers[":method"], url, headers=sent, allow_redirects=False) as response,
            ):
                dropped = ("connection", "transfer-encoding")
                fields = [(name.lower(), value) for name, value in response.headers.items()]
                stream.begin(response.status, [field for field in fields if field[0] not in dropped])
                async for piece in response.content.iter_any():
                    await stream.send(piece)
                await stream.send(b"", end=True)
        except aiohttp.ClientError:
            stream.reset()

    return forward
