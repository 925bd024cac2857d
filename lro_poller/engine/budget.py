"""How many polls at once, how many a second, and how a 429 halts all of them.

Decides when the next poll may start. One budget holds for all operations of a service, and
for all pollers that share it: a server that says "too many" means all of them, whichever
it said it to.

Polls are spaced evenly, so that the rate holds in every second and not only on average
(the generic cell rate algorithm of ITU-T I.371, with room for `burst` polls). A 429 halts
every poll for a while; then single polls probe until one is answered. How many a second
may start after that is told by what the service was seen to allow (`allowance.py`).
"""

from __future__ import annotations

import math
from typing import Protocol

from ..checks import check_rate, check_whole
from .allowance import Allowance
from .retry import retry_wait

__all__ = ["MAX_IN_FLIGHT", "Budget", "Claimant", "Limiter"]

MAX_IN_FLIGHT = 32
"""How many polls may be under way at once, unless somebody says otherwise."""

_LARGEST_BURST = 10**9  # polls: more than any transport carries
_LONGEST_APART = 1e100  # seconds: for ever, and still a number to count with
_PROBED_EVERY = 1.0  # seconds between polls from the end of a halt to the first answer
_IDLE = 2.0  # seconds in which a poll could have started and none did: what came before tells nothing of a quota


class Claimant(Protocol):
    """Who takes turns: a poller."""

    def nudge(self) -> None:
        """There may be room for a poll of yours, sooner than was said: take it, or leave the line. Never raises."""

    @property
    def home(self) -> object:
        """The event loop that it runs in."""
        ...

    def is_over(self) -> bool:
        """Whether none of its polls can ever end any more: its event loop is closed."""
        ...

    @property
    def in_flight(self) -> int:
        """How many of its polls are under way."""
        ...


class Budget:
    """A cap on polls in flight and a rate in polls a second, for one poller or several of one event loop.

    Args:
        max_in_flight: How many polls may be in flight at once.
        max_rate: How many polls may start a second, `math.inf` for no limit.
        burst: How many of them may start together after a pause; 1 spaces all of them evenly. Then whatever a
            timer is late by is lost: some hundredths of a rate of 100 a second. 2 makes up for it. For ten minutes
            after a 429 they are spaced evenly in any case.

    It knows nothing of what a service allows: a poller's own has 95% of the known quota for its `max_rate`, one
    that is made here has what it is given.

    Raises:
        ValueError: nothing could ever be polled.
    """

    __slots__ = ("_limiter",)

    def __init__(self, max_in_flight: int = MAX_IN_FLIGHT, max_rate: float = math.inf, *, burst: int = 1) -> None:
        self._limiter = Limiter(max_in_flight, max_rate, burst=burst)

    def __repr__(self) -> str:
        return f"<Budget {self.in_flight} of {self.max_in_flight} in flight, at most {self.max_rate:g} polls/s>"

    @property
    def max_in_flight(self) -> int:
        """How many polls may be in flight at once."""
        return self._limiter.max_in_flight

    @property
    def max_rate(self) -> float:
        """How many polls may start a second at the most, whatever the service says."""
        return self._limiter.max_rate

    @property
    def in_flight(self) -> int:
        """How many polls are in flight, of all pollers that share it."""
        return self._limiter.in_flight

    @property
    def throttled_polls(self) -> int:
        """How many polls were answered with 429."""
        return self._limiter.throttled_polls


class Limiter:
    """What a budget goes by: who may start a poll, and when.

    Attributes:
        max_in_flight: The budget's.
        in_flight: How many polls have taken a turn that is not given back.
        throttled_polls: How many polls were answered with 429.
    """

    __slots__ = (
        "_allowance",
        "_burst",
        "_claimants",
        "_in_line",
        "_next_start",
        "_nudging",
        "_paused_until",
        "_throttles",
        "in_flight",
        "max_in_flight",
        "throttled_polls",
    )

    def __init__(self, max_in_flight: int = MAX_IN_FLIGHT, max_rate: float = math.inf, *, burst: int = 1) -> None:
        self.max_in_flight = check_whole("max_in_flight", max_in_flight, 1)
        self._allowance = Allowance(check_rate("max_rate", max_rate))
        self.in_flight = 0
        self.throttled_polls = 0
        self._burst = check_whole("burst", burst, 1, _LARGEST_BURST)
        self._next_start = -math.inf  # of a poll; by how far it is past, so much of a burst was saved up
        self._paused_until = -math.inf
        self._throttles = 0  # halts in a row without an answer between them
        self._claimants: dict[Claimant, None] = {}  # who has joined, and was not forgotten, in that order
        self._in_line: dict[Claimant, None] = {}
        self._nudging = False

    # Turns.

    def admit(self, now: float, who: Claimant) -> bool:
        """Starts a poll of `who`, if there is room and nobody has waited longer for it; else `who` waits in line."""
        if self.in_flight < self.max_in_flight and (not self._in_line or self._is_first(who)) and self._next() <= now:
            self._take_turn(now)
            self.in_flight += 1
            if self._in_line:
                self._in_line.pop(who, None)
                self._nudge()
            return True
        if self.in_flight >= self.max_in_flight:
            self._reclaim()
        self._in_line.setdefault(who)
        self._nudge(but=who)  # whoever is first may have nothing to poll any more, or no loop
        return False

    def is_in_line(self, who: Claimant) -> bool:
        """Whether `who` waits for a turn, and is told when there is room."""
        return who in self._in_line

    def leave(self, who: Claimant) -> None:
        """`who` has nothing to poll any more."""
        if who in self._in_line:
            del self._in_line[who]
            self._nudge()

    def join(self, who: Claimant) -> None:
        """`who` will take turns.

        Raises:
            RuntimeError: pollers of another event loop do: what one leaves another could not be told.
        """
        if any(other.home is not who.home and not other.is_over() for other in self._claimants):
            raise RuntimeError("the budget is in use by an open poller in another event loop; each loop needs its own")
        self._claimants[who] = None

    def forget(self, who: Claimant) -> None:
        """`who` has left the line, has no poll under way, and will have none."""
        self._claimants.pop(who, None)

    def next_time(self, now: float, who: Claimant | None = None) -> float:
        """When the next poll may start; `math.inf` while the cap is reached, or others stand in line before `who`.

        Whoever stands in line is nudged when that changes.
        """
        free = self.in_flight < self.max_in_flight and (who is None or not self._in_line or self._is_first(who))
        return self._next() if free else math.inf

    def has_room(self, now: float) -> bool:
        """Whether another poll may start at `now`."""
        return self.in_flight < self.max_in_flight and not self._in_line and self._next() <= now

    def finish(self, who: Claimant) -> None:
        """A poll of `who` ended, however it did; it asks for its next turn itself."""
        if who not in self._claimants:
            return
        self.in_flight -= 1
        if self._in_line:
            self._nudge(but=who)

    def _reclaim(self) -> None:
        """Takes back what pollers held that were left behind unclosed in a loop that is closed."""
        for who in [claimant for claimant in self._claimants if claimant.is_over()]:
            del self._claimants[who]
            self._in_line.pop(who, None)
            self.in_flight -= who.in_flight

    @property
    def max_rate(self) -> float:
        """How many polls may start a second at the most, whatever the service says."""
        return self._allowance.max_rate

    @property
    def waiting(self) -> int:
        """How many pollers stand in line for a turn."""
        return len(self._in_line)

    def granted(self, now: float) -> bool:
        """Whether `max_rate` says how many polls are to be had, and the service does not say otherwise."""
        return self.max_rate < math.inf and not self._held_back(now)

    def _held_back(self, now: float) -> bool:
        """Whether the service has said lately that it is too much."""
        return self._throttles > 0 or self._allowance.is_limited(now)

    def _take_turn(self, now: float) -> None:
        """A request is sent."""
        turn, apart = self._next_start, min(1 / self._allowance.rate(now), _LONGEST_APART)
        if turn < now:
            saved = (self._burst - 1) * apart if self._burst > 1 and not self._held_back(now) else 0.0
            if now > max(turn + saved, self._paused_until) + _IDLE:
                self._allowance.idled(now)
            turn = max(turn, now - saved)
        self._next_start = turn + (max(apart, _PROBED_EVERY) if self._throttles else apart)

    def _next(self) -> float:
        return max(self._next_start, self._paused_until)

    def _is_first(self, who: Claimant) -> bool:
        return next(iter(self._in_line)) is who

    def _nudge(self, but: Claimant | None = None) -> None:
        """Tells whoever is first in line that there may be room, until one of them stays there.

        Who leaves the line comes back to here: of hundreds, each would be told from within the one before.
        """
        if self._nudging:
            return
        self._nudging, told = True, None
        try:
            while (first := next(iter(self._in_line), None)) is not None and first is not told and first is not but:
                told = first
                first.nudge()
        finally:
            self._nudging = False

    # What the service says.

    def answered(self, now: float) -> None:
        """The service answered a poll: what held everyone back is over."""
        self._allowance.answered(now)
        if self._throttles and now >= self._paused_until:  # before that, the poll was older than the halt
            self._throttles = 0
            self._allowance.relieved(now)
            # Not before now, either: whoever was held back all that time has no burst to come.
            self._next_start = max(min(self._next_start, now + 1 / self._allowance.rate(now)), now)
            # The answer was one poller's, and all may have set their timers by the halt.
            for who in tuple(self._claimants):
                who.nudge()

    def throttled(self, now: float, asked: float) -> None:
        """A poll was answered with 429: nobody polls for `asked` seconds, or for a while of our own.

        The polls that were under way together are told the same thing once each; they
        lengthen the halt at most, and count once.
        """
        self.throttled_polls += 1
        if now >= self._paused_until:
            self._allowance.refused(now, again=self._throttles > 0)
            self._throttles += 1
            asked = max(asked, retry_wait(self._throttles, 0.0))
        self._paused_until = max(self._paused_until, now + asked)

    def halted_for(self, now: float) -> float:
        """Seconds until the halt that a 429 began is over, as far as is known; 0 where there is none."""
        return max(self._paused_until - now, 0.0)

    def rate(self, now: float) -> float:
        """How many polls a second may start at `now`."""
        return self._allowance.rate(now)

    def recent_rate(self, now: float) -> float:
        """How many polls were answered a second, over the last seconds."""
        return self._allowance.recent_rate(now)
