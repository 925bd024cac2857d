"""When a poll of one poller may start.

Joins what has a say in that: the budget, in whose line other pollers may stand too; how many requests the
transport takes at once; whether there is a token, and a rest after one that could not be had.
"""

from __future__ import annotations

import asyncio
import math
import time

from .engine.budget import Claimant, Limiter
from .engine.retry import retry_wait
from .sender import Sender
from .wire import Fault, NoReply

__all__ = ["TIMER_SLACK", "Turns"]

TIMER_SLACK = max(1e-6, time.get_clock_info("monotonic").resolution)
"""Seconds; a loop may ring so much early."""

_FULL_FOR = 0.25  # seconds after which a full transport is asked again: it does not tell when it takes more
_SHORTEST_LIFE = 1.0  # seconds from asking for a token until it runs out; one after the other would stop the loop


class Turns:
    """The turns of one poller, which are taken from the budget in its name.

    Attributes:
        rests_until: Until when no poll is started, for want of a token; seconds of the loop's clock.
    """

    def __init__(self, sender: Sender, limiter: Limiter, claimant: Claimant) -> None:
        self.rests_until = -math.inf
        self._loop = asyncio.get_running_loop()
        self._sender = sender
        self._limiter = limiter
        self._claimant = claimant
        self._rests = 0  # in a row
        self._news: asyncio.Future[None] | None = None  # done when there may be a turn for whoever has a new token

    def rest(self, now: float) -> None:
        """There is no token to be had: no poll is started for a while, the longer the more often that is so in a row.

        That is no matter of the budget, which pollers with other credentials may share.
        """
        if now >= self.rests_until:
            self._rests += 1
            self.rests_until = now + retry_wait(self._rests, 0.0)

    def next_time(self, now: float, due: float) -> float:
        """When to try to start a poll that is due at `due`."""
        turn = self._limiter.next_time(now, self._claimant)
        if turn == math.inf and not self._limiter.is_in_line(self._claimant):
            turn = now  # to get in line: only who stands in it is told when there is room
        again = now + _FULL_FOR if self._is_full() else now
        return max(due, turn, self.rests_until, again)

    def are_open(self, now: float) -> bool:
        """Whether a poll may be started at `now` as far as this poller alone goes, the budget aside."""
        return self.rests_until <= now and not self._is_full()

    def take(self, now: float) -> bool:
        """Takes a turn and room in the budget; False, and stands in line for it, where there is none."""
        return self._limiter.admit(now, self._claimant)

    def give_back(self) -> None:
        """The poll that had taken a turn is over: there is room for whoever waits with a new token."""
        self._limiter.finish(self._claimant)
        self.announce()  # the budget tells the others only

    def leave_line(self) -> None:
        """There is nothing to take a turn for."""
        self._limiter.leave(self._claimant)

    async def take_with_a_new_token(self) -> Exception | None:
        """Waits for a token, and then for a turn: a poll that cannot be sent takes no room from other pollers.

        Returns why there is no token; None when the turn was taken.
        """
        while True:
            began = self._loop.time()
            fault = await self._sender.fetch_token()
            if fault is not None:
                return fault
            self._rests = 0
            if await self._take_while_ready():
                return None
            if self._loop.time() < began + _SHORTEST_LIFE:
                return NoReply(Fault.UNAUTHORIZED, "the token that came had run out already")

    def announce(self) -> bool:
        """There may be a turn for whoever has a new token; whether somebody waits for that."""
        if self._news is None:
            return False
        if not self._news.done():
            self._news.set_result(None)
        return True

    async def _take_while_ready(self) -> bool:
        """Takes a turn as soon as there is one; False when the token has run out before."""
        try:
            while self._sender.ready(self._loop.time()):
                await asyncio.sleep(0)  # who was cut meanwhile, by the credentials' own code perhaps, hears of it here
                now = self._loop.time() + TIMER_SLACK
                if self.take(now):
                    return True
                when = self._limiter.next_time(now, self._claimant)
                self._news = self._loop.create_future()
                # Counted from the clock itself: from `now` a time would be left that is too short for some to advance.
                await asyncio.wait([self._news], timeout=None if when == math.inf else when - self._loop.time())
        finally:
            self._news = None
            self.leave_line()  # who has a turn stands in no line
        return False

    def _is_full(self) -> bool:
        """Whether the transport takes no more for now."""
        return not self._sender.can_send(self._claimant.in_flight)
