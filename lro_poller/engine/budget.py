"""How many polls at once, how many a second, and what a 429 changes.

Decides when the next poll may start. One budget holds for all operations of a service, and
for all pollers that share it: a server that says "too many" means all of them, whichever
it said it to.

Polls are spaced evenly, so that the rate holds in every second and not only on average
(the generic cell rate algorithm of ITU-T I.371, with room for `burst` polls). A 429 halts
every poll for a while and then sets a limit of its own below what was just reached. The
limit returns along the cubic of RFC 9438: fast to where the trouble was, slowly past it,
fast again when none comes. So it stays just under a quota that nobody told it about, and
forgets one that is gone.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from .retry import retry_wait

__all__ = ["Budget", "Claimant"]

_FIRST_CUT = 0.5  # of the rate at which the first 429 came: the quota may be far below it
_LATER_CUT = 0.92  # of what was answered a second since the 429 before
_PLATEAU = 30.0  # seconds until the limit is where the trouble was; in as many again it is as far above
_FORGOTTEN = 600.0  # seconds without a 429 after which there is no limit any more
_SLOWEST = 0.02  # polls a second that are made however often the answer is 429
_RECENT = 5.0  # seconds over which the present rate is measured
_MOST_COUNTED = 1000  # answers that are remembered for it


class Claimant(Protocol):
    """Who takes turns: a poller."""

    def nudge(self) -> None:
        """There may be room for a poll of yours, and you are first in line: take it, or leave the line. Never raises."""


class Budget:
    """A cap on polls in flight and a rate in polls a second, for one poller or several of one event loop.

    Args:
        max_in_flight: How many polls may be under way at once.
        max_rate: How many polls may start a second, `math.inf` for no limit.
        burst: How many of them may start together after a pause; 1 spaces all of them evenly.

    Raises:
        ValueError: nothing could ever be polled.
    """

    __slots__ = (
        "_answered",
        "_burst",
        "_ceiling",
        "_cut",
        "_cut_at",
        "_epoch",
        "_in_line",
        "_paused_until",
        "_recent",
        "_throttles",
        "_turn",
        "in_flight",
        "max_in_flight",
        "max_rate",
        "throttled_polls",
    )

    def __init__(self, max_in_flight: int = 32, max_rate: float = math.inf, *, burst: int = 1) -> None:
        self.max_in_flight = _whole("max_in_flight", max_in_flight)
        if isinstance(max_rate, bool) or not isinstance(max_rate, int | float) or not max_rate > 0:
            raise ValueError(f"max_rate must be a number of polls a second above 0, not {max_rate!r}")
        self.max_rate = float(max_rate)
        self.in_flight = 0
        self.throttled_polls = 0
        """How many polls were answered with 429."""
        self._burst = _whole("burst", burst)
        self._turn = -math.inf  # when the next poll starts if all are spaced evenly
        self._paused_until = -math.inf
        self._throttles = 0  # halts in a row without an answer between them
        self._in_line: dict[Claimant, None] = {}
        # The limit that 429s have set, in polls a second; none while _ceiling is infinite.
        self._ceiling = math.inf
        self._cut = 1.0
        self._cut_at = -math.inf
        # What was answered, to know what the service allows.
        self._epoch: float | None = None  # when the last halt but one began
        self._answered = 0
        self._recent: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<Budget {self.in_flight} of {self.max_in_flight} in flight, at most {self.max_rate:g} polls/s>"

    # Turns.

    def admit(self, now: float, who: Claimant) -> bool:
        """Starts a poll of `who`, if there is room and nobody has waited longer for it; else `who` waits in line."""
        if self._is_first(who) and self.in_flight < self.max_in_flight and self._next(now) <= now:
            self._in_line.pop(who, None)
            self.in_flight += 1
            self.take_turn(now)
            self._nudge()
            return True
        self._in_line.setdefault(who)
        self._nudge(but=who)  # whoever is first may have nothing to poll any more, or no loop
        return False

    def leave(self, who: Claimant) -> None:
        """`who` has nothing to poll any more."""
        if who in self._in_line:
            del self._in_line[who]
            self._nudge()

    def next_time(self, now: float, who: Claimant | None = None) -> float:
        """When the next poll may start; `math.inf` while all that may be in flight are, or others stand before `who`.

        Whoever stands in line is nudged when that changes.
        """
        free = self.in_flight < self.max_in_flight and (who is None or self._is_first(who))
        return self._next(now) if free else math.inf

    def reserve(self, now: float) -> float:
        """Takes the next turn for a poll that is in flight already; returns when that is."""
        when = max(self._next(now), now)
        self.take_turn(when)
        return when

    def halted(self, now: float) -> bool:
        """Whether nothing is polled at `now`, by what the service said."""
        return now < self._paused_until

    def take_turn(self, now: float) -> None:
        """A request is sent."""
        self._turn = max(self._turn, now) + 1 / self.rate(now)

    def finish(self, who: Claimant) -> None:
        """A poll of `who` ended, however it did; it asks for its next turn itself."""
        self.in_flight -= 1
        self._nudge(but=who)

    def rate(self, now: float) -> float:
        """How many polls a second may start at `now`."""
        if self._ceiling == math.inf:
            return self.max_rate
        past = now - self._cut_at
        if past > _FORGOTTEN:
            self._ceiling = math.inf
            return self.max_rate
        grown = 1 + (1 - self._cut) * ((past - _PLATEAU) / _PLATEAU) ** 3
        return min(self.max_rate, max(self._ceiling * grown, _SLOWEST))

    def _next(self, now: float) -> float:
        spare = (self._burst - 1) / self.rate(now)
        return max(self._turn - spare, self._paused_until)

    def _is_first(self, who: Claimant) -> bool:
        return next(iter(self._in_line), who) is who

    def _nudge(self, but: Claimant | None = None) -> None:
        """Tells whoever is first in line that there may be room."""
        first = next(iter(self._in_line), None)
        if first is not None and first is not but:
            first.nudge()

    # What the service says.

    def answered(self, now: float) -> None:
        """The service answered a poll: what held everyone back is over."""
        self._throttles = 0
        self._answered += 1
        recent = self._recent
        recent.append(now)
        while recent[0] < now - _RECENT or len(recent) > _MOST_COUNTED:
            recent.popleft()

    def throttled(self, now: float, asked: float) -> None:
        """A poll was answered with 429: nobody polls for `asked` seconds, or for a while of our own.

        The polls that were under way together are told the same thing once each; they
        lengthen the halt at most, and lower the limit once.
        """
        self.throttled_polls += 1
        if now >= self._paused_until and self._throttles == 0:
            self._lower(now)
        self.halt(now, asked)

    def halt(self, now: float, asked: float) -> None:
        """Nobody can be polled: nothing is, for `asked` seconds, or for a while of our own."""
        if now >= self._paused_until:
            self._throttles += 1
            asked = max(asked, retry_wait(self._throttles, 0.0))
        self._paused_until = max(self._paused_until, now + asked)

    def _lower(self, now: float) -> None:
        """Sets the limit below what was just too much."""
        if self._epoch is None:
            self._cut, reached = _FIRST_CUT, self._answered_lately()
        else:
            self._cut, reached = _LATER_CUT, self._answered / (now - self._epoch)
        self._ceiling, self._cut_at = max(min(reached, self.rate(now)), _SLOWEST), now
        self._epoch, self._answered = now, 0

    def _answered_lately(self) -> float:
        """Polls answered a second, from the first to the last that is remembered."""
        recent = self._recent
        return len(recent) / max(recent[-1] - recent[0], 1.0) if recent else _SLOWEST

    def recent_rate(self, now: float) -> float:
        """How many polls were answered a second, over the last seconds."""
        return sum(when > now - _RECENT for when in self._recent) / _RECENT


def _whole(what: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} must be a whole number, 1 or more, not {value!r}")
    return value
