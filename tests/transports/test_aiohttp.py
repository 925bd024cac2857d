"""What is about aiohttp alone: proxies of the environment, and what it says of a server without TLS."""

from __future__ import annotations

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
