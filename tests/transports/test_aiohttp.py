"""What is about aiohttp alone: proxies of the environment, and what it says of a server without TLS."""

from __future__ import annotations

import asyncio

import pytest

from lro_poller import PollError
from lro_poller.testing import Emulator
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.wire import Fault, NoReply

from ..conftest import make_poller


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("asked", [False, True])
async def test_a_proxy_of_the_environment_is_used_only_when_asked_for(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = AiohttpTransport(emulator.origin, proxy_from_environment=asked)
    async with make_poller(emulator.origin, transport=transport) as poller:
        name = emulator.add_operation()
        if asked:
            with pytest.raises(PollError, match="no connection"):
                await poller.get(name)
        else:
            assert (await poller.get(name)).done


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
