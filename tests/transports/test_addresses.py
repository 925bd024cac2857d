"""Where a host is: looked up beside the loop, unless it is an address already."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from lro_poller.transports.addresses import look_up


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The real clock: a jumping one would outrun the thread."""
    return "asyncio", {}


@pytest.mark.parametrize("host, beside", [("localhost", True), ("127.0.0.1", False), ("::1", False)])
async def test_only_a_name_is_looked_up_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, host: str, *, beside: bool
) -> None:
    asked: list[bool] = []
    ask = socket.getaddrinfo

    def look(*args: Any, **options: Any) -> Any:
        asked.append(threading.current_thread() is not threading.main_thread())
        return ask(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    found = await look_up(host, 80)
    assert asked == [beside]
    assert {kind for _, kind, _, _, _ in found} == {socket.SOCK_STREAM}
    assert {address[1] for _, _, _, _, address in found} == {80}


async def test_an_address_of_another_family_is_none() -> None:
    with pytest.raises(socket.gaierror):
        await look_up("::1", 80, socket.AF_INET)
    ((family, *_),) = await look_up("127.0.0.1", 80, socket.AF_INET)
    assert family == socket.AF_INET
