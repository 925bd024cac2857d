"""Which forecast an operation goes by, and what its end teaches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from lro_poller.engine.estimate import Interval
from lro_poller.engine.forecast import Hints, around
from lro_poller.engine.history import History
from lro_poller.engine.learning import Learner
from lro_poller.engine.outlook import AGES
from lro_poller.engine.tracker import Event, Tracker
from lro_poller.engine.verdict import Running
from lro_poller.operation import Operation

NAME = "operations/abc"
BEGAN = 1_000.0
TYPED = b'{"metadata": {"@type": "type.googleapis.com/google.x.v1.MakeMetadata"}}'


def running(body: bytes = TYPED) -> Operation:
    return Operation.from_json(NAME, body)


def tracked(hints: Hints | None = None, **facts: Any) -> Tracker:
    """As a runner makes them."""
    tracker = Tracker.start(NAME, BEGAN)
    if hints is not None:
        Learner(History(), "svc").advise(tracker, hints)
    for fact, value in facts.items():
        setattr(tracker, fact, value)
    return tracker


def see(learner: Learner, tracker: Tracker, now: float, body: bytes = TYPED) -> None:
    tracker.on(Event.START)
    tracker.hear(Running(running(body), 0.0), now)
    learner.saw_running(tracker)


def remembered(history: History, key: str = "svc MakeMetadata") -> list[Interval]:
    return list(history._kind(key).durations.intervals())


def bins(low: float, high: float) -> Callable[[Interval], bool]:
    """Whether an interval is from `low` to `high`, to the bin."""

    def fits(interval: Interval) -> bool:
        first, last = AGES[interval[0]], AGES[interval[1]]
        ends = last == AGES[-1] if high == math.inf else high <= last <= high * 1.07
        return low / 1.07 <= first <= low and ends

    return fits


@pytest.mark.parametrize(
    "body, kind",
    [
        (TYPED, "svc MakeMetadata"),
        (b'{"metadata": {"@type": "Plain"}}', "svc Plain"),
        (b'{"metadata": {"@type": "a.' + b"x" * 500 + b'"}}', "svc " + "x" * 100),
        (b'{"metadata": {"@type": 5}}', "svc "),
        (b'{"metadata": {"n": 5}}', "svc "),
        (b'{"metadata": [5]}', "svc "),
        (b"{}", "svc "),
    ],
)
def test_kinds_are_told_apart_by_the_type_of_the_metadata(body: bytes, kind: str) -> None:
    history, tracker = History(), tracked()
    see(Learner(history, "svc"), tracker, BEGAN + 5, body)
    assert len(history) == 1
    assert tracker.kind is history._kind(kind)
    assert len(history) == 1
    assert tracker.forecast is tracker.kind


def test_an_operation_that_was_never_read_is_of_the_kind_without_a_type() -> None:
    history, tracker = History(), tracked()
    Learner(history, "svc").saw_running(tracker)
    assert tracker.kind is history._kind("svc ")


def test_a_kind_that_the_caller_names_goes_before_the_type() -> None:
    history, tracker = History(), tracked(Hints(kind="mine"))
    see(Learner(history, "svc"), tracker, BEGAN + 5)
    assert tracker.kind is history._kind("svc mine")
    assert len(history) == 1


def test_a_kind_stays_what_it_was_when_first_seen() -> None:
    history, tracker = History(), tracked()
    see(Learner(history, "svc"), tracker, BEGAN + 5)
    see(Learner(history, "svc"), tracker, BEGAN + 9, b"{}")
    assert tracker.kind is history._kind("svc MakeMetadata")
    assert len(history) == 1


def test_services_learn_apart() -> None:
    history = History()
    for service in ("one", "two"):
        see(Learner(history, service), tracked(), BEGAN + 5)
    assert len(history) == 2


def test_an_expectation_goes_before_what_was_learned() -> None:
    history = History()
    for _ in range(50):
        history.add("svc", "MakeMetadata", 5.0)
    tracker = tracked(Hints(expected=600.0))
    see(Learner(history, "svc"), tracker, BEGAN + 5)
    assert tracker.forecast.next_look(0.0) == around(600.0).next_look(0.0)
    see(Learner(history, "svc"), tracker, BEGAN + 9)
    assert tracker.forecast.next_look(9.0) == around(600.0).next_look(9.0)


@pytest.mark.parametrize("first", [Hints(expected=600.0), Hints(total=lambda operation, age: 600.0)])
def test_what_the_first_caller_says_counts_until_the_next_look_too(first: Hints) -> None:
    learner, tracker = Learner(History(), "svc"), tracked()
    learner.advise(tracker, first)
    see(learner, tracker, BEGAN + 5)
    learner.advise(tracker, Hints(expected=5.0))
    assert tracker.forecast is around(600.0)


def test_when_progress_falls_silent_the_expectation_counts_again() -> None:
    told = iter([50.0, None])
    tracker = tracked(Hints(expected=600.0, total=lambda operation, age: next(told)))
    learner = Learner(History(), "svc")
    see(learner, tracker, BEGAN + 5)
    assert tracker.forecast.next_look(5.0) == around(50.0).next_look(5.0)
    see(learner, tracker, BEGAN + 9)
    assert tracker.forecast.next_look(9.0) == around(600.0).next_look(9.0)


def test_an_expectation_that_comes_with_a_hint_made_later_counts_too() -> None:
    tracker = tracked()
    tracker.hints = Hints(expected=600.0)
    see(Learner(History(), "svc"), tracker, BEGAN + 5)
    assert tracker.forecast.next_look(0.0) == around(600.0).next_look(0.0)


def test_progress_goes_before_an_expectation_and_is_asked_each_time() -> None:
    asked: list[tuple[Operation, float]] = []

    def total(operation: Operation, age: float) -> float:
        asked.append((operation, age))
        return 100.0 * len(asked)

    learner, tracker = Learner(History(), "svc"), tracked(Hints(expected=600.0, total=total))
    see(learner, tracker, BEGAN + 5)
    assert tracker.forecast.next_look(5.0) == around(100.0).next_look(5.0)
    see(learner, tracker, BEGAN + 50)
    assert tracker.forecast.next_look(50.0) == around(200.0).next_look(50.0)
    assert [age for _, age in asked] == [5.0, 50.0]
    assert asked[0][0] == running()


def failing(operation: Operation, age: float) -> float:
    raise KeyError("progress")


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("total", [failing, lambda operation, age: None])
@pytest.mark.parametrize("expected", [None, 600.0])
def test_progress_that_raises_or_tells_nothing_leaves_what_is_known_otherwise(
    total: Any, expected: float | None
) -> None:
    tracker = tracked(Hints(expected=expected, total=total))
    see(Learner(History(), "svc"), tracker, BEGAN + 5)
    if expected is None:
        assert tracker.forecast is tracker.kind
    else:
        assert tracker.forecast.next_look(5.0) == around(expected).next_look(5.0)


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("total", [-1e300, -5.0, 0.0, 3.0, 1e-9, 1e300])
def test_progress_that_lies_neither_stops_looking_nor_speeds_it_without_bound(total: float) -> None:
    tracker = tracked(Hints(total=lambda operation, age: total))
    see(Learner(History(), "svc"), tracker, BEGAN + 5_000)
    following = tracker.forecast.next_look(5_000.0)
    assert 5_000.02 < following < math.inf


SIZES = (5.0, 20.0, 80.0, 320.0, 1_280.0)


def believed(learner: Learner, hints: Callable[[float], Hints], count: int) -> list[bool]:
    """Of operations of one kind that take very differently long, whether each went by what its caller said of it."""
    told = []
    for number in range(count):
        seconds = SIZES[number % len(SIZES)]
        tracker = tracked(hints(seconds))
        for age in (0.2, 0.5, 0.8, 0.95):
            see(learner, tracker, BEGAN + age * seconds)
        told.append(tracker.forecast is not tracker.kind)
        learner.ended(tracker, BEGAN + seconds)
    return told


def right(seconds: float) -> Hints:
    return Hints(expected=seconds)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda seconds: Hints(expected=seconds * 10),
        lambda seconds: Hints(total=lambda operation, age: age * 1_000),
        lambda seconds: Hints(expected=seconds, total=lambda operation, age: 1e6),
    ],
)
def test_hints_that_foretell_ends_worse_than_what_was_learned_are_not_believed(
    wrong: Callable[[float], Hints],
) -> None:
    learner = Learner(History(), "svc")
    assert believed(learner, wrong, 300)[-20:] == [False] * 20
    assert believed(learner, right, 100)[-20:] == [True] * 20  # they are once they foretell them better
    assert believed(learner, wrong, 100)[-20:] == [False] * 20


def test_an_end_at_the_moment_of_a_look_was_not_foretold_by_anybody() -> None:
    learner, tracker = Learner(History(), "svc"), tracked(right(60.0))
    see(learner, tracker, BEGAN + 60)
    learner.ended(tracker, BEGAN + 60)
    assert believed(learner, right, 5) == [True] * 5


def test_hints_that_are_right_are_believed_and_one_that_is_wrong_refutes_nothing() -> None:
    learner = Learner(History(), "svc")
    assert all(believed(learner, right, 200))
    believed(learner, lambda seconds: Hints(expected=1e6), 1)
    assert all(believed(learner, right, 50))


def test_an_end_teaches_between_which_looks_it_was() -> None:
    history, tracker = History(), tracked()
    learner = Learner(history, "svc")
    see(learner, tracker, BEGAN + 20)
    see(learner, tracker, BEGAN + 40)
    learner.ended(tracker, BEGAN + 50)
    (interval,) = remembered(history)
    assert bins(40.0, 50.0)(interval)


def test_one_that_is_lost_sight_of_took_longer() -> None:
    history, tracker = History(), tracked()
    learner = Learner(history, "svc")
    see(learner, tracker, BEGAN + 40)
    learner.lost_sight(tracker, BEGAN + 70)
    (interval,) = remembered(history)
    assert bins(40.0, math.inf)(interval)


def test_one_that_was_never_seen_running_teaches_nothing() -> None:
    history, tracker = History(), tracked()
    learner = Learner(history, "svc")
    learner.ended(tracker, BEGAN + 50)
    learner.lost_sight(tracker, BEGAN + 50)
    assert len(history) == 0


def test_one_that_was_seen_only_by_whoever_submitted_it_has_taken_no_time_yet() -> None:
    history, tracker = History(), tracked(operation=running())
    learner = Learner(history, "svc")
    learner.saw_running(tracker)
    learner.ended(tracker, BEGAN + 3)
    (interval,) = remembered(history)
    assert (interval[0], bins(0.0, 3.0)(interval)) == (0, True)


@pytest.mark.behaviour("B11")
def test_a_resumed_operation_teaches_nothing_and_goes_by_what_is_known() -> None:
    history, tracker = History(), tracked(learns=False)
    learner = Learner(history, "svc")
    see(learner, tracker, BEGAN + 40)
    learner.ended(tracker, BEGAN + 50)
    learner.lost_sight(tracker, BEGAN + 50)
    assert remembered(history) == []
    assert tracker.forecast is history._kind("svc MakeMetadata")


@pytest.mark.behaviour("B11")
def test_resumed_operations_that_run_on_make_nobody_expect_more() -> None:
    history, alone = History(), History()
    learner = Learner(history, "svc")
    for _ in range(50):
        see(learner, tracked(learns=False), BEGAN + 5_000)
    for one in (history, alone):
        for _ in range(10):
            one.add("svc", "MakeMetadata", 20.0)
    known, expected = (one._kind("svc MakeMetadata") for one in (history, alone))
    assert [known.next_look(age) for age in (0.0, 10.0, 30.0)] == [expected.next_look(age) for age in (0.0, 10.0, 30.0)]


@pytest.mark.behaviour("B19")
def test_metadata_nested_without_end_is_of_no_type() -> None:
    history = History()
    tracker = tracked(operation=Operation(NAME, False, None, b'{"metadata": {"@type": ' + b"[" * 100_000))
    Learner(history, "svc").saw_running(tracker)
    assert tracker.kind is history._kind("svc ")
