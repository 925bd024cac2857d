"""Who is polled next.

Decides the order of polls. What is not due yet waits in a schedule. What is due and cannot
be polled, because the budget is short, goes by what a poll of it is worth, in levels: at each
a poll is worth twice what it is at the one below, and within one the first come goes first.
The schedule tells when the worth of one that waits doubles, so nothing is ever sorted.

Those that are due are put in order a few at a turn, as they became due. Nothing starves: every
eighth turn is that of the one that was put in order first. While n are due, none of them waits
for more than 8n turns, whatever the others are worth.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .schedule import Schedule

__all__ = ["FAIR_TURN", "Queue"]

FAIR_TURN = 8
"""Every so many turns the one that was put in order first, of those that are due, is polled."""

_LEVELS = 24  # worth doubles from one to the next; the last is for what somebody has asked to see now
_URGENT = _LEVELS - 1
_MOVED_AT_ONCE = 4  # entries of the schedule that one turn may move: the more are due, the less one turn matters


class Queued(Protocol):
    """What a queue can hold: it keeps its place there, due at `math.inf` and level -1 while it has none."""

    _scheduled: float
    level: int


T = TypeVar("T", bound=Queued)


class Queue(Generic[T]):
    """Operations, and other requests, that wait for their turn. Times are seconds of one monotonic clock.

    Args:
        worth: `worth(item, level)` is the time at which a poll of an item that is due is worth
            `2**level` of its usual price; `math.inf` for never.
    """

    __slots__ = ("_due", "_highest", "_levels", "_schedule", "_turns", "_worth")

    def __init__(self, worth: Callable[[T, int], float]) -> None:
        self._worth = worth
        self._schedule: Schedule[T] = Schedule()
        self._due: OrderedDict[T, None] = OrderedDict()
        self._levels: list[OrderedDict[T, None]] = [OrderedDict() for _ in range(_LEVELS)]
        self._highest = 0  # no level above it holds anything
        self._turns = 0

    def __len__(self) -> int:
        """How many wait, due or not. Reads all that is due: for statistics, not for polling."""
        return len(self._schedule) + sum(item._scheduled == math.inf for item in self._due)

    def __contains__(self, item: T) -> bool:
        return item.level >= 0 or item._scheduled < math.inf

    def put(self, item: T, when: float) -> None:
        """Makes `item` due at `when`, wherever it was before; `math.inf` takes it out."""
        if item.level >= 0:
            self._forget(item)
        self._schedule.put(item, when)

    def put_first(self, item: T) -> None:
        """Makes `item` due now, before all that nobody has asked to see now.

        One that is due already keeps its place among those: asking again and again sets nobody back.
        """
        if item.level == _URGENT:
            return
        self._schedule.remove(item)
        if item.level >= 0:
            del self._levels[item.level][item]
        else:
            self._due[item] = None
        self._enter(item, _URGENT)

    def remove(self, item: T) -> None:
        """Takes `item` out; nothing happens when it is not in."""
        if item.level >= 0:
            self._forget(item)
        self._schedule.remove(item)

    @property
    def short(self) -> bool:
        """Whether anybody who is due waits for a turn."""
        return bool(self._due)

    def next_time(self, now: float) -> float:
        """When there is somebody to poll: in the past when there is at `now`, `math.inf` for never.

        It may be up to an eighth of a second before that, while it lies ahead: see `Schedule.next_time`.
        """
        return -math.inf if self._due else self._schedule.next_time(now)

    def pop(self, now: float, *, short: bool = True) -> T | None:
        """Takes out whose turn it is at `now`; None when nobody is due.

        Args:
            short: Whether there is no room for another one at `now`. While there is, nobody is compared.
        """
        if not self._due:
            item = self._schedule.pop_due(now)
            if item is None or not short or self._schedule.next_time(now) > now:
                return item
            self._promote(item, now)
        self._move(now)
        self._turns += 1
        item = next(iter(self._due)) if self._turns % FAIR_TURN == 0 else self._most_worth()
        self.remove(item)
        return item

    def overdue(self, now: float) -> int:
        """How many are due at `now`. Reads all that is due: for statistics, not for polling."""
        return len(self._due) + sum(item.level < 0 for item in self._schedule.due(now))

    def _move(self, now: float) -> None:
        for _ in range(_MOVED_AT_ONCE):
            item = self._schedule.pop_due(now)
            if item is None:
                return
            self._promote(item, now)

    def _promote(self, item: T, now: float) -> None:
        """It has become due, or a poll of it is worth twice as much as before; or more, if nobody looked for a while."""
        level = item.level + 1
        if level:
            del self._levels[level - 1][item]
        else:
            self._due[item] = None
        when = self._worth(item, level + 1)
        while when <= now and level + 2 < _URGENT:
            level += 1
            when = self._worth(item, level + 1)
        self._enter(item, level)
        if level + 1 < _URGENT:
            self._schedule.put(item, when)

    def _enter(self, item: T, level: int) -> None:
        item.level = level
        self._levels[level][item] = None
        self._highest = max(self._highest, level)

    def _most_worth(self) -> T:
        while not self._levels[self._highest]:
            self._highest -= 1
        return next(iter(self._levels[self._highest]))

    def _forget(self, item: T) -> None:
        del self._levels[item.level][item]
        del self._due[item]
        item.level = -1
