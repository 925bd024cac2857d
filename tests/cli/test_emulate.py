"""The emulated service as a command: it may serve for days."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from lro_poller.cli.arguments import parse
from lro_poller.cli.emulate import _emulate
from lro_poller.testing import Emulator

OPTIONS = parse(["emulate", "--port", "0", "--fault-rate", "0"])


async def test_it_keeps_nothing_of_the_requests_that_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Emulator] = []

    class Watched(Emulator):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr("lro_poller.cli.emulate.Emulator", Watched)
    serving = asyncio.create_task(_emulate(OPTIONS))
    while not (origin := capsys.readouterr().out.strip()):
        await asyncio.sleep(0.01)
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"{origin}/v1beta/operations/demo-endless") as response:
                assert response.status == 200
    assert made[0].requests == []
    serving.cancel()
    await asyncio.wait([serving])
    assert "interrupted after 3 requests" in capsys.readouterr().err
