"""What is done about deadlines, and when.

Decides when the last poll before a deadline has to start, and tells the owner when one has passed. What is due about
an operation that is waited for is an entry in a schedule of its own, so that a poll which hangs cannot hold it up.
Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .budget import Budget
from .crowd import Listener
from .planner import Planner
from .queue import Queue
from .schedule import Schedule
from .tracker import State, Tracker

__all__ = ["Deadlines", "latest_look", "needs_last_look", "next_alarm"]

_PARKED = State.PARKED  # before Python 3.12 naming a member runs a function of enum's
_AT_ONCE = 200  # that pass in one step of the loop, which has other work to do
_SHORTEST_LEAD = 0.02  # seconds kept for the last poll before a deadline, however fast the server is
_LARGEST_LEAD = 0.1  # of a wait: however slow the service is, a last poll is not made long before the deadline
_TURNS_AHEAD = 2
_LOOKS_APART = 0.02  # seconds between two last polls, at the least
_TRIES_APART = 1.0  # the same, while they fail


class Deadlines:
    """The deadlines of those who wait for the operations of one poller.

    Args:
        queue: Says whether others wait for their turn too.
        planner: Has a last poll made.
        budget: Says how long a turn takes.
        latency: Seconds that a request takes.
        passed: Told that the deadline of one who waits for a tracker has passed; ends that wait, or postpones it.
    """

    __slots__ = ("_budget", "_latency", "_passed", "_planner", "_queue", "_schedule")

    def __init__(
        self,
        queue: Queue[Tracker],
        planner: Planner,
        budget: Budget,
        latency: Callable[[], float],
        passed: Callable[[Tracker, Listener], None],
    ) -> None:
        self._schedule: Schedule[Tracker] = Schedule("alarm")
        self._queue = queue
        self._planner = planner
        self._budget = budget
        self._latency = latency
        self._passed = passed

    def __len__(self) -> int:
        return len(self._schedule)

    def watch(self, tracker: Tracker, who: Listener) -> None:
        """`who` waits for `tracker` too."""
        if (alarm := latest_look(who, math.inf)) < tracker.alarm:
            self._schedule.put(tracker, alarm)

    def forget(self, tracker: Tracker) -> None:
        """Nobody waits for `tracker` any more."""
        self._schedule.remove(tracker)

    def next_time(self, now: float) -> float:
        """When something is to be done; as of `Schedule.next_time`."""
        return self._schedule.next_time(now)

    def ring(self, now: float) -> None:
        """Does what is due at `now`, or as much of it as one step of the loop has time for."""
        left = _AT_ONCE
        while left > 0 and (tracker := self._schedule.pop_due(now)) is not None:
            left -= max(1, self._see_to(tracker, now, left))  # it is a step in any case

    def look_if_last(self, tracker: Tracker, now: float) -> None:
        """Has a poll made at once if it is the last one before a deadline."""
        if needs_last_look(tracker, now, self._lead(now)):
            tracker.looked = now
            self._planner.look(tracker, now)

    def _see_to(self, tracker: Tracker, now: float, most: int) -> int:
        """Returns how many deadlines have passed, `most` at the most; for the others it rings again."""
        passed = 0
        try:
            while passed < most and (who := tracker.late(now)) is not None:
                self._passed(tracker, who)
                passed += 1
            self.look_if_last(tracker, now)
        finally:
            self._schedule.put(tracker, next_alarm(tracker, now, self._lead(now)))
        return passed

    def _lead(self, now: float) -> float:
        """Seconds that are kept for a poll before a deadline: for its turn, and for itself.

        One turn may just have been taken, and one in eight goes to whoever waits longest; where others wait, each poller
        of the budget has such turns.
        """
        pollers = self._budget.pollers
        turns = 1 + _TURNS_AHEAD * pollers if self._queue.short else _TURNS_AHEAD
        return turns / self._budget.rate(now) + max((2 + pollers) * self._latency(), _SHORTEST_LEAD)


def next_alarm(tracker: Tracker, now: float, lead: float) -> float:
    """When something is to be done about those who wait for `tracker`; `math.inf` where nobody has a deadline.

    That is when a last look may have to be made, for the lead may grow; when it has to; and when a deadline passes.

    Args:
        lead: As of `latest_look`.
    """
    looks = [latest_look(who, at_most) for who in tracker.watched() for at_most in (math.inf, lead)]
    return min(tracker.first_deadline(), *(look for look in looks if look > now), math.inf)


def needs_last_look(tracker: Tracker, now: float, lead: float) -> bool:
    """Whether a poll of `tracker` has to start now that is to end before a deadline.

    One that was made just before serves as well: of many deadlines, each in turn would be looked at otherwise. While
    polls fail, just before is longer ago.

    Args:
        lead: As of `latest_look`.
    """
    if tracker.state is not _PARKED:
        return False
    looked = max(tracker.seen, tracker.looked) + (_TRIES_APART if tracker.failures else _LOOKS_APART)
    return any(looked < latest_look(who, lead) <= now for who in tracker.watched())


def latest_look(who: Listener, lead: float) -> float:
    """When the last poll for `who` has to start; `math.inf` without a deadline.

    Args:
        lead: Seconds that a poll takes, and its turn; of a short wait a tenth is kept for it at the most.
    """
    if who.deadline is None:
        return math.inf
    return who.deadline - min(lead, _LARGEST_LEAD * (who.deadline - who.submitted))
