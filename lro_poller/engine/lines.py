"""Whose poll is worth most, of those that are due.

Those for whom that grows alike since they were last seen stand in one line, and whoever in it was
seen first is worth most. So the heads of lines alone are compared, in levels: at each a poll is
worth twice what it is at the one below, and within one the head goes first that came to be worth so
much first. A schedule tells when the worth of a head doubles, so nothing is ever sorted.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from .schedule import Schedule

__all__ = ["Line", "Lined", "Lines"]

_HIGHEST = 22  # level; worth doubles from one to the next, from 0 on
_RAISED_AT_ONCE = 4  # lines: the more there are, the less one of them matters
_SWEEP_FROM = 16  # below this many places that count no more a sweep costs more than it frees


class Lined(Protocol):
    """Who can stand in a line, and keeps which that is; None while it is in none.

    Attributes:
        seen: From when on its worth grows; it does not change while it stands in a line.
    """

    line: Line[Any, Any] | None

    @property
    def seen(self) -> float: ...


T = TypeVar("T", bound=Lined)
K = TypeVar("K", bound=Hashable)


class Line(Generic[T, K]):
    """Who stands in it, in order.

    Attributes:
        key: What the worth of their polls goes by.
        level: What a poll of the head was last found to be worth.
        place: The number of its place on that level; -1 for none.
    """

    __slots__ = ("_items", "_scheduled", "key", "level", "place")

    def __init__(self, key: K) -> None:
        self.key = key
        self.level, self.place = 0, -1
        self._items: OrderedDict[T, None] = OrderedDict()
        self._scheduled = math.inf

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def head(self) -> T:
        return next(iter(self._items))

    def join(self, item: T) -> None:
        self._items[item] = None
        item.line = self

    def lead(self, item: T) -> None:
        """`item` joins as the head."""
        self.join(item)
        self._items.move_to_end(item, last=False)

    def leave(self, item: T) -> None:
        del self._items[item]
        item.line = None


class Lines(Generic[T, K]):
    """The lines of those that are due. Times are seconds of one monotonic clock.

    Args:
        key: What the worth of a poll of an item goes by; those with equal keys stand in one line.
        worth: `worth(key, level)` is after how many seconds since it was seen a poll of an item of that key is worth
            `2**level` of its usual price; `math.inf` for never.
    """

    __slots__ = ("_doublings", "_highest", "_key", "_levels", "_lines", "_places", "_worth")

    def __init__(self, key: Callable[[T], K], worth: Callable[[K, int], float]) -> None:
        self._key = key
        self._worth = worth
        self._lines: dict[K, Line[T, K]] = {}
        # A level is a heap of times and places. One that is no longer its line's is passed over when it surfaces.
        self._levels: list[list[tuple[float, int, Line[T, K]]]] = [[] for _ in range(_HIGHEST + 1)]
        self._places = 0
        self._highest = 0  # no level above it holds anything
        self._doublings: Schedule[Line[T, K]] = Schedule()

    def join(self, item: T, now: float) -> None:
        """`item` joins its line at the end, or as the head if it was seen before that.

        Most become due in the order in which they were seen: nobody is looked for a place in between.
        """
        key = self._key(item)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        elif line.head.seen <= item.seen:
            line.join(item)
            return
        line.lead(item)
        self._rank(line, now)

    def leave(self, item: T) -> None:
        """`item` stands in its line no more."""
        line = item.line
        assert line is not None
        line.leave(item)
        if not line:
            del self._lines[line.key]
            line.place = -1
            self._doublings.remove(line)

    def most_worth(self, now: float) -> T:
        """Whose poll is worth most; there has to be somebody."""
        for _ in range(_RAISED_AT_ONCE):
            line = self._doublings.pop_due(now)
            if line is None:
                break
            self._rank(line, now)
        while True:
            level = self._levels[self._highest]
            if not level:
                self._highest -= 1
                continue
            told, place, line = level[0]
            if line.place != place:
                heapq.heappop(level)
                continue
            head = line.head
            reached = head.seen + self._worth(line.key, line.level)
            if reached <= told:
                return head
            # Another has become the head, who was seen later.
            if reached <= now or not line.level:
                heapq.heapreplace(level, (reached, place, line))
                if level[0][1] == place:
                    return head
            else:
                heapq.heappop(level)
                self._rank(line, now)

    def _rank(self, line: Line[T, K], now: float) -> None:
        """Puts `line` on the level of its head: another has become that, or is worth twice as much as before."""
        seen, level = line.head.seen, line.level
        while (reached := seen + self._worth(line.key, level)) > now and level:
            level -= 1
        doubles = math.inf
        while level < _HIGHEST and (doubles := seen + self._worth(line.key, level + 1)) <= now:
            level, reached = level + 1, doubles
        self._doublings.put(line, doubles if level < _HIGHEST else math.inf)
        self._places += 1
        line.level, line.place = level, self._places
        self._highest = max(self._highest, level)
        places = self._levels[level]
        heapq.heappush(places, (reached, line.place, line))
        if len(places) > 2 * len(self._lines) + _SWEEP_FROM:
            places[:] = [entry for entry in places if entry[2].place == entry[1]]
            heapq.heapify(places)
