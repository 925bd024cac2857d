"""Who waits for one operation: nobody, one, as for most, or a crowd.

Decides in which order they hear of it, which is that in which they came, and whose deadline is next. Of thousands
each has a deadline of its own, so that going through all of them at each would cost their number squared. One alone
needs no record beside its own, of which there may be a million.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from ..errors import LroError
from ..operation import Operation

__all__ = ["Waiter", "Waiters", "everybody", "first", "joined", "left", "postpone", "with_last_polls"]

_FEW = 16  # with deadlines, who have a last poll each: every alarm goes through all of them
_SWEEP_FROM = 64  # below this many deadlines that count no more a sweep costs more than it frees


class Waiter(Protocol):
    """Who waits for an operation: since when and until when, in seconds of the tracker's clock."""

    @property
    def submitted(self) -> float: ...

    @property
    def deadline(self) -> float | None: ...

    def _postpone(self, until: float) -> None: ...
    def _see(self, operation: Operation) -> None: ...
    def _finish(self, operation: Operation, now: float) -> None: ...
    def _fail(self, error: LroError, now: float) -> None: ...


class Crowd:
    """Several who wait for one operation, or who are left of several."""

    __slots__ = ("_deadlines", "_members", "_numbering", "_timed")

    def __init__(self, first: Waiter) -> None:
        self._numbering = itertools.count()
        self._members: dict[Waiter, int] = {}  # with their numbers, in the order in which they came
        self._timed: dict[int, Waiter] = {}  # by number, those of them who have a deadline
        # A heap; it holds nobody who has left, for a future may hold much. Who is no member, or has another
        # deadline by now, is passed over when that surfaces.
        self._deadlines: list[tuple[float, int]] = []
        self.join(first)

    def __len__(self) -> int:
        return len(self._members)

    def join(self, who: Waiter) -> None:
        """`who` is one of them."""
        self._members[who] = next(self._numbering)
        self.note_deadline(who)

    def leave(self, who: Waiter) -> None:
        """`who` is one no more; nothing happens to one who is not."""
        number = self._members.pop(who, None)
        if number is not None:
            self._timed.pop(number, None)

    def note_deadline(self, who: Waiter) -> None:
        """Takes note of the deadline that a member has now."""
        if who.deadline is None:
            return
        number = self._members[who]
        self._timed[number] = who
        heapq.heappush(self._deadlines, (who.deadline, number))
        if len(self._deadlines) > 2 * len(self._timed) + _SWEEP_FROM:
            timed = self._timed.items()
            self._deadlines = [(who.deadline, number) for number, who in timed if who.deadline is not None]
            heapq.heapify(self._deadlines)

    def everybody(self) -> tuple[Waiter, ...]:
        """All of them."""
        return tuple(self._members)

    def with_last_polls(self) -> Sequence[Waiter]:
        """Those whose last polls are planned: all of a few with deadlines; of more, each when its own is the first."""
        if len(self._timed) <= _FEW:
            return tuple(self._timed.values())
        first = self.first()
        return () if first is None else (first,)

    def first(self) -> Waiter | None:
        """Who has the first deadline; None where nobody has one."""
        while self._deadlines:
            when, number = self._deadlines[0]
            who = self._timed.get(number)
            if who is not None and who.deadline == when:
                return who
            heapq.heappop(self._deadlines)
        return None


Waiters: TypeAlias = Waiter | Crowd | None
"""Who waits for one operation."""


def joined(there: Waiters, who: Waiter) -> Waiters:
    """Those who are there, and `who`."""
    if there is None:
        return who
    crowd = there if isinstance(there, Crowd) else Crowd(there)
    crowd.join(who)
    return crowd


def left(there: Waiters, who: Waiter) -> Waiters:
    """Those who are there, without `who`, who need not have been."""
    if not isinstance(there, Crowd):
        return None if there is who else there
    there.leave(who)
    return there if len(there) else None


def postpone(there: Waiters, who: Waiter, until: float) -> None:
    """`who` is one of those who are there, and waits until then."""
    who._postpone(until)
    if isinstance(there, Crowd):
        there.note_deadline(who)


def first(there: Waiters) -> Waiter | None:
    """Who has the first deadline; None where nobody has one."""
    if isinstance(there, Crowd):
        return there.first()
    return None if there is None or there.deadline is None else there


def everybody(there: Waiters) -> tuple[Waiter, ...]:
    """All of them, in the order in which they came."""
    if isinstance(there, Crowd):
        return there.everybody()
    return () if there is None else (there,)


def with_last_polls(there: Waiters) -> Sequence[Waiter]:
    """Those whose last polls are planned: see `Crowd.with_last_polls`."""
    if isinstance(there, Crowd):
        return there.with_last_polls()
    return () if there is None else (there,)
