"""Polls over aiohttp, HTTP/1.1.

Decides how a connection is used and which of aiohttp's errors is which fault. Its limits
are ours to set, because aiohttp's defaults follow redirects, keep cookies, drop idle
connections after 15 s and read bodies without end.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Mapping
from typing import cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from ..checks import check_part
from ..origin import check_origin
from ..version import __version__
from ..wire import MAX_BODY, Fault, NoReply, Reply
from . import check_home
from .addresses import look_up
from .proxy import proxy_of_environment

__all__ = ["AiohttpTransport"]

_URLS = 1024  # that are kept, of the operations that were polled last
_MOST_UNREAD = 64  # replies on one connection, informational ones among them
_KEEP_ALIVE = 90.0  # seconds; polls come every 20 s or so, and a new TLS connection costs more than a parked one


class _Exchanges(ResponseHandler):
    """One connection. One on which something came that nobody had asked for is not used again.

    aiohttp would take it for the reply to the next request (RFC 9112, section 9.2, forbids that), and keep all of it.
    It is ended without a word: a server that does not take leave in turn, as TLS has it, would keep the socket.
    """

    __slots__ = ()

    def is_connected(self) -> bool:
        return super().is_connected() and not self.should_close

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        super().feed_data(data, size)
        if len(self._buffer) > _MOST_UNREAD:
            self.abort()

    def close(self) -> None:
        self.abort()


class _Resolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address[0], port=address[1], family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in await look_up(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is held."""


class AiohttpTransport:
    """One session to one origin.

    Args:
        origin: Such as `https://workspaceevents.googleapis.com`.
        ssl_context: For a private certificate authority or a client certificate.
        proxy_from_environment: Whether HTTPS_PROXY, ALL_PROXY and NO_PROXY are heeded, as they are now; a token then
            passes through the proxy's tunnel. Plain HTTP goes through no proxy.

    Raises:
        ValueError: the origin is none, or the environment names no proxy that could be used.
        TypeError: an argument is of another wrong type.

    Attributes:
        home: The event loop that its connections belong to; None while there are none.
    """

    library = f"rest/{aiohttp.__version__}"
    """How this transport names itself in x-goog-api-client."""

    def __init__(
        self, origin: str, *, ssl_context: ssl.SSLContext | None = None, proxy_from_environment: bool = False
    ) -> None:
        self._origin = origin = check_origin(origin, allow_http=True, what="origin")
        if ssl_context is not None:
            check_part("ssl_context", ssl_context, ssl.SSLContext)
        check_part("proxy_from_environment", proxy_from_environment, bool)
        # A URL works out its parts once, and they are asked for at every poll.
        self._url = functools.lru_cache(_URLS)(functools.partial(URL(origin).with_path, encoded=True))
        self._ssl: ssl.SSLContext | bool = ssl_context if ssl_context is not None else True
        self._proxy = proxy_of_environment(URL(origin)) if proxy_from_environment else None
        self.home: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<AiohttpTransport to {self._origin}>"

    @property
    def origin(self) -> str:
        """Where it sends to."""
        return self._origin

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, limit: int = MAX_BODY
    ) -> Reply:
        """See `Transport.send`. A `body` may be sent along, and `limit` bytes of a body are read."""
        session = self._session
        if session is None or self.home is not asyncio.get_running_loop():
            session = self._open()
        try:
            # Not as a context manager: a reply that was read to its end has given its connection back already.
            response = await session.request(method, self._url(path), headers=headers, data=body, allow_redirects=False)
            try:
                content = response.content
                read = content.read_nowait()  # mostly it is here already, and else it is nothing
                if len(read) > limit or not content.at_eof():
                    read = await self._read_on(content, read, limit)
                return Reply(response.status, response.headers, read)
            except BaseException:
                response.close()
                raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: aiohttp lets some of the parser's and the decompressor's escape.
            failure = self._no_reply(error)
            cause = _system_error(error)
            if cause is not None:
                # The frames it came through hold the request with its token, and may be kept for long.
                cause.__traceback__ = cause.__context__ = None
        raise failure from cause

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        session = self._session
        if session is not None and self.home is asyncio.get_running_loop():
            self._session = self.home = None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        check_home(self, self.home)
        self.home = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE, ssl=self._ssl, resolver=_Resolver())
        # No public way leads there; a test has a server that says too much.
        connector._factory = functools.partial(cast("type[ResponseHandler]", _Exchanges), loop=connector._loop)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # none: the poller's own are exact
            proxy=self._proxy,
            headers={"Accept-Encoding": "identity", "User-Agent": f"lro-poller/{__version__}"},
        )
        return self._session

    async def _read_on(self, content: aiohttp.StreamReader, begun: bytes, limit: int) -> bytes:
        """The decoded body, of which a part was read. aiohttp bounds the pieces, also those out of a gzip bomb."""
        pieces, size = [begun], len(begun)
        while size <= limit:
            piece = await content.readany()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        raise NoReply(Fault.TOO_LARGE, f"{self._origin} sent a body of more than {limit} bytes")

    def _no_reply(self, error: Exception) -> NoReply:
        origin, fault = self._origin, Fault.UNREACHABLE
        match error:
            case aiohttp.ClientHttpProxyError():
                what = f"the proxy does not connect to {origin}: HTTP {error.status}"
            case aiohttp.ClientConnectorError() if self._is_of_the_proxy(error):
                cause = _system_error(error)
                why = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
                what = f"no connection to {origin}: the proxy cannot be reached: {why}"
            case aiohttp.ClientConnectorDNSError(os_error=socket.gaierror(errno=socket.EAI_NONAME)):
                fault, what = Fault.UNKNOWN_HOST, f"the host of {origin} is unknown"
            case aiohttp.ClientConnectorDNSError():
                what = f"the host of {origin} could not be looked up"
            case aiohttp.ClientConnectorCertificateError():
                fault, what = Fault.UNTRUSTED, f"the certificate of {origin} is not trusted"
            case aiohttp.ClientConnectorError(os_error=OSError(strerror=str(why))) if why:
                hint = "; does it speak TLS at that port?" if "WRONG_VERSION_NUMBER" in why else ""
                what = f"no connection to {origin}: {why}{hint}"
            case aiohttp.ClientConnectorError() | aiohttp.ServerDisconnectedError() | OSError():
                what = f"the connection to {origin} failed: {type(error).__name__}"
            case _:
                fault, what = Fault.BROKEN, f"{origin} sent a broken reply: {type(error).__name__}"
        return NoReply(fault, what)

    def _is_of_the_proxy(self, error: aiohttp.ClientConnectorError) -> bool:
        """Whether it is about the connection to the proxy, and not about what its tunnel leads to."""
        return self._proxy is not None and (error.host, error.port) == (self._proxy.raw_host, self._proxy.port)


def _system_error(error: Exception) -> Exception | None:
    """The system's own error in one of aiohttp's; None where there is none.

    aiohttp's hold more: the request with its token, pieces of the body, the proxy's password.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return error.certificate_error
        case aiohttp.ClientConnectorError():
            return error.os_error
        case OSError():
            return error
    return None
