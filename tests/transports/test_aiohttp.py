"""What is about aiohttp alone: what it says of a server without TLS, and what it takes for a reply."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import aiohttp
import pytest

from lro_poller.testing import Emulator
from lro_poller.threads import in_daemon_thread
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.wire import Fault, NoReply

from .conftest import Contexts


async def test_a_server_without_tls_behind_https_is_told(emulator: Emulator) -> None:
    transport = AiohttpTransport(emulator.origin.replace("http://", "https://"))
    with pytest.raises(NoReply, match="does it speak TLS at that port") as caught:
        await transport.send("GET", "/v1beta/operations/a", {})
    assert caught.value.fault is Fault.UNREACHABLE
    await transport.aclose()


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize(
    "stray",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"x",
    ],
    ids=["reply", "refusal", "byte"],
)
async def test_what_nobody_asked_for_is_nobodys_reply(stray: bytes) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while head := await reader.read(4096):
            path = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
            if path == b"/v1/b":
                await asyncio.sleep(0.1)
                writer.write(stray)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = AiohttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        for name in ("a", "b", "c", "d"):
            assert (await transport.send("GET", f"/v1/{name}", {})).body == f"/v1/{name}".encode()
            await asyncio.sleep(1)
        await transport.aclose()
    assert connections == 2


@pytest.mark.behaviour("B19", "B27")
async def test_an_idle_connection_takes_in_no_flood() -> None:
    """Of replies that nobody asked for a few are enough: the connection is ended, and not when it is used next."""
    flood, sent = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1000, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await asyncio.sleep(1)
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                writer.write(flood)
                await writer.drain()
                sent += len(flood)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = AiohttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        assert (await transport.send("GET", "/v1/a", {})).body == b"{}"
        await asyncio.sleep(60)
        await transport.aclose()
    assert sent < 32 << 20


@pytest.mark.behaviour("B21")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the server is a thread
@pytest.mark.parametrize("when", ["after a reply", "after a poll that was cut"])
async def test_closing_waits_for_no_server_to_take_leave(contexts: Contexts, when: str) -> None:
    asked, over = threading.Event(), threading.Event()

    def serve() -> bool:
        """Answers, or not, and then neither reads nor writes; whether the connection was ended from the other end."""
        plain = listener.accept()[0]
        with contexts.theirs.wrap_socket(plain, server_side=True) as secure:
            secure.recv(4096)
            if when == "after a reply":
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            asked.set()
            over.wait(10)
            with socket.socket(fileno=secure.detach()) as raw:
                raw.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    while raw.recv(4096):
                        pass
                return True

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.ensure_future(in_daemon_thread(serve))
        origin = f"https://127.0.0.1:{listener.getsockname()[1]}"
        transport = AiohttpTransport(origin, ssl_context=contexts.ours)
        polling = asyncio.ensure_future(transport.send("GET", "/v1/a", {}))
        await in_daemon_thread(lambda: asked.wait(10))
        if when == "after a reply":
            await polling
            await transport.aclose()
        else:
            polling.cancel()
            await asyncio.wait([polling])
        over.set()
        assert await serving
        await transport.aclose()


@pytest.mark.behaviour("B24", "B26")
async def test_what_a_failure_came_through_is_not_kept_with_it() -> None:
    async with contextlib.aclosing(AiohttpTransport("http://127.0.0.1:1")) as transport:
        with pytest.raises(NoReply) as caught:
            await transport.send("GET", "/v1/a", {"authorization": "Bearer SECRET"})
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert (cause.__traceback__, cause.__context__) == (None, None)


@pytest.mark.behaviour("B16", "B26")
@pytest.mark.parametrize(
    "error, fault", [(ConnectionResetError("SECRET"), Fault.UNREACHABLE), (ValueError("SECRET"), Fault.BROKEN)]
)
async def test_what_aiohttp_lets_escape_is_a_failed_poll(
    monkeypatch: pytest.MonkeyPatch, error: Exception, fault: Fault
) -> None:
    async def request(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    async with contextlib.aclosing(AiohttpTransport("https://example.com")) as transport:
        with pytest.raises(NoReply) as caught:
            await transport.send("GET", "/v1/a", {})
    assert caught.value.fault is fault
    assert caught.value.reason.endswith(f": {type(error).__name__}")
    assert caught.value.__cause__ is (error if isinstance(error, OSError) else None)
