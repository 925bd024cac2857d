"""Who is due next: a heap of times with lazy deletion.

Decides the order and nothing else. An item is in a schedule at most once: putting it in
again moves it. Moving and removing only orphan the old entry; orphans are skipped when
they surface and swept out when they outnumber the living.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Schedule"]


class Ticketed(Protocol):
    """What a schedule can hold: it keeps the number of its own entry, 0 while it has none."""

    ticket: int


T = TypeVar("T", bound=Ticketed)

_SWEEP_FROM = 64  # below this many orphans a sweep costs more than it frees


class Schedule(Generic[T]):
    """Items by the time, in seconds, at which they are due; the longest overdue first."""

    __slots__ = ("_count", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def put(self, item: T, when: float) -> None:
        """Makes `item` due at `when`, wherever it was before."""
        if not item.ticket:
            self._live += 1
        self._count += 1
        item.ticket = self._count
        heapq.heappush(self._heap, (when, self._count, item))
        self._sweep()

    def remove(self, item: T) -> None:
        """Takes `item` out; nothing happens when it is not in."""
        if item.ticket:
            item.ticket = 0
            self._live -= 1
            self._sweep()

    def next_time(self) -> float:
        """When the first item is due; `math.inf` when there is none."""
        heap = self._heap
        while heap:
            when, ticket, item = heap[0]
            if ticket == item.ticket:
                return when
            heapq.heappop(heap)
        return math.inf

    def pop_due(self, now: float) -> T | None:
        """Takes out the item that is longest due at `now`; None when none is."""
        if self.next_time() > now or not self._heap:
            return None
        item = heapq.heappop(self._heap)[2]
        item.ticket = 0
        self._live -= 1
        return item

    def due(self, now: float) -> Iterator[T]:
        """The items that are due at `now`, in no order. Reads the whole heap: for statistics, not for polling."""
        return (item for when, ticket, item in self._heap if when <= now and ticket == item.ticket)

    def _sweep(self) -> None:
        orphans = len(self._heap) - self._live
        if orphans > _SWEEP_FROM and orphans > self._live:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].ticket]
            heapq.heapify(self._heap)
