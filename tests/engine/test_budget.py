"""The cap, the rate and what a 429 changes, stepped by hand through time."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.budget import Budget

MANY = settings(max_examples=200, deadline=None, derandomize=True)


def pause(budget: Budget, now: float) -> float:
    return budget.next_time() - now


@pytest.mark.parametrize("cap", [0, -1, 1.5, "4", None, True, math.inf])
def test_a_cap_that_lets_nothing_through_is_refused(cap: Any) -> None:
    with pytest.raises(ValueError, match="max_in_flight must be a whole number, 1 or more"):
        Budget(cap)


@pytest.mark.parametrize("rate", [0, -1, math.nan, "4", None, True, -math.inf])
def test_a_rate_that_lets_nothing_through_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="max_rate must be a number of polls a second above 0"):
        Budget(1, rate)


@pytest.mark.behaviour("B23")
def test_no_more_polls_are_in_flight_than_the_cap_says() -> None:
    budget = Budget(2)
    assert budget.free()
    budget.start(0.0)
    assert budget.free()
    budget.start(0.0)
    assert not budget.free()
    budget.finish()
    assert budget.free()
    budget.start(0.0)
    assert not budget.free()


@pytest.mark.behaviour("B23")
def test_without_a_rate_a_poll_may_start_at_once() -> None:
    budget = Budget(10)
    assert budget.next_time() <= 0.0
    budget.start(5.0)
    assert budget.next_time() <= 5.0


@pytest.mark.behaviour("B23")
def test_polls_are_spaced_evenly() -> None:
    budget = Budget(100, max_rate=4)
    assert budget.next_time() <= 0.0
    budget.start(0.0)
    assert budget.next_time() == 0.25
    budget.start(0.25)
    assert budget.next_time() == 0.5
    budget.start(7.0)
    assert budget.next_time() == 7.25


@pytest.mark.behaviour("B23")
@given(
    rate=st.sampled_from([0.25, 1, 3, 10, 16.5]),
    idle=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
@MANY
def test_the_rate_holds_in_every_second(rate: float, idle: list[float]) -> None:
    budget, now = Budget(1_000, rate), 0.0
    starts: list[float] = []
    for wait in idle:
        now = max(now + wait, budget.next_time())
        budget.start(now)
        starts.append(now)
    window = max(1.0, 1 / rate)
    for first in starts:
        assert len([start for start in starts if first <= start < first + window - 1e-6]) <= max(math.ceil(rate), 1)


@pytest.mark.behaviour("B18")
def test_a_429_stops_the_polls_of_every_operation_for_a_second() -> None:
    budget = Budget(10)
    budget.start(100.0)
    budget.throttled(100.0, 0.0)
    assert pause(budget, 100.0) == 1.0


@pytest.mark.behaviour("B14", "B18")
@pytest.mark.parametrize("asked, wait", [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (900.0, 900.0)])
def test_a_429_is_obeyed_for_as_long_as_it_asks(asked: float, wait: float) -> None:
    budget = Budget(10)
    budget.throttled(100.0, asked)
    assert pause(budget, 100.0) == wait


@pytest.mark.behaviour("B18")
def test_a_pause_after_a_429_is_no_shorter_than_the_rate_asks_for() -> None:
    budget = Budget(10, max_rate=0.1)
    budget.start(100.0)
    budget.throttled(101.0, 0.0)
    assert budget.next_time() == 111.0


@pytest.mark.behaviour("B18")
def test_one_429_after_another_doubles_the_pause_up_to_a_minute() -> None:
    budget, now = Budget(10), 0.0
    pauses = []
    for _ in range(9):
        budget.start(now)
        budget.throttled(now, 0.0)
        pauses.append(pause(budget, now))
        now = budget.next_time()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("max_rate", [math.inf, 4.0])
def test_polls_that_were_under_way_together_lengthen_the_pause_once(max_rate: float) -> None:
    budget = Budget(10, max_rate)
    for poll in range(5):
        budget.start(poll / 4)
    for _ in range(5):
        budget.throttled(1.0, 0.0)
    assert budget.next_time() == 2.0
    budget.start(2.0)
    budget.throttled(2.0, 0.0)
    assert pause(budget, 2.0) == 2.0


@pytest.mark.behaviour("B18")
def test_the_longest_pause_asked_for_by_any_of_them_counts() -> None:
    budget = Budget(10)
    for asked in (3.0, 30.0, 5.0):
        budget.throttled(0.0, asked)
    assert budget.next_time() == 30.0


@pytest.mark.behaviour("B18")
def test_the_pace_recovers_with_the_first_answer() -> None:
    budget = Budget(10, max_rate=2)
    for now in (0.0, 10.0, 20.0):
        budget.throttled(now, 0.0)
    assert budget.next_time() == 24.0
    budget.start(24.0)
    budget.answered()
    assert budget.next_time() == 24.5
    budget.throttled(30.0, 0.0)
    assert pause(budget, 30.0) == 1.0


@pytest.mark.behaviour("B18", "B28")
def test_a_turn_taken_while_nobody_may_poll_does_not_end_the_pause() -> None:
    budget = Budget(10, max_rate=2)
    budget.throttled(0.0, 20.0)
    budget.take_turn(1.0)
    assert budget.next_time() == 20.0
    budget.take_turn(20.0)
    assert (budget.next_time(), budget.in_flight) == (20.5, 0)


@pytest.mark.behaviour("B18")
def test_an_answer_to_an_older_poll_does_not_end_the_pause() -> None:
    budget = Budget(10)
    budget.throttled(0.0, 20.0)
    budget.answered()
    assert budget.next_time() == 20.0


@pytest.mark.behaviour("B18", "B23")
@given(
    rate=st.sampled_from([math.inf, 0.5, 4]),
    script=st.lists(st.tuples(st.sampled_from(["start", "429", "answer"]), st.floats(0, 30)), max_size=40),
)
@MANY
def test_nothing_ever_brings_the_next_poll_forward_or_stops_it_for_good(
    rate: float, script: list[tuple[str, float]]
) -> None:
    budget, now, before = Budget(3, rate), 0.0, -math.inf
    for call, amount in script:
        now += amount
        if call == "start" and budget.next_time() <= now:
            budget.start(now)
            budget.finish()
        elif call == "429":
            budget.throttled(now, amount)
            assert budget.next_time() >= now + max(amount, 0.5)
        else:
            budget.answered()
        assert budget.next_time() >= before
        assert budget.next_time() <= now + 60.0
        before = budget.next_time()
    assert budget.free()
