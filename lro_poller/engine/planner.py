"""When each operation is polled next.

Joins what decides that: the forecast or the caller's own backoff, the retry policy, and what
the service asks for. Then it tells the queue. Times are seconds of one monotonic clock; `random` is
uniform in [0, 1).
"""

from __future__ import annotations

import math
from typing import TypeAlias

from .budget import Limiter
from .cadence import jittered
from .forecast import Forecast, wait_by
from .learning import Learner
from .queue import Queue
from .retry import retry_wait
from .tracker import State, Tracker

__all__ = ["Planner", "PollQueue", "worth_after", "worth_key"]

WorthKey: TypeAlias = tuple[Forecast, int, int]
PollQueue: TypeAlias = Queue[Tracker, WorthKey]
"""The queue of one poller."""

_PARKED = State.PARKED  # before Python 3.12 naming a member runs a function of enum's


class Planner:
    """The one that puts operations into the queue of one poller.

    Args:
        limiter: Says whether polls were granted, so that looks may stand closer.
        learner: Chooses the forecast of an operation that was found running.
    """

    __slots__ = ("_learner", "_limiter", "_queue")

    def __init__(self, queue: PollQueue, limiter: Limiter, learner: Learner) -> None:
        self._queue = queue
        self._limiter = limiter
        self._learner = learner

    def at_once(self, tracker: Tracker, now: float) -> None:
        """Has it polled now, or as soon as the service lets it."""
        self._put(tracker, now, 0.0)

    def park(self, tracker: Tracker, now: float, random: float) -> None:
        """Schedules the next poll of an operation that was found running.

        Code of the caller's runs in here, which may end the wait, or ask for a poll at once.

        Raises:
            BackoffError: the caller's generator misbehaved.
        """
        if tracker.state is not _PARKED:
            return  # the caller's source of randomness has ended the wait
        assert tracker.operation is not None
        self._learner.saw_running(tracker)
        if tracker.backoff is None:
            granted = self._limiter.granted(now)
            tracker.wait = wait = wait_by(tracker.forecast, now - tracker.began, random, granted=granted)
        else:
            tracker.wait = tracker.backoff.wait(tracker.sightings, tracker.operation)
            wait = jittered(tracker.wait, random)
        self._rest(tracker, now, wait)

    def retry(self, tracker: Tracker, now: float, random: float) -> None:
        """Schedules the next poll after one that failed."""
        self._rest(tracker, now, jittered(retry_wait(tracker.failures, tracker.wait), random))

    def hurry(self, tracker: Tracker, now: float) -> None:
        """Has it polled before others, or in its turn, or as soon as the service lets it."""
        if tracker.not_before <= now and self._may_pass(tracker):
            tracker.hurried = self._queue.taken
            self.put_first(tracker, now)
        elif not self._queue.is_due(tracker):  # one that is due, before a deadline perhaps, is not put off
            self.at_once(tracker, now)

    def _may_pass(self, tracker: Tracker) -> bool:
        """Whether it may go before others: for the first time, or once they may all have had a turn since."""
        return self._queue.taken - tracker.hurried >= self._queue.due

    def put_first(self, tracker: Tracker, now: float, *, last: bool = False) -> None:
        """Has it polled before others, whatever the service asks for; before all if it is the `last` poll."""
        if not self._queue.is_due(tracker):
            tracker.due = now  # else it has been due for a while
        self._queue.put_first(tracker, last=last)

    def _rest(self, tracker: Tracker, now: float, wait: float) -> None:
        """Schedules the next poll, unless code of the caller's has ended the wait or asked for a poll at once."""
        if tracker.state is _PARKED and tracker not in self._queue:
            self._put(tracker, now, wait)

    def _put(self, tracker: Tracker, now: float, wait: float) -> None:
        """Has it polled after `wait`, and not before the service lets it."""
        tracker.due = due = max(tracker.not_before, now + wait)
        self._queue.put(tracker, due)


def worth_key(tracker: Tracker) -> WorthKey:
    """What the worth of a poll goes by: a forecast, about which age it was last seen at; and how long it waits since.

    Of those that wait equally long, to within a factor of two, the first due is the first seen, or nearly so. No wait
    at all counts as one of half a second.
    """
    forecast, seen = tracker.forecast, tracker.seen
    return forecast, forecast.place(seen - tracker.began), math.frexp(tracker.due - seen)[1]


def worth_after(key: WorthKey, level: int) -> float:
    """How many seconds after it was seen a poll is worth `2**level` of the price of one."""
    forecast, place, _ = key
    return forecast.worth_after(place, level)
