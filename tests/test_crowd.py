"""Crowds under a quota, over real sockets: five hundred operations at a service that counts."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lro_poller import OperationFuture, OperationPoller, Quota
from lro_poller.testing import Emulator

from .conftest import make_poller

CROWD = 500
QUOTA = Quota(polls=600, seconds=60)


@pytest.fixture
async def busy() -> AsyncIterator[Emulator]:
    async with Emulator(quota=QUOTA) as emulator:
        yield emulator


async def crowd(emulator: Emulator, poller: OperationPoller) -> list[OperationFuture[Any]]:
    """Operations of some 40 s, started within a minute, each handed in as it was created."""
    dice = random.Random(1)
    futures = []
    for _ in range(CROWD):
        await asyncio.sleep(60 / CROWD)
        name = emulator.add_operation(duration=dice.lognormvariate(3.7, 0.6), response={"n": 1})
        futures.append(poller.submit({"name": name, "metadata": {"@type": "x.Creation"}}))
    return await poller.wait_all(futures)


@pytest.mark.behaviour("B18", "B23")
async def test_a_crowd_under_a_known_quota_meets_no_429(busy: Emulator) -> None:
    async with make_poller(busy.origin, max_rate=0.95 * QUOTA.polls / QUOTA.seconds) as poller:
        futures = await crowd(busy, poller)
        assert [future.result() for future in futures] == [{"n": 1}] * CROWD
        assert poller.stats().throttled == 0
    assert len(busy.requests) < 4 * CROWD


@pytest.mark.behaviour("B18")
async def test_a_crowd_under_a_quota_that_nobody_told_of_gets_through(busy: Emulator) -> None:
    async with make_poller(busy.origin) as poller:
        futures = await crowd(busy, poller)
        assert [future.result() for future in futures] == [{"n": 1}] * CROWD
        assert poller.stats().throttled < 0.1 * poller.stats().polls


async def test_what_was_granted_is_used_and_what_was_not_is_saved(emulator: Emulator) -> None:
    polls = []
    for rate in (math.inf, 9.5):
        async with make_poller(emulator.origin, max_rate=rate) as poller:
            future = poller.submit(emulator.add_operation(duration=600))
            await future
            polls.append(future.polls)
    unknown, granted = polls
    assert 1.5 * unknown < granted < 3 * unknown


async def test_a_poll_beyond_the_quota_is_refused_and_does_not_count() -> None:
    async with (
        Emulator(quota=Quota(polls=2, seconds=10)) as emulator,
        make_poller(emulator.origin, max_poll_failures=0) as poller,
    ):
        name = emulator.add_operation(duration=None)
        outcomes = [await asyncio.gather(poller.get(name), return_exceptions=True) for _ in range(3)]
        assert [type(outcome).__name__ for (outcome,) in outcomes] == ["Operation", "Operation", "PollError"]
        await asyncio.sleep(11)
        assert not (await poller.get(name)).done
