"""Who is due next: a calendar of lists for what lies ahead, a heap for the moment.

Decides the order and nothing else. What is due later than the present eighth of a second is
a place in the list of the eighth in which it is due, in no order: it costs eight bytes and no
comparing, however many there are. When its eighth has come, a list is moved to the heap.

An item is in a schedule at most once: putting it in again moves it. Moving and removing only
orphan the old place; orphans are passed over when they surface and swept out when they
outnumber the living.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

__all__ = ["Schedule"]


class Scheduled(Protocol):
    """What a schedule can hold: it keeps when it is due there, `math.inf` while it is not in."""

    scheduled: float


T = TypeVar("T", bound=Scheduled)

_TICKS = 8  # a second; a power of two, so that times are multiplied without rounding
_NEVER = 2.0**1000  # seconds; later times have no tick
_SWEEP_FROM = 64  # below this many orphans a sweep costs more than it frees


class Schedule(Generic[T]):
    """Items by the time, in seconds, at which they are due; the longest overdue first, then who was put in first."""

    __slots__ = ("_count", "_far", "_live", "_near", "_near_until", "_places", "_ticks")

    def __init__(self) -> None:
        self._near: list[tuple[float, int, T]] = []  # a heap of all that is due before `_near_until`
        self._near_until = 0.0
        self._far: dict[int, list[T]] = {}  # by tick
        self._ticks: list[int] = []  # a heap of the keys of `_far`
        self._places = 0  # near and far, orphans included
        self._live = 0
        self._count = 0

    def __len__(self) -> int:
        return self._live

    def put(self, item: T, when: float) -> None:
        """Makes `item` due at `when`, wherever it was before; takes it out when that is never."""
        if not when < _NEVER:
            self.remove(item)
            return
        if item.scheduled == math.inf:
            self._live += 1
        item.scheduled = when
        self._places += 1
        if when < self._near_until:
            self._count += 1
            heapq.heappush(self._near, (when, self._count, item))
        else:
            self._put_far(item, math.floor(when * _TICKS))
        self._sweep()

    def remove(self, item: T) -> None:
        """Takes `item` out; nothing happens when it is not in."""
        if item.scheduled < math.inf:
            item.scheduled = math.inf
            self._live -= 1
            self._sweep()

    def next_time(self, now: float) -> float:
        """When the first item is due, as seen from `now`; `math.inf` when there is none.

        Of several that are not due before another eighth of a second begins it is the beginning that is told:
        none of them is due before it, and then is the time to ask again.
        """
        if now >= self._near_until:
            self._open(now)
        near = self._near
        while near:
            when, _, item = near[0]
            if when == item.scheduled:
                return when
            heapq.heappop(near)
            self._places -= 1
        return self._first_far()

    def pop_due(self, now: float) -> T | None:
        """Takes out the item that is longest due at `now`; None when none is."""
        if self.next_time(now) > now or not self._near:
            return None
        item = heapq.heappop(self._near)[2]
        item.scheduled = math.inf
        self._places -= 1
        self._live -= 1
        return item

    def due(self, now: float) -> Iterable[T]:
        """The items that are due at `now`, in no order. Reads all that is near: for statistics, not for polling."""
        self.next_time(now)
        return {item for when, _, item in self._near if when == item.scheduled <= now}

    def _put_far(self, item: T, tick: int) -> None:
        items = self._far.get(tick)
        if items is None:
            self._far[tick] = [item]
            heapq.heappush(self._ticks, tick)
        else:
            items.append(item)

    def _first_far(self) -> float:
        while self._ticks:
            tick = self._ticks[0]
            items = self._far[tick]
            while items and not _lies_in(tick, items[-1]):
                items.pop()
                self._places -= 1
            if items:
                return items[0].scheduled if len(items) == 1 else tick / _TICKS
            heapq.heappop(self._ticks)
            del self._far[tick]
        return math.inf

    def _open(self, now: float) -> None:
        """Moves to the heap what is due in the tick of `now`, or was before."""
        present = math.floor(now * _TICKS)
        self._near_until = (present + 1) / _TICKS
        while self._ticks and self._ticks[0] <= present:
            tick = heapq.heappop(self._ticks)
            items = self._far.pop(tick)
            living = [item for item in items if _lies_in(tick, item)]
            self._places -= len(items) - len(living)
            self._bring_near([(item.scheduled, self._count + place, item) for place, item in enumerate(living, 1)])

    def _bring_near(self, entries: list[tuple[float, int, T]]) -> None:
        self._count += len(entries)
        if len(entries) > len(self._near):  # else there is a backlog, which is in order already
            self._near += entries
            heapq.heapify(self._near)
        else:
            for entry in entries:
                heapq.heappush(self._near, entry)

    def _sweep(self) -> None:
        orphans = self._places - self._live
        if orphans <= _SWEEP_FROM or orphans <= self._live:
            return
        living = {item: (when, turn, item) for when, turn, item in self._near if when == item.scheduled}
        self._near = list(living.values())
        heapq.heapify(self._near)
        far = (
            (tick, [item for item in dict.fromkeys(items) if _lies_in(tick, item)]) for tick, items in self._far.items()
        )
        self._far = {tick: items for tick, items in far if items}
        self._ticks = sorted(self._far)
        self._places = self._live


def _lies_in(tick: int, item: Scheduled) -> bool:
    return tick <= item.scheduled * _TICKS < tick + 1
