"""When something is done about deadlines: the last poll before each, and its end."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.budget import Limiter
from lro_poller.engine.deadlines import Deadlines, latest_start, needs_last_poll, next_alarm
from lro_poller.engine.history import History
from lro_poller.engine.learning import Learner
from lro_poller.engine.planner import Planner, PollQueue, worth_after, worth_key
from lro_poller.engine.queue import Queue
from lro_poller.engine.tracker import Event, Tracker

from .limiters import ME, Poller, start
from .waiter import Waiter

MANY = settings(max_examples=300, deadline=None, derandomize=True)


def waited_for_until(*deadlines: float | None) -> Tracker:
    tracker = Tracker.start("operations/abc", 0.0)
    for deadline in deadlines:
        tracker.join(Waiter(deadline))
    return tracker


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize(
    "deadlines, lead, alarms",
    [
        ([], 1.0, []),
        ([None, None], 1.0, []),
        ([100.0], 1.0, [90.0, 99.0, 100.0]),
        ([100.0], 30.0, [90.0, 100.0]),  # a tenth of the wait at the most
        ([None, 70.0, 50.0], 1.0, [45.0, 49.0, 50.0, 63.0, 69.0, 70.0]),
        ([50.0, 60.0], 1.0, [45.0, 49.0, 50.0, 54.0, 59.0, 60.0]),
    ],
)
def test_it_is_seen_to_before_each_deadline_and_at_it(
    deadlines: list[float | None], lead: float, alarms: list[float]
) -> None:
    tracker, rung = waited_for_until(*deadlines), list[float]()
    while (alarm := next_alarm(tracker, rung[-1] if rung else 0.0, [lead])) < math.inf:
        rung.append(alarm)
        if (late := tracker.overdue(alarm)) is not None:
            tracker.leave(late)
    assert rung == alarms


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize(
    "deadlines, seen, now, needed",
    [
        ([], 0.0, 49.0, False),
        ([None], 0.0, 49.0, False),
        ([50.0], 0.0, 48.9, False),
        ([50.0], 0.0, 49.0, True),
        ([50.0], 48.9, 49.0, True),
        ([50.0], 48.99, 49.0, False),  # a poll that was made just before serves as well
        ([50.0], 49.5, 49.9, False),
        ([70.0, None, 50.0], 0.0, 49.0, True),
        ([70.0, None], 0.0, 49.0, False),
        ([1.0], 0.0, 0.89, False),
        ([1.0], 0.0, 0.9, True),  # a tenth of the wait at the most
    ],
)
def test_a_last_look_is_needed_where_none_was_just_made(
    deadlines: list[float | None], seen: float, now: float, needed: bool
) -> None:
    tracker = waited_for_until(*deadlines)
    tracker.seen = seen
    assert needs_last_poll(tracker, now, 1.0) is needed
    tracker.on(Event.START)
    assert not needs_last_poll(tracker, now, 1.0), "one is under way"


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize(
    "looked, now, needed", [(-math.inf, 48.9, False), (-math.inf, 49.0, True), (48.9, 49.8, False), (48.9, 49.9, True)]
)
def test_one_that_failed_is_made_again_after_a_second(looked: float, now: float, needed: bool) -> None:
    tracker = waited_for_until(50.0)
    tracker.seen, tracker.failures, tracker.last_poll_asked = 48.99, 1, looked
    assert needs_last_poll(tracker, now, 1.0) is needed
    assert next_alarm(tracker, 49.1, [1.0]) == (49.9 if looked > 0 else 50.0)


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("failures", [0, 1])
def test_nothing_is_done_where_nobody_has_a_deadline(failures: int) -> None:
    tracker = waited_for_until(None)
    tracker.failures, tracker.last_poll_asked = failures, 49.0
    assert next_alarm(tracker, 49.1, [1.0]) == math.inf


@pytest.mark.behaviour("B10")
@given(submitted=st.floats(0, 1e6), span=st.floats(1e-3, 1e6), lead=st.floats(0.02, 60))
@MANY
def test_what_is_kept_for_a_last_look_is_a_tenth_of_the_wait_at_the_most(
    submitted: float, span: float, lead: float
) -> None:
    kept = submitted + span - latest_start(Waiter(submitted + span, submitted), lead)
    assert kept == pytest.approx(min(lead, span / 10), rel=0.01, abs=1e-9)


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("others, due, turns", [(0, False, 2), (0, True, 3), (1, False, 5), (1, True, 5), (2, True, 7)])
def test_turns_are_kept_for_a_last_poll_by_who_else_takes_them(*, others: int, due: bool, turns: int) -> None:
    """At a turn a second, where those pollers stand in line, and something of this one's is due."""
    queue: PollQueue = Queue(worth_key, worth_after)
    limiter = Limiter(max_rate=1.0)
    pollers = [ME, *(Poller() for _ in range(others))]
    for poller in pollers:
        limiter.join(poller)
    start(limiter, 900.0)
    assert not any(limiter.admit(900.0, poller) for poller in pollers[0 if due else 1 :])
    if due:
        queue.put_first(Tracker.start("operations/other", 0.0))
    planner = Planner(queue, limiter, Learner(History(), "svc"))
    deadlines = Deadlines(queue, planner, limiter, lambda: 0.0, lambda tracker, who: None)
    tracker = waited_for_until(1000.0)
    deadlines.add(tracker, tracker.waiters()[0])
    deadlines.ring(900.0)
    assert tracker.alarm == pytest.approx(1000.0 - turns - 0.02)
