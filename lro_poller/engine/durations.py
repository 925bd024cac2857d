"""How long operations of one kind have taken, in bounded space.

Decides which operations are followed to their end, and what is remembered of those that have
ended. What is believed by that of the next one is `estimate`'s business.

Of operations that started together the short ones end first, and whoever learned from ends
alone would expect too little. So what is known is told of a cohort: all that began after a
certain time, those that still run included, which have taken longer than they were last
seen running. When more start than can be followed, most are passed over: nothing is known of
how long one will take when it starts, so the rest are like all. Those that are followed are,
nearly all, followed to their end, and what ended meanwhile is remembered until then. Or of
ten thousand that take minutes only the first seconds would be known, and of a tenth that takes
much longer than the rest nothing.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol

from .estimate import BINS, LATEST, PRIOR, Estimate, Interval
from .outlook import AGES

__all__ = ["Durations", "Followed"]

_MEMORY = 1000  # operations that have ended
_MOST_REMEMBERED = 4000  # where more are needed to reach back so far:
_REACH = 1.5  # of the age of who is followed longest, so that the ends of its like are among them
_MOST_FOLLOWED = 256  # that run
_LEAST_PATIENCE = 8  # new operations that find no place
_MOST_PATIENCE = 1024  # of a quarter of a million that run nearly all of those that are followed are seen to end
_ENDS_TO_A_LOSS = 32  # so that only of the slowest three of a hundred the end is not seen


class Followed(Protocol):
    """An operation that was seen running: since when, and when last, in seconds of one clock."""

    began: float
    seen: float


class _Case:
    """What is known of one operation's duration."""

    __slots__ = ("_interval", "_operation", "began")

    def __init__(self, began: float, operation: Followed | None, interval: Interval) -> None:
        self.began = began  # math.inf for a duration that was told
        self._operation = operation
        self._interval = interval

    def interval(self) -> Interval:
        """While it runs, it takes longer than it was last seen running."""
        if self._operation is not None:
            return _interval(self._operation.seen - self.began, math.inf)
        return self._interval

    def close(self, high: float) -> None:
        """It took `high` seconds at the most, or is not looked at any more."""
        assert self._operation is not None
        self._interval, self._operation = _interval(self._operation.seen - self.began, high), None


class Durations:
    """The durations of one kind.

    Attributes:
        seen: How many durations were recorded, ever, those of operations that were lost sight of included.
    """

    __slots__ = (
        "_complete_after",
        "_ended",
        "_ends",
        "_estimate",
        "_following_since",
        "_latest",
        "_next_of_latest",
        "_passed_over",
        "_patience",
        "_running",
        "seen",
    )

    def __init__(self) -> None:
        self.seen = 0
        self._running: dict[Followed, _Case] = {}
        self._following_since = math.inf
        self._patience = _LEAST_PATIENCE  # how many are passed over until one takes the place of another
        self._passed_over = 0
        self._ends = 0
        self._ended: deque[_Case] = deque()
        self._complete_after = -math.inf  # of those that are followed and began later, none is forgotten
        self._latest: deque[_Case] = deque(maxlen=LATEST)
        self._next_of_latest = -math.inf  # when: of many that begin at a time the last could tell nothing yet
        self._estimate = Estimate()

    def follow(self, operation: Followed) -> None:
        """An operation was seen running for the first time."""
        if len(self._running) >= _MOST_FOLLOWED and not self._give_up_one():
            return
        case = self._running[operation] = _Case(operation.began, operation, (0, BINS))
        if operation.began >= self._next_of_latest:
            self._latest.append(case)
            self._next_of_latest = operation.began + self.pace
        self._following_since = min(self._following_since, operation.began)

    def end(self, operation: Followed, now: float) -> None:
        """It was found done at `now`."""
        if self._close(operation, now - operation.began, now):
            self._ends += 1
            if self._ends % _ENDS_TO_A_LOSS == 0:
                self._patience = max(self._patience // 2, _LEAST_PATIENCE)

    def lose(self, operation: Followed) -> None:
        """It is not looked at any more."""
        self._close(operation, math.inf, operation.seen)

    def add(self, low: float, high: float) -> None:
        """One that began at any time took longer than `low` seconds, and `high` at the most; `math.inf` for any."""
        case = _Case(math.inf, None, _interval(low, high))
        self._latest.append(case)
        self._remember(case, math.inf)

    def intervals(self) -> list[Interval]:
        """The last durations that are remembered, oldest first."""
        return [case.interval() for case in self._ended][-_MEMORY:]

    def survival(self) -> Sequence[float]:
        """S at each of `AGES`, for the next operation."""
        if not self.seen:
            return PRIOR
        latest = [case.interval() for case in self._latest]
        return self._estimate.survival(self._cohort() or Counter(latest), latest, self.seen)

    @property
    def pace(self) -> float:
        """Seconds in which what is known changes little."""
        return self._estimate.pace

    def _give_up_one(self) -> bool:
        """Whether the new one takes the place of the one that is followed longest, whose end is not seen then.

        Most have to wait until there is room: patience doubles with each loss, and is halved by ends. But some never
        end, and who runs must not be all that is known.
        """
        self._passed_over += 1
        if self._passed_over < self._patience:
            return False
        self._passed_over, self._patience = 0, min(2 * self._patience, _MOST_PATIENCE)
        self.lose(next(iter(self._running)))
        return True

    def _close(self, operation: Followed, high: float, now: float) -> bool:
        """Takes it that this is all that will be known of an operation; False where it was not followed."""
        case = self._running.pop(operation, None)
        if case is None:
            return False
        case.close(high)
        self._remember(case, now)
        return True

    def _remember(self, case: _Case, now: float) -> None:
        """Keeps a duration, and forgets what has been here for longest."""
        self.seen += 1
        self._ended.append(case)
        while len(self._ended) > _MEMORY and self._may_be_forgotten(self._ended[0], now):
            forgotten = self._ended.popleft().began
            if forgotten < math.inf:
                self._complete_after = max(self._complete_after, forgotten)

    def _may_be_forgotten(self, case: _Case, now: float) -> bool:
        """Not while one runs that began soon after it, or before: of its like only those that run would be known.

        And not what was told of a duration until those that are followed could tell as much.
        """
        if len(self._ended) > _MOST_REMEMBERED:
            return True
        if case.began == math.inf:
            return AGES[case.interval()[0]] <= now - self._following_since
        longest = next(iter(self._running.values()), None)
        return longest is None or now - case.began > _REACH * (now - longest.began)

    def _cohort(self) -> Counter[Interval]:
        """What is known of all that began after the last that is forgotten."""
        since = self._complete_after
        cases = itertools.chain(self._ended, self._running.values())
        return Counter(case.interval() for case in cases if case.began > since)


def _interval(low: float, high: float) -> Interval:
    first = min(bisect_right(AGES, low) - 1, BINS - 1)
    return first, max(min(bisect_left(AGES, high), BINS), first + 1)
