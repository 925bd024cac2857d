"""What is about aiohttp alone: what it says of a server without TLS, and what it takes for a reply."""

from __future__ import annotations

import asyncio

import pytest

from lro_poller.testing import Emulator
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.wire import Fault, NoReply


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
