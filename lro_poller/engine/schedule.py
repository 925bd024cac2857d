"""Who is due next: a calendar of lists for what lies ahead, a heap for the moment.

Decides the order and nothing else. What is due later than the present eighth of a second has
a place in the list of the eighth in which it is due, in no order: that takes eight bytes and
no comparing. Where few are pending and lists would be longer than what they hold, an item
stands for itself. When its eighth has come, a list is moved to the heap.

Of long lists the most part is packed into tuples: the garbage collector goes through every list at each full
collection, but looks once and no more at a tuple of what is not its own.

An item is in a schedule at most once: putting it in again moves it. Moving leaves the old
place behind, and so does removing where it would have to be searched for. Places that are no
longer an item's are passed over when they surface, and swept out when they outnumber the
others. An item that comes back to a time that it was moved away from may have two places
there; it goes by one of them.
"""

from __future__ import annotations

import heapq
import itertools
import math
import operator
from collections.abc import Callable
from typing import Generic, TypeVar, cast

__all__ = ["Schedule"]

T = TypeVar("T")

_TICKS = 8  # a second; a power of two, so that times are multiplied without rounding
_LATEST = 2.0**60  # seconds; all that is due later has the same tick
_PACK = 64  # items of one tick; among fewer one is found in a microsecond
_SWEEP_FROM = 64  # below this many places that count no more a sweep costs more than it frees


class Schedule(Generic[T]):
    """Items by the time, in seconds, at which they are due; the longest overdue first.

    Args:
        key: The attribute in which an item, which has to be hashable, keeps when it is due here; `math.inf` while it
            is not in.
    """

    __slots__ = ("_count", "_far", "_key", "_live", "_near", "_near_until", "_packs", "_places", "_ticks", "_when")

    def __init__(self, key: str = "_scheduled") -> None:
        self._key = key
        self._when: Callable[[T], float] = operator.attrgetter(key)
        self._near: list[tuple[float, int, T]] = []  # a heap of all that is due before `_near_until`
        self._near_until = 0.0
        self._far: dict[int, T | list[T]] = {}  # by tick
        self._packs: dict[int, list[tuple[T, ...]]] = {}  # by tick, where there are more
        self._ticks: list[int] = []  # a heap of the keys of `_far`
        self._places = 0  # near and far, those that count no more included
        self._live = 0
        self._count = 0

    def __len__(self) -> int:
        return self._live

    def put(self, item: T, when: float) -> None:
        """Makes `item` due at `when`, wherever it was before; `math.inf` takes it out."""
        if not when < math.inf:
            self.remove(item)
            return
        if self._when(item) == math.inf:
            self._live += 1
        setattr(item, self._key, when)
        self._places += 1
        if when < self._near_until:
            self._count += 1
            heapq.heappush(self._near, (when, self._count, item))
        else:
            self._put_far(item, _tick(when))
        if self._places > self._live + _SWEEP_FROM:
            self._sweep()

    def remove(self, item: T) -> None:
        """Takes `item` out; nothing happens when it is not in."""
        when = self._when(item)
        if when < math.inf:
            setattr(item, self._key, math.inf)
            self._live -= 1
            if when >= self._near_until:
                self._leave(item, _tick(when))
            if self._places > self._live + _SWEEP_FROM:
                self._sweep()

    def next_time(self, now: float) -> float:
        """When the first item is due, as seen from `now`; `math.inf` when there is none.

        While the next lies in a later eighth of a second, the beginning of that is told: nothing is due before it,
        and then is the time to ask again.
        """
        near = self._near
        while True:
            while near:
                when, _, item = near[0]
                if when == self._when(item):
                    return when
                heapq.heappop(near)
                self._places -= 1
            if now < self._near_until or not self._open_next(now):
                return self._first_far()

    def pop_due(self, now: float) -> T | None:
        """Takes out the item that is longest due at `now`; None when none is."""
        if not self._near and now < self._near_until:
            return None  # told apart from the rest because it is asked for at every poll when polls are scarce
        if self.next_time(now) > now or not self._near:
            return None
        item = heapq.heappop(self._near)[2]
        setattr(item, self._key, math.inf)
        self._places -= 1
        self._live -= 1
        return item

    def due(self, now: float) -> set[T]:
        """The items that are due at `now`. Reads all that may be: for statistics, not for polling."""
        near = (item for _, _, item in self._near)
        far = (item for tick in self._ticks if tick <= _tick(now) for item in self._items(tick))
        return {item for item in itertools.chain(near, far) if self._when(item) <= now}

    def _put_far(self, item: T, tick: int) -> None:
        there = self._far.get(tick)
        if there is None:
            self._far[tick] = item
            heapq.heappush(self._ticks, tick)
        elif isinstance(there, list):
            there.append(item)
            if len(there) == _PACK:
                self._packs.setdefault(tick, []).append(tuple(there))
                there.clear()
        else:
            self._far[tick] = [there, item]

    def _leave(self, item: T, tick: int) -> None:
        """Lets go of an item that was taken out, where that is cheap: it may hold much."""
        items = [] if tick in self._packs else self._items(tick)
        if len(items) == 1:
            del self._far[tick]  # the tick is left, and is a place that counts no more
        elif items:
            items.remove(item)
            self._places -= 1

    def _items(self, tick: int) -> list[T]:
        there = self._far.get(tick)
        items = cast("list[T]", there if isinstance(there, list) else [] if there is None else [there])
        packs = self._packs.get(tick)
        return items if packs is None else [*itertools.chain.from_iterable(packs), *items]

    def _living(self, tick: int) -> list[T]:
        """Whose place in that list counts, each once."""
        begin, end = tick / _TICKS, _end(tick)
        return [item for item in dict.fromkeys(self._items(tick)) if begin <= self._when(item) < end]

    def _first_far(self) -> float:
        while self._ticks:
            tick = self._ticks[0]
            begin, end = tick / _TICKS, _end(tick)
            if tick in self._packs:
                return begin
            items = self._items(tick)
            while items and not begin <= self._when(items[-1]) < end:
                items.pop()
                self._places -= 1
            if items:
                return self._when(items[0]) if len(items) == 1 else begin
            self._drop_first_tick()
        return math.inf

    def _drop_first_tick(self) -> int:
        tick = heapq.heappop(self._ticks)
        self._packs.pop(tick, None)
        if self._far.pop(tick, None) is None:
            self._places -= 1
        return tick

    def _open_next(self, now: float) -> bool:
        """Moves what is due in the next tick to the heap, which is empty; False when that lies ahead.

        One tick at a time: a clock may have jumped over many.
        """
        present = _tick(now)
        if not self._ticks or self._ticks[0] > present:
            self._near_until = _end(present)
            return False
        items = self._items(self._ticks[0])
        tick = self._drop_first_tick()
        begin, end = tick / _TICKS, _end(tick)
        living = [(when, item) for item in items if begin <= (when := self._when(item)) < end]
        self._near += [(when, turn, item) for turn, (when, item) in enumerate(living, self._count + 1)]
        heapq.heapify(self._near)
        self._near_until = end
        self._count += len(living)
        self._places -= len(items) - len(living)
        return True

    def _sweep(self) -> None:
        if self._places <= 2 * self._live:
            return
        near = {item: (when, turn, item) for when, turn, item in self._near if when == self._when(item)}
        self._near[:] = near.values()
        heapq.heapify(self._near)
        far = {tick: self._living(tick) for tick in self._far}
        self._far, self._packs, self._ticks = {}, {}, []
        for tick, items in far.items():
            for item in items:
                self._put_far(item, tick)
        self._places = self._live


def _end(tick: int) -> float:
    return (tick + 1) / _TICKS if tick < _LATEST * _TICKS else math.inf


def _tick(when: float) -> int:
    return math.floor(min(when, _LATEST) * _TICKS)
