"""When an operation is polled next: by what is known, by a caller's waits, after failures, and at once."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import backoff
import pytest

from lro_poller.engine.budget import Limiter
from lro_poller.engine.cadence import BackoffWaits
from lro_poller.engine.forecast import PLAIN, wait_by
from lro_poller.engine.history import History
from lro_poller.engine.learning import Learner
from lro_poller.engine.planner import Planner, PollQueue, worth_after, worth_key
from lro_poller.engine.queue import Queue
from lro_poller.engine.tracker import Event, Tracker
from lro_poller.engine.verdict import Running, Setback
from lro_poller.errors import BackoffError, PollError
from lro_poller.operation import Operation

NAME = "operations/abc"
START = 100.0
RUNNING = Operation(NAME, False, None, b"{}")


@dataclass
class Scene:
    """A planner, its queue, and one operation."""

    queue: PollQueue
    planner: Planner
    tracker: Tracker

    def poll(self, now: float, delay: float = 0.0, *, failed: bool = False) -> None:
        """What it is like after a poll."""
        self.queue.remove(self.tracker)
        self.tracker.on(Event.START)
        error = PollError(NAME, "503")
        self.tracker.hear(Setback(error, delay) if failed else Running(RUNNING, delay), now)


def scene(max_rate: float = math.inf) -> Scene:
    queue: PollQueue = Queue(worth_key, worth_after)
    tracker = Tracker.start(NAME, START)
    return Scene(queue, Planner(queue, Limiter(max_rate=max_rate), Learner(History(), "svc")), tracker)


def test_one_of_which_nothing_is_known_is_polled_at_once() -> None:
    one = scene()
    one.planner.at_once(one.tracker, START)
    assert one.tracker.due == START
    assert one.queue.pop(START) is one.tracker


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize("max_rate", [math.inf, 9.5])
def test_what_runs_is_polled_when_its_forecast_says(max_rate: float) -> None:
    one = scene(max_rate)
    one.poll(START + 1)
    one.planner.park(one.tracker, START + 1, 0.3)
    wait = wait_by(PLAIN, 1.0, 0.3, granted=max_rate < math.inf)
    assert one.tracker.wait == wait
    assert one.tracker.due == START + 1 + wait


@pytest.mark.behaviour("B13")
def test_waits_of_the_caller_win_and_are_spread_by_a_tenth() -> None:
    one = scene()
    one.tracker.backoff = BackoffWaits(functools.partial(backoff.constant, interval=20))
    one.poll(START)
    one.planner.park(one.tracker, START, 0.0)
    assert (one.tracker.wait, one.tracker.due) == (20.0, START + 18.0)


def test_a_generator_that_misbehaves_is_told() -> None:
    one = scene()
    one.tracker.backoff = BackoffWaits(functools.partial(backoff.constant, interval=-1))
    one.poll(START)
    with pytest.raises(BackoffError):
        one.planner.park(one.tracker, START, 0.5)
    assert one.tracker not in one.queue


@pytest.mark.behaviour("B16")
def test_polls_that_fail_come_ever_later_and_never_sooner_than_was_usual() -> None:
    one, dues = scene(), list[float]()
    one.tracker.wait = 3.0
    for _ in range(6):
        one.poll(START, failed=True)
        one.planner.retry(one.tracker, START, 0.5)
        dues.append(one.tracker.due - START)
    assert dues == sorted(dues)
    assert dues[0] >= 3.0
    assert dues[-1] > 10.0


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize("failed", [False, True])
def test_the_service_is_left_alone_for_as_long_as_it_asks(*, failed: bool) -> None:
    one = scene()
    one.poll(START, delay=77.0, failed=failed)
    (one.planner.retry if failed else one.planner.park)(one.tracker, START, 0.5)
    assert one.tracker.due >= START + 77.0
    one.planner.hurry(one.tracker, START + 5.0)
    assert one.tracker.due == START + 77.0
    assert one.queue.pop(START + 76.9) is None


@pytest.mark.behaviour("B15")
def test_one_that_somebody_asks_for_goes_first() -> None:
    one = scene()
    others = [Tracker.start(f"operations/{number}", START) for number in range(3)]
    for other in others:
        one.planner.at_once(other, START)
    one.poll(START)
    one.planner.park(one.tracker, START, 0.5)
    one.planner.hurry(one.tracker, START + 1.0)
    assert one.tracker.due == START + 1.0
    assert one.queue.pop(START + 1.0) is one.tracker


@pytest.mark.behaviour("B15", "B23")
@pytest.mark.parametrize("others, first", [(0, False), (1, False), (2, True)])
def test_one_that_somebody_asks_for_again_goes_first_when_all_may_have_had_a_turn(*, others: int, first: bool) -> None:
    one = scene()
    for number in range(6):
        one.planner.at_once(Tracker.start(f"operations/{number}", START), START)
    assert one.queue.pop(START) is not None  # the next four stand in line
    one.planner.hurry(one.tracker, START)
    assert one.queue.pop(START) is one.tracker
    assert one.queue.due == 5
    for _ in range(others):
        assert one.queue.pop(START) is not one.tracker
    one.planner.hurry(one.tracker, START + 1.0)
    assert (one.queue.pop(START + 1.0) is one.tracker) is first
    assert one.tracker.due == START + 1.0


def test_one_that_is_due_already_has_been_so_for_a_while() -> None:
    one = scene()
    for number in range(2):
        one.planner.at_once(Tracker.start(f"operations/{number}", START), START)
    one.planner.at_once(one.tracker, START)
    assert one.queue.pop(START) is not one.tracker
    one.planner.hurry(one.tracker, START + 9.0)
    assert one.tracker.due == START


@pytest.mark.behaviour("B10", "B14")
def test_a_last_look_goes_first_and_waits_for_nobody() -> None:
    one = scene()
    others = [Tracker.start(f"operations/{number}", START) for number in range(3)]
    for other in others:
        one.planner.at_once(other, START)
    one.poll(START, delay=77.0)
    one.planner.park(one.tracker, START, 0.5)
    one.planner.put_first(one.tracker, START + 20.0)
    assert one.tracker.due == START + 20.0
    assert one.queue.pop(START + 20.0) is one.tracker


def test_what_code_of_the_callers_has_changed_meanwhile_stands() -> None:
    one = scene()

    def waits() -> object:
        yield
        one.planner.hurry(one.tracker, START)
        yield 40.0

    one.tracker.backoff = BackoffWaits(waits)  # type: ignore[arg-type]  # it misbehaves in more than its type
    one.poll(START)
    one.planner.park(one.tracker, START, 0.5)
    assert one.queue.pop(START) is one.tracker
    one.tracker.on(Event.START)
    one.tracker.hear(Running(RUNNING, 0.0), START)
    one.tracker.on(Event.ABANDON)
    one.planner.park(one.tracker, START, 0.5)
    assert one.tracker not in one.queue


def test_a_wait_that_code_of_the_callers_has_ended_meanwhile_is_of_no_kind() -> None:
    one = scene()
    one.poll(START)
    one.tracker.on(Event.ABANDON)
    one.planner.park(one.tracker, START, 0.5)
    assert one.tracker not in one.queue
    assert one.tracker.kind is None


@pytest.mark.behaviour("B23")
def test_worth_goes_by_the_forecast_and_the_age_at_which_it_was_last_seen() -> None:
    one = scene()
    one.tracker.seen, one.tracker.due = START + 20.0, START + 23.0
    assert worth_key(one.tracker) == (PLAIN, PLAIN.place(20.0), 2)
    assert worth_after(worth_key(one.tracker), 3) == PLAIN.worth_after(PLAIN.place(20.0), 3)


@pytest.mark.behaviour("B23")
def test_who_was_seen_longer_ago_goes_first_however_long_it_had_to_wait() -> None:
    one = scene(max_rate=1.0)
    trackers = [Tracker.start(f"operations/{number}", START) for number in range(4)]
    for tracker, seen, wait in zip(trackers, (5.0, 0.0, 6.0, 1.0), (1.0, 9.0, 1.0, 9.0), strict=True):
        tracker.seen = START + seen
        tracker.due = tracker.seen + wait
        one.queue.put(tracker, tracker.due)
    assert [one.queue.pop(START + 60.0) for _ in trackers] == [trackers[number] for number in (1, 3, 0, 2)]
