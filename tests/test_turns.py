"""Turns: taken when they come, by a clock of any kind."""

from __future__ import annotations

import asyncio

import pytest
from google.auth.credentials import AnonymousCredentials

from lro_poller import WORKSPACE_EVENTS
from lro_poller.auth import Authorizer
from lro_poller.engine.budget import Claimant, Limiter
from lro_poller.sender import Sender
from lro_poller.turns import Turns

from .scripted import Scripted, done

ORIGIN = WORKSPACE_EVENTS.origin


class Counting(Limiter):
    """A limiter that is asked so many times and no more."""

    asked = 0

    def admit(self, now: float, who: Claimant) -> bool:
        self.asked += 1
        assert self.asked < 10, "asked over and over"
        return super().admit(now, who)


class Poller:
    """Who takes turns, and has nothing else to do."""

    in_flight = 0

    def __init__(self) -> None:
        self.home: object = asyncio.get_running_loop()

    def nudge(self) -> None:
        """It waits for its turn anyway."""

    def is_over(self) -> bool:
        return False


@pytest.mark.behaviour("B23", "B28")
async def test_a_turn_with_a_new_token_is_taken_when_it_comes_whatever_the_clock_rounds_to() -> None:
    loop = asyncio.get_running_loop()
    for number in range(200):
        await asyncio.sleep(1.000123 + number / 1e4)
        limiter, poller = Counting(max_rate=1.0), Poller()
        limiter.join(poller)
        authorizer = Authorizer(AnonymousCredentials(), ORIGIN)
        sender = Sender(WORKSPACE_EVENTS, ORIGIN, Scripted(lambda name, attempt: done()), authorizer, 30.0)
        began = loop.time()
        assert limiter.admit(began, poller)
        assert await Turns(sender, limiter, poller).take_with_a_new_token() is None
        assert loop.time() - began == pytest.approx(1.0, abs=0.2)


@pytest.mark.behaviour("B16", "B28")
async def test_rests_without_a_token_get_longer_until_there_is_one() -> None:
    loop = asyncio.get_running_loop()
    limiter, poller = Limiter(), Poller()
    limiter.join(poller)
    authorizer = Authorizer(AnonymousCredentials(), ORIGIN)
    turns = Turns(
        Sender(WORKSPACE_EVENTS, ORIGIN, Scripted(lambda name, attempt: done()), authorizer, 30.0), limiter, poller
    )

    def rest() -> float:
        now = max(loop.time(), turns.rests_until)
        turns.rest(now)
        turns.rest(now)  # whoever else was told the same
        assert not turns.are_open(now)
        assert turns.are_open(turns.rests_until)
        return turns.rests_until - now

    first, second, third = (rest() for _ in range(3))
    assert 0 < first < second < third
    assert await turns.take_with_a_new_token() is None
    assert rest() == pytest.approx(first)
