"""Whose poll is worth most, of those that are due.

Those for whom that grows alike since they were last seen, and who became due in about the order in which
they were, stand in one line, and whoever came first is worth most. So the heads of lines alone are compared,
in levels: at each a poll is worth twice what it is at the one below, and within one the head goes first that
came to be worth so much first. A schedule tells when the worth of a head doubles, so that nothing is ever
sorted.
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
_SWEEP_FROM = 16  # places; below that a sweep costs more than it frees


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
    """Who stands in it, as they came; but whoever was seen before the head becomes the head.

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
        self._scheduled = math.inf  # when its worth is due to double, as the schedule of that keeps it

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def head(self) -> T:
        """Who is taken to be worth most: it was seen first, or nearly so. Somebody has to stand in it."""
        return next(iter(self._items))

    def join(self, item: T) -> bool:
        """`item` stands in it too; whether it is the head."""
        leads = not self._items or item.seen < self.head.seen
        self._items[item] = None
        if leads:
            self._items.move_to_end(item, last=False)
        item.line = self
        return leads

    def leave(self, item: T) -> None:
        del self._items[item]
        item.line = None


class Lines(Generic[T, K]):
    """The lines of those that are due. Times are seconds of one monotonic clock.

    Args:
        key: What the worth of a poll of an item goes by, and how long it has waited, about. Those with equal keys stand
            in one line.
        worth: `worth(key, level)` is after how many seconds since it was seen a poll of an item of that key is worth
            `2**level` of its usual price; `math.inf` for never.
    """

    __slots__ = ("_doublings", "_highest", "_key", "_levels", "_lines", "_placed", "_worth")

    def __init__(self, key: Callable[[T], K], worth: Callable[[K, int], float]) -> None:
        self._key = key
        self._worth = worth
        self._lines: dict[K, Line[T, K]] = {}
        # A level is a heap of times and places. One that is its line's no more is passed over when it surfaces.
        self._levels: list[list[tuple[float, int, Line[T, K]]]] = [[] for _ in range(_HIGHEST + 1)]
        self._placed = 0
        self._highest = 0  # no level above it holds anything
        self._doublings: Schedule[Line[T, K]] = Schedule()

    def join(self, item: T, now: float) -> None:
        """`item` joins its line."""
        key = self._key(item)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        # What is known of a kind may have changed, and a line that stands too low is not looked at again soon.
        if line.join(item) or (line.level < _HIGHEST and line.head.seen + self._worth(key, line.level + 1) <= now):
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
        if not self._lines:
            for places in self._levels[: self._highest + 1]:
                places.clear()
            self._highest = 0

    def most_worth(self, now: float) -> T:
        """Whose poll is worth most; somebody has to stand in line."""
        for _ in range(_RAISED_AT_ONCE):
            line = self._doublings.pop_due(now)
            if line is None:
                break
            self._rank(line, now)
        while True:
            places = self._levels[self._highest]
            if not places:
                self._highest -= 1
                continue
            claimed, number, line = places[0]
            if line.place != number:
                heapq.heappop(places)
                continue
            head = line.head
            reached = head.seen + self._worth(line.key, line.level)
            if reached <= claimed:
                return head
            # Another has become the head, who was seen later; or it is worth less than was believed.
            if reached <= now or not line.level:
                heapq.heapreplace(places, (reached, number, line))
                if places[0][1] == number:
                    return head
            else:
                heapq.heappop(places)
                self._rank(line, now)

    def _rank(self, line: Line[T, K], now: float) -> None:
        """Puts `line` on the level of its head: another has become that, or is worth twice as much as before."""
        level, reached, doubles = self._standing(line, now)
        self._doublings.put(line, doubles)
        self._highest = max(self._highest, level)
        self._placed += 1
        line.level, line.place = level, self._placed
        places = self._levels[level]
        heapq.heappush(places, (reached, line.place, line))
        if len(places) > 2 * len(self._lines) + _SWEEP_FROM:
            places[:] = [place for place in places if place[2].place == place[1]]
            heapq.heapify(places)

    def _standing(self, line: Line[T, K], now: float) -> tuple[int, float, float]:
        """The level on which `line` belongs, looked for from where it stands; since when, and when that doubles."""
        key, seen, level = line.key, line.head.seen, line.level
        while (reached := seen + self._worth(key, level)) > now and level:
            level -= 1
        while level < _HIGHEST:
            doubles = seen + self._worth(key, level + 1)
            if doubles > now:
                return level, reached, doubles
            level, reached = level + 1, doubles
        return level, reached, math.inf
