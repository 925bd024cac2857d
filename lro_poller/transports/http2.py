"""Polls over HTTP/2: one TLS connection for all that is in flight.

Decides how the connection is opened and shared, what is sent again, and which failure is
which fault. It needs the extra `http2`.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

try:
    import aiohappyeyeballs
    import hpack
except ModuleNotFoundError as error:
    raise ImportError("HTTP/2 needs the extra http2 of lro-poller: pip install hpack aiohappyeyeballs") from error

from ..checks import check_part
from ..origin import check_origin
from ..version import __version__
from ..wire import MAX_BODY, Fault, NoReply, Reply
from . import check_home
from .addresses import look_up
from .http2_connection import Connection, NoExchange
from .http2_fields import encode_fields
from .http2_session import USUAL_LIMIT, Exchange, Failure

__all__ = ["Http2Transport"]

_CONNECT_TIMEOUT = 15.0  # seconds; all polls share one attempt, so none of theirs could end it
_NEXT_ADDRESS = 0.25  # seconds until the next address of a host is tried beside the last (RFC 8305, section 5)
_GOODBYE = 1.0  # seconds that a server has to end TLS in turn
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Http2Transport:
    """One connection to one origin, opened again when it is lost.

    It uses no proxy.

    Args:
        origin: Such as `https://workspaceevents.googleapis.com`.
        ssl_context: For a private certificate authority or a client certificate. It is set
            to offer HTTP/2 alone, so do not share it with another client.

    Raises:
        ValueError: the origin is none, or plain HTTP.
        TypeError: an argument is of another wrong type.

    Attributes:
        home: The event loop that its connections belong to; None while there are none.
    """

    library = f"rest/{hpack.__version__}"
    """How this transport names itself in x-goog-api-client."""

    def __init__(self, origin: str, *, ssl_context: ssl.SSLContext | None = None) -> None:
        if ssl_context is not None:
            check_part("ssl_context", ssl_context, ssl.SSLContext)
        parts = urlsplit(check_origin(origin, allow_http=True, what="origin"))
        assert parts.hostname is not None  # it is an origin
        if parts.scheme != "https":
            raise ValueError(f"HTTP/2 is spoken over TLS, to an origin such as 'https://example.com', not {origin!r}")
        self._origin = parts.geturl()
        self._host, self._port = parts.hostname, parts.port or 443
        self._ssl = ssl_context if ssl_context is not None else ssl.create_default_context()
        self._ssl.set_alpn_protocols(["h2"])
        about = [(":scheme", "https"), (":authority", parts.netloc)]
        common = [("accept-encoding", "identity"), ("user-agent", f"lro-poller/{__version__}")]
        self._before = {
            "GET": encode_fields([(":method", "GET"), *about]),
            "POST": encode_fields([(":method", "POST"), *about]),
        }
        self._after = {
            "GET": encode_fields(common),
            "POST": encode_fields([*common, ("content-length", "0")]),
        }
        self._forget_all(None)

    def _forget_all(self, home: asyncio.AbstractEventLoop | None) -> None:
        """Begins anew, in the event loop `home`."""
        self.home = home
        self._connection: Connection | None = None
        self._connections: set[Connection] = set()
        self._opening: tuple[asyncio.Task[None], asyncio.Future[Connection]] | None = None
        self._untold = 1  # how many may be sent while no server has said how many: those behind it would wait in here

    def __repr__(self) -> str:
        return f"<Http2Transport to {self._origin}>"

    @property
    def origin(self) -> str:
        """Where it sends to."""
        return self._origin

    def capacity(self) -> int:
        """See `Limited.capacity`. What ends on a connection that takes no more is no matter of the next one."""
        present = self._connection
        limit = self._untold if present is None else max(present.limit, 1)
        if len(self._connections) == 1 and present is not None and present.usable:
            return limit  # as it mostly is
        return limit + sum(connection.in_flight for connection in self._connections if not connection.usable)

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """See `Transport.send`."""
        block = self._encode(method, path, headers)
        try:
            exchange = await self._exchange(block, safe=method == "GET")
        except NoExchange as error:
            # One of its own for each poll: many may have waited for one connection. The cause is an OSError or none.
            failure, cause = NoReply(error.fault, error.reason), error.__cause__
        else:
            return self._reply(exchange)
        raise failure from cause

    async def aclose(self) -> None:
        """See `Transport.aclose`: what is under way fails."""
        if self.home is not asyncio.get_running_loop():
            return
        opening, connections = self._opening, list(self._connections)
        self._forget_all(None)
        try:
            if opening is not None:
                await self._stop(*opening)
        finally:
            await _close(connections)

    async def _exchange(self, block: bytes, *, safe: bool) -> Exchange:
        """Sends a request once more, over a new connection perhaps, when it cannot have done anything.

        That it waited for its turn on a connection which others' polls have used up does not count.
        """
        repeated = False
        while True:
            connection = await self._connected()
            try:
                return await connection.exchange(block, safe=safe)
            except NoExchange as error:
                if not error.repeatable or connection.left or (repeated and error.tried):
                    raise
                repeated = repeated or error.tried

    def _encode(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        if _CONTROL.search("".join((path, *headers, *headers.values()))):
            raise ValueError("a header field has a control character in it")
        fields = encode_fields(headers.items())
        return self._before[method] + encode_fields([(":path", path)]) + self._after[method] + fields

    def _reply(self, exchange: Exchange) -> Reply:
        headers, body = exchange.head.fields, bytes(exchange.body)
        coding = headers.get("Content-Encoding", "identity").strip().lower()
        return Reply(exchange.head.status, headers, body if coding == "identity" else self._decompress(coding, body))

    def _decompress(self, coding: str, body: bytes) -> bytes:
        """A body that was compressed though we asked for none; of a bomb, no more than the largest size."""
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise NoReply(Fault.BROKEN, f"{self._origin} sent a body in a coding that was not asked for")
        decompressor = zlib.decompressobj(wbits=47)  # zlib's or gzip's, whichever it is
        try:
            decoded = decompressor.decompress(body, MAX_BODY + 1)
        except zlib.error:
            decoded = b""
        if len(decoded) > MAX_BODY:
            raise NoReply(Fault.TOO_LARGE, f"{self._origin} sent a body of more than {MAX_BODY} bytes")
        if not decompressor.eof:
            raise NoReply(Fault.BROKEN, f"{self._origin} sent a body that cannot be decompressed")
        return decoded

    async def _connected(self) -> Connection:
        """The connection; opened by whoever comes first, for all. A waiter that is cancelled stops nobody's opening."""
        here = asyncio.get_running_loop()
        if self.home is not here:
            check_home(self, self.home)
            self._forget_all(here)
        if self._connection is not None and self._connection.usable:
            return self._connection
        if self._opening is None:
            opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._open(opened), name="lro-poller http2 connect")
            if opened.done():  # it has failed at once, in a task that starts eagerly
                return await opened
            self._opening = task, opened
            task.add_done_callback(lambda _: self._not_opened(opened))
        opening = self._opening[1]
        await asyncio.wait([opening])  # in place of shield, which reports a failure when nobody waits for it
        return opening.result()

    async def _stop(self, opening: asyncio.Task[None], opened: asyncio.Future[Connection]) -> None:
        """Gives up the opening of a connection."""
        opening.cancel()
        failure = Failure(Fault.UNREACHABLE, f"the transport to {self._origin} is closed")
        _fail(opened, NoExchange(failure, repeatable=False))
        await asyncio.wait([opening])

    async def _open(self, opened: asyncio.Future[Connection]) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                self._connection = await self._connect()
        except Exception as error:
            self._opening = None
            self._untold = USUAL_LIMIT  # if there is nobody who says so, many may find out together
            _fail(opened, error if isinstance(error, NoExchange) else _no_connection(self._origin, error))
        else:
            self._opening = None
            opened.set_result(self._connection)

    def _not_opened(self, opened: asyncio.Future[Connection]) -> None:
        """The task has ended without a word: somebody cancels every task there is, before its first step it may be."""
        if not opened.done():
            self._opening = None
            failure = Failure(Fault.UNREACHABLE, f"no connection to {self._origin}: connecting was cancelled")
            _fail(opened, NoExchange(failure, repeatable=False))

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await look_up(self._host, self._port)
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)
        transport, connection = await loop.create_connection(
            functools.partial(Connection, self._origin),
            sock=sock,
            ssl=self._ssl,
            server_hostname=self._host,
            ssl_shutdown_timeout=_GOODBYE,
        )
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        try:
            self._check_protocol(transport)
            await connection.ready
        except BaseException:
            connection.abort()
            raise
        return connection

    def _check_protocol(self, transport: asyncio.Transport) -> None:
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise NoExchange(_no_http2(self._origin), repeatable=False)


async def _close(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.leave()
    try:
        for connection in connections:
            await asyncio.shield(connection.closed)
    finally:
        for connection in connections:
            connection.abort()


def _fail(opened: asyncio.Future[Connection], error: NoExchange) -> None:
    opened.set_exception(error)
    opened.exception()  # nobody has to wait for it


def _no_http2(origin: str) -> Failure:
    return Failure(Fault.BROKEN, f"{origin} does not speak HTTP/2")


def _no_connection(origin: str, error: Exception) -> NoExchange:
    """Why there is no connection."""
    match error:
        case socket.gaierror(errno=socket.EAI_NONAME):
            failure = Failure(Fault.UNKNOWN_HOST, f"the host of {origin} is unknown")
        case socket.gaierror():
            failure = Failure(Fault.UNREACHABLE, f"the host of {origin} could not be looked up")
        case ssl.SSLCertVerificationError():
            failure = Failure(Fault.UNTRUSTED, f"the certificate of {origin} is not trusted")
        case ssl.SSLError(strerror=str(why)) if "no application protocol" in why:
            failure = _no_http2(origin)
        case TimeoutError():
            failure = Failure(Fault.UNREACHABLE, f"no connection to {origin} within {_CONNECT_TIMEOUT:g} seconds")
        case OSError(strerror=str(why)) if why:
            failure = Failure(Fault.UNREACHABLE, f"no connection to {origin}: {why}")
        case _:
            failure = Failure(Fault.UNREACHABLE, f"no connection to {origin}: {type(error).__name__}")
    no_exchange = NoExchange(failure, repeatable=False)
    if isinstance(error, OSError):
        error.__traceback__ = error.__context__ = None  # many polls may keep it for long
        no_exchange.__cause__ = error
    return no_exchange
