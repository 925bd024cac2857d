"""Who is polled next.

Decides the order of polls. What is not due yet waits in a schedule. What is due and cannot
be polled, because the budget is short, stands in line, and goes by what a poll of it is worth
or by its place there, whichever finds more ends. Before all of them go last polls before a
deadline, and after those what somebody has asked to see.

Those that are due get in line a few at a turn, as they became due. Nothing starves: every
eighth turn at the least is that of the one that got in line first. While n are due, none of
them waits for more than 8n turns, whatever the others are worth.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from .lines import Lined, Lines
from .orders import FAIR_TURN, Order, Orders
from .schedule import Schedule

__all__ = ["Queue"]

_WORTH = Order.WORTH  # before Python 3.12 naming a member runs a function of enum's
_MOVED_AT_ONCE = 4  # items that get in line at one turn: the more are due, the less one turn matters


class Queued(Lined, Protocol):
    """What a queue can hold: it keeps when it is due there, `math.inf` while it has no place or is due already."""

    _scheduled: float


T = TypeVar("T", bound=Queued)
K = TypeVar("K", bound=Hashable)


class Queue(Generic[T, K]):
    """Operations, and other requests, that wait for their turn. Times are seconds of one monotonic clock.

    Args:
        key: What the worth of a poll of an item goes by: see `Lines`.
        worth: After how many seconds it is worth how much.

    Attributes:
        taken: How many were taken out so far, because their turn had come.
    """

    __slots__ = ("_asked", "_due", "_last", "_lines", "_orders", "_polled", "_schedule", "_turns", "taken")

    def __init__(self, key: Callable[[T], K], worth: Callable[[K, int], float]) -> None:
        self.taken = 0
        self._schedule: Schedule[T] = Schedule()
        self._due: OrderedDict[T, None] = OrderedDict()  # as they got in line
        self._lines = Lines(key, worth)
        self._last: OrderedDict[T, None] = OrderedDict()  # those of them for whom later would be too late
        self._asked: OrderedDict[T, None] = OrderedDict()  # those that somebody has asked to see now
        self._turns = (
            0  # that somebody else would have had: were all counted, the eighth could be one that nobody wanted
        )
        self._orders = Orders()
        self._polled: dict[T, Order] = {}  # those under way that had their turn in one of the orders

    def __len__(self) -> int:
        """How many wait, due or not."""
        return len(self._schedule) + len(self._due)

    def __contains__(self, item: T) -> bool:
        return item in self._due or item._scheduled < math.inf

    def is_due(self, item: T) -> bool:
        """Whether `item` waits for its turn, and for nothing else."""
        return item in self._due

    def put(self, item: T, when: float) -> None:
        """Makes `item` due at `when`, wherever it was before; `math.inf` takes it out."""
        if item in self._due:
            self._forget(item)
        self._schedule.put(item, when)

    def put_first(self, item: T, *, last: bool = False) -> None:
        """Makes `item` due now, before all that nobody has asked to see now.

        One that is due already keeps its place among those: asking again and again sets nobody back.

        Args:
            last: Whether later would be too late: then it goes before those, too.
        """
        if item.line is not None:
            self._lines.leave(item)
        self._schedule.remove(item)
        self._due[item] = None
        if last:
            self._asked.pop(item, None)
            self._last[item] = None
        elif item not in self._last:
            self._asked[item] = None

    def remove(self, item: T) -> None:
        """Takes `item` out; nothing happens when it is not in."""
        if item in self._due:
            self._forget(item)
        else:
            self._schedule.remove(item)

    def heard(self, item: T, *, ended: bool | None) -> None:
        """The poll of `item` is over: it has ended, or runs, or None when that is not known."""
        order = self._polled.pop(item, None)
        if order is not None and ended is not None:
            self._orders.heard(order, ended=ended)

    @property
    def due(self) -> int:
        """How many are known to be due, and wait for a turn."""
        return len(self._due)

    def next_time(self, now: float) -> float:
        """When there is somebody to poll: in the past when there is at `now`, `math.inf` for never.

        It may be up to an eighth of a second before that, while it lies ahead: see `Schedule.next_time`.
        """
        return -math.inf if self._due else self._schedule.next_time(now)

    def pop(self, now: float, *, contended: bool = True) -> T | None:
        """Takes out whose turn it is at `now`; None when nobody is due.

        Args:
            contended: Whether there is no room for another one at `now`. While there is, nobody is compared.
        """
        if not self._due:
            item = self._schedule.pop_due(now)
            if item is None:
                return None
            if not contended or self._schedule.next_time(now) > now:
                self.taken += 1
                return item
            self._line_up(item, now)
        self._move(now)
        self.taken += 1
        self._turns += 1
        if (first := self._last or self._asked) and self._turns % FAIR_TURN:
            item = next(iter(first))
        else:
            order = self._orders.of(self._turns)
            item = self._lines.most_worth(now) if order is _WORTH else next(iter(self._due))
            if item.line is not None:  # who goes before all others was chosen by neither
                self._polled[item] = order
        self._forget(item)
        return item

    def overdue(self, now: float) -> int:
        """How many are due at `now`. Reads all that may have become due lately: for statistics, not for polling."""
        return len(self._due) + len(self._schedule.due(now))

    def _move(self, now: float) -> None:
        for _ in range(_MOVED_AT_ONCE):
            item = self._schedule.pop_due(now)
            if item is None:
                return
            self._line_up(item, now)

    def _line_up(self, item: T, now: float) -> None:
        self._due[item] = None
        self._lines.join(item, now)

    def _forget(self, item: T) -> None:
        """Somebody who is due waits no more."""
        del self._due[item]
        if item.line is not None:
            self._lines.leave(item)
        elif item in self._last:
            del self._last[item]
        else:
            del self._asked[item]
