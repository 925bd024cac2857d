"""What is done about deadlines, and when.

Decides when the last poll before a deadline has to start, and tells the owner when one has passed. What is due about
an operation that is waited for is an entry in a schedule of its own, so that a poll which hangs cannot hold it up.
Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .budget import Limiter
from .crowd import Waiter
from .planner import Planner, PollQueue
from .schedule import Schedule
from .tracker import State, Tracker

__all__ = ["Deadlines", "latest_start", "needs_last_poll", "next_alarm"]

_PARKED = State.PARKED  # before Python 3.12 naming a member runs a function of enum's
_AT_ONCE = 200  # that pass in one step of the loop, which has other work to do
_SHORTEST_LEAD = 0.02  # seconds kept for the last poll before a deadline, however fast the server is
_LATENCIES = 3  # that are kept for it: it may take longer than others did
_LARGEST_LEAD = 0.1  # of a wait: however slow the service is, a last poll is not made long before the deadline
_POLLS_APART = 0.02  # seconds between two last polls, at the least
_TRIES_APART = 1.0  # the same, while they fail
_WORTH_ANOTHER = 0.01  # of a wait: a last poll that was so much too early is made again


class Deadlines:
    """The deadlines of those who wait for the operations of one poller.

    Args:
        queue: Says whether others wait for their turn too.
        planner: Has a last poll made.
        limiter: Says how long a turn takes.
        latency: Seconds that a request takes.
        passed: Told that the deadline of one who waits for a tracker has passed; ends that wait, or postpones it.
    """

    __slots__ = ("_latency", "_limiter", "_passed", "_planner", "_queue", "_schedule")

    def __init__(
        self,
        queue: PollQueue,
        planner: Planner,
        limiter: Limiter,
        latency: Callable[[], float],
        passed: Callable[[Tracker, Waiter], None],
    ) -> None:
        self._schedule: Schedule[Tracker] = Schedule("alarm")
        self._queue = queue
        self._planner = planner
        self._limiter = limiter
        self._latency = latency
        self._passed = passed

    def __len__(self) -> int:
        return len(self._schedule)

    def add(self, tracker: Tracker, who: Waiter) -> None:
        """`who` waits for `tracker` too."""
        if (alarm := latest_start(who, math.inf)) < tracker.alarm:
            self._schedule.put(tracker, alarm)

    def forget(self, tracker: Tracker) -> None:
        """Nobody waits for `tracker` any more."""
        self._schedule.remove(tracker)

    def next_time(self, now: float) -> float:
        """When something is to be done; as in `Schedule.next_time`."""
        return self._schedule.next_time(now)

    def ring(self, now: float) -> None:
        """Does what is due at `now`, or as much of it as one step of the loop has time for."""
        left = _AT_ONCE
        while left > 0 and (tracker := self._schedule.pop_due(now)) is not None:
            left -= max(1, self._see_to(tracker, now, left))  # it is a step in any case

    def failed(self, tracker: Tracker, now: float) -> None:
        """A poll of `tracker` has failed, and is put off."""
        if tracker.due > tracker.first_deadline():
            self._poll_if_last(tracker, now)
            self._schedule.put(tracker, next_alarm(tracker, now, self._leads(now)))

    def _poll_if_last(self, tracker: Tracker, now: float) -> None:
        """Has a poll made at once if it has to be, in order to end before a deadline."""
        if self._waits_for_a_turn(tracker):
            return
        with_turn, alone = self._leads(now)
        if needs_last_poll(tracker, now, with_turn) or (
            self._limiter.has_room(now) and needs_last_poll(tracker, now, alone, _WORTH_ANOTHER)
        ):
            tracker.last_poll_asked = now
            self._planner.put_first(tracker, now, last=True)

    def _waits_for_a_turn(self, tracker: Tracker) -> bool:
        """Whether a last poll was asked for that is not made yet."""
        return tracker.is_last_poll and self._queue.is_due(tracker)

    def _see_to(self, tracker: Tracker, now: float, most: int) -> int:
        """Returns how many deadlines have passed, `most` at the most; for the others it rings again."""
        passed = 0
        try:
            while passed < most and (who := tracker.overdue(now)) is not None:
                self._passed(tracker, who)
                passed += 1
            if passed and tracker.not_before > now and self._waits_for_a_turn(tracker):
                # It was not made in time, and whoever else waits leaves the service alone for as long as it asks.
                tracker.last_poll_asked = -math.inf
                self._planner.at_once(tracker, now)
            self._poll_if_last(tracker, now)
        finally:
            self._schedule.put(tracker, next_alarm(tracker, now, self._leads(now)))
        return passed

    def _leads(self, now: float) -> tuple[float, float]:
        """Seconds that are kept for a poll before a deadline: for its turn and itself, and for itself alone.

        One turn may just have been taken. Where others wait, each poller that stands in line has its turns, and of this
        one's every eighth goes to whoever waits longest.
        """
        waiting = self._limiter.waiting
        if self._queue.due:  # then this poller is one of those
            waiting = max(waiting - 1, 0)
        turns = 3 + 2 * waiting if waiting or self._queue.due else 2
        alone = max(_LATENCIES * self._latency(), _SHORTEST_LEAD)
        return turns / self._limiter.rate(now) + alone, alone


def next_alarm(tracker: Tracker, now: float, leads: Sequence[float]) -> float:
    """When something is to be done about those who wait for `tracker`; `math.inf` where nobody has a deadline.

    That is when a last poll may have to be made, for the leads may grow; when it has to, or again after it failed; and
    when a deadline passes.

    Args:
        leads: As in `latest_start`.
    """
    first = tracker.first_deadline()
    if first == math.inf:
        return first
    starts = [latest_start(who, lead) for who in tracker.with_last_polls() for lead in (math.inf, *leads)]
    if tracker.failures:
        starts.append(tracker.last_poll_asked + _TRIES_APART)
    return min([first, *(start for start in starts if start > now)])


def needs_last_poll(tracker: Tracker, now: float, lead: float, share: float = 0.0) -> bool:
    """Whether a poll of `tracker` has to start now that is to end before a deadline.

    One that was made just before serves as well: of many deadlines, each in turn would have one otherwise. One that
    failed does not, and is made again after a while.

    Args:
        lead: As in `latest_start`.
        share: So much of a wait is just before too.
    """
    if tracker.state is not _PARKED:
        return False
    if tracker.failures:
        return tracker.last_poll_asked + _TRIES_APART <= now and any(
            latest_start(who, lead) <= now for who in tracker.with_last_polls()
        )
    last = max(tracker.seen, tracker.last_poll_asked)
    return any(
        last + max(_POLLS_APART, share * _span(who)) < latest_start(who, lead) <= now
        for who in tracker.with_last_polls()
    )


def latest_start(who: Waiter, lead: float) -> float:
    """When the last poll for `who` has to start; `math.inf` without a deadline.

    Args:
        lead: Seconds that a poll takes, and its turn; of a short wait a tenth is kept for it at the most.
    """
    return math.inf if who.deadline is None else who.deadline - min(lead, _LARGEST_LEAD * _span(who))


def _span(who: Waiter) -> float:
    return math.inf if who.deadline is None else who.deadline - who.submitted
