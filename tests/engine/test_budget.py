"""The cap, the rate, whose turn it is and how a 429 halts all of them, stepped by hand through time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.budget import Budget, Limiter

from .limiters import ME, Poller, joined, start

MANY = settings(max_examples=200, deadline=None, derandomize=True)


def polls(limiter: Limiter, *, rate: int, until: float) -> None:
    """As many polls a second, which the limiter allows, from 0 on, each answered at once."""
    for number in range(round(rate * until)):
        now = max(number / rate, limiter.next_time(0.0))
        start(limiter, now)
        limiter.answered(now)
        limiter.finish(ME)


def pause(limiter: Limiter, now: float) -> float:
    return limiter.next_time(now) - now


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", None, True, math.inf, math.nan])
@pytest.mark.parametrize("what", ["max_in_flight", "burst"])
def test_a_cap_that_lets_nothing_through_is_refused(what: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{what} must be a whole number, "):
        joined(**{what: value})


@pytest.mark.parametrize("rate", [0, 0.0, -1, math.nan, "4", None, True, -math.inf])
def test_a_rate_that_lets_nothing_through_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="max_rate must be a number of polls a second above 0"):
        joined(1, rate)


def test_the_repr_shows_what_is_under_way() -> None:
    budget = Budget(3, 2.5)
    budget._limiter.join(ME)
    start(budget._limiter, 0.0)
    assert repr(budget) == "<Budget 1 of 3 in flight, at most 2.5 polls/s>"
    budget._limiter.throttled(0.0, 0.0)
    assert budget.throttled_polls == 1


# The cap and the rate.


@pytest.mark.behaviour("B23")
def test_no_more_polls_are_in_flight_than_the_cap_says() -> None:
    limiter = joined(2)
    assert [limiter.admit(0.0, ME) for _ in range(3)] == [True, True, False]
    assert limiter.next_time(0.0) == math.inf
    limiter.finish(ME)
    assert limiter.next_time(0.0) <= 0.0
    assert [limiter.admit(0.0, ME) for _ in range(2)] == [True, False]


@pytest.mark.behaviour("B23")
def test_there_is_room_while_another_poll_may_start_and_nobody_stands_in_line() -> None:
    limiter = joined(2)
    assert [(limiter.has_room(0.0), limiter.admit(0.0, ME)) for _ in range(3)] == [
        (True, True),
        (True, True),
        (False, False),
    ]
    limiter.finish(ME)
    assert not limiter.has_room(0.0)  # somebody stands in line
    limiter.leave(ME)
    assert limiter.has_room(0.0)
    limiter.throttled(0.0, 5.0)
    assert [limiter.has_room(now) for now in (0.0, 4.9, 5.0)] == [False, False, True]


@pytest.mark.behaviour("B23")
def test_within_a_rate_there_is_room_for_as_many_as_the_burst() -> None:
    limiter = joined(10, 1.0, burst=2)
    assert [(limiter.has_room(0.0), limiter.admit(0.0, ME)) for _ in range(3)] == [
        (True, True),
        (True, True),
        (False, False),
    ]


@pytest.mark.behaviour("B23")
def test_polls_are_spaced_evenly() -> None:
    limiter = joined(100, max_rate=4)
    assert limiter.next_time(0.0) <= 0.0
    for now, following in [(0.0, 0.25), (0.25, 0.5), (7.0, 7.25)]:
        start(limiter, now)
        assert limiter.next_time(now) == following
        assert not limiter.admit(following - 0.01, ME)


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("burst", [1, 2, 5])
def test_after_a_pause_as_many_polls_as_the_burst_start_together(burst: int) -> None:
    limiter = joined(100, max_rate=4, burst=burst)
    for now in (0.0, 100.0):
        assert sum(limiter.admit(now, ME) for _ in range(10)) == burst
        assert pause(limiter, now) == pytest.approx(0.25)


@pytest.mark.behaviour("B23")
@given(
    rate=st.sampled_from([0.25, 1, 3, 10, 16.5]),
    burst=st.integers(1, 4),
    idle=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
@MANY
def test_the_rate_holds_in_every_second(rate: float, burst: int, idle: list[float]) -> None:
    limiter, now = joined(1_000, rate, burst=burst), 0.0
    starts: list[float] = []
    for wait in idle:
        now = max(now + wait, limiter.next_time(now))
        start(limiter, now)
        starts.append(now)
    window = max(1.0, 1 / rate)
    for first in starts:
        together = [moment for moment in starts if first <= moment < first + window - 1e-6]
        assert len(together) <= max(math.ceil(rate), 1) + burst - 1


# Several pollers.


@pytest.mark.behaviour("B23")
def test_two_pollers_of_one_budget_take_turns() -> None:
    limiter, pollers, now = joined(1), (Poller(), Poller()), 0.0
    for poller in pollers:
        limiter.join(poller)
    polls = [0, 0]
    for _ in range(100):
        admitted = [limiter.admit(now, poller) for poller in pollers]
        assert sum(admitted) == 1
        number = admitted.index(True)
        polls[number] += 1
        limiter.finish(pollers[number])
        now += 1.0
    assert polls == [50, 50]


@pytest.mark.behaviour("B23")
def test_whoever_is_first_in_line_is_told_of_room_and_nobody_passes() -> None:
    limiter, first, second = joined(1), Poller(), Poller()
    start(limiter, 0.0)
    assert not limiter.admit(0.0, first)
    assert not limiter.admit(0.0, second)
    before = first.nudges
    limiter.finish(ME)
    assert (first.nudges, second.nudges) == (before + 1, 0)
    assert not limiter.admit(0.0, second)
    assert limiter.admit(0.0, first)


@pytest.mark.behaviour("B19")
def test_pollers_of_another_loop_cannot_join() -> None:
    limiter, other, third = joined(1), Poller(), Poller()
    other.home = "another loop"
    with pytest.raises(RuntimeError, match="in another event loop; each loop needs its own"):
        limiter.join(other)
    limiter.join(third)
    limiter.forget(third)
    with pytest.raises(RuntimeError):
        limiter.join(other)
    limiter.forget(ME)
    limiter.join(other)


@pytest.mark.behaviour("B23")
def test_whoever_leaves_the_line_holds_up_nobody() -> None:
    limiter, first, second = joined(1), Poller(), Poller()
    start(limiter, 0.0)
    assert not limiter.admit(0.0, first)
    assert not limiter.admit(0.0, second)
    limiter.leave(first)
    limiter.leave(first)
    assert second.nudges == 1
    limiter.finish(ME)
    assert limiter.admit(0.0, second)
    before = first.nudges
    limiter.finish(second)  # nobody waits any more
    assert (first.nudges, second.nudges) == (before, 2)


def test_whoever_finishes_asks_again_by_itself() -> None:
    limiter = joined(1)
    start(limiter, 0.0)
    assert not limiter.admit(0.0, ME)
    before = ME.nudges
    limiter.finish(ME)
    assert ME.nudges == before


# A 429.


@pytest.mark.behaviour("B14", "B18")
@pytest.mark.parametrize("asked, wait", [(0.0, 1.0), (0.5, 1.0), (7.0, 7.0), (900.0, 900.0)])
def test_a_429_stops_every_poll_for_a_second_or_as_long_as_it_asks(asked: float, wait: float) -> None:
    limiter = joined(10)
    start(limiter, 100.0)
    limiter.throttled(100.0, asked)
    assert pause(limiter, 100.0) == limiter.halted_for(100.0) == wait
    assert limiter.halted_for(100.0 + wait + 1.0) == 0.0
    assert not limiter.admit(100.0 + wait - 0.01, ME)
    assert limiter.throttled_polls == 1


@pytest.mark.behaviour("B18")
def test_a_pause_after_a_429_is_no_shorter_than_the_rate_asks_for() -> None:
    limiter = joined(10, max_rate=0.1)
    start(limiter, 100.0)
    limiter.throttled(101.0, 0.0)
    assert limiter.next_time(101.0) == 110.0


@pytest.mark.behaviour("B18")
def test_one_429_after_another_doubles_the_pause_up_to_a_minute() -> None:
    limiter, now, pauses = joined(10), 0.0, []
    for _ in range(9):
        limiter.throttled(now, 0.0)
        pauses.append(pause(limiter, now))
        now = limiter.next_time(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.behaviour("B18")
def test_polls_that_were_under_way_together_lengthen_the_pause_once() -> None:
    limiter = joined(10)
    for _ in range(5):
        limiter.throttled(1.0, 0.0)
    assert limiter.next_time(1.0) == 2.0
    limiter.throttled(2.0, 0.0)
    assert pause(limiter, 2.0) == 2.0


@pytest.mark.behaviour("B18")
def test_the_longest_pause_asked_for_by_any_of_them_counts() -> None:
    limiter = joined(10)
    for asked in (3.0, 30.0, 5.0):
        limiter.throttled(0.0, asked)
    assert limiter.next_time(0.0) == 30.0


@pytest.mark.behaviour("B18")
def test_after_a_halt_single_polls_probe_until_one_is_answered() -> None:
    limiter = joined(10, max_rate=50)
    polls(limiter, rate=50, until=5.0)
    limiter.throttled(5.0, 0.0)
    assert limiter.next_time(5.0) == 6.0
    start(limiter, 6.0)
    assert limiter.next_time(6.0) == 7.0
    limiter.answered(6.3)
    assert limiter.next_time(6.3) == pytest.approx(6.3 + 1 / limiter.rate(6.3))
    assert limiter.next_time(6.3) < 6.4
    limiter.throttled(8.0, 0.0)
    assert pause(limiter, 8.0) == 1.0


@pytest.mark.behaviour("B18")
def test_whoever_waits_hears_that_a_halt_is_over_from_another_pollers_answer() -> None:
    """In line or not: who had a turn to come has set a timer for it."""
    limiter, other, bystander = joined(10, max_rate=50), Poller(), Poller()
    limiter.join(other)
    limiter.join(bystander)
    polls(limiter, rate=50, until=5.0)
    limiter.throttled(5.0, 0.0)
    start(limiter, 6.0)
    assert not limiter.admit(6.1, other)
    before, later = other.nudges, limiter.next_time(6.1, other)
    limiter.answered(6.3)
    assert limiter.next_time(6.3, other) < later
    assert other.nudges > before
    assert bystander.nudges == 1


@pytest.mark.behaviour("B18")
def test_an_answer_to_a_poll_from_before_the_halt_ends_nothing() -> None:
    limiter = joined(10, max_rate=50)
    polls(limiter, rate=50, until=5.0)
    limiter.throttled(5.0, 20.0)
    limiter.answered(6.0)
    assert limiter.next_time(6.0) == 25.0
    start(limiter, 25.0)
    assert limiter.next_time(25.0) == 26.0


@pytest.mark.behaviour("B18", "B23")
@given(
    rate=st.sampled_from([math.inf, 0.5, 4]),
    script=st.lists(st.tuples(st.sampled_from(["start", "429", "answer"]), st.floats(0, 30)), max_size=60),
)
@MANY
def test_no_order_of_answers_shortens_a_pause_passes_the_rate_or_stops_polling_for_good(
    rate: float, script: list[tuple[str, float]]
) -> None:
    limiter, now, until = joined(3, rate), 0.0, -math.inf
    for call, amount in script:
        now += amount
        if call == "start" and limiter.next_time(now) <= now:
            start(limiter, now)
            limiter.finish(ME)
            assert limiter.next_time(now) >= now + 1 / rate
        elif call == "429":
            limiter.throttled(now, amount)
            until = max(until, now + amount)
        elif call == "answer":
            limiter.answered(now)
        assert until <= limiter.next_time(now) <= now + 60.0
        assert 0.02 <= limiter.rate(now) <= rate


def test_a_rate_is_granted_until_a_429_says_otherwise_and_again_when_that_is_forgotten() -> None:
    unknown, known = joined(10), joined(10, 5.0)
    assert [unknown.granted(0.0), known.granted(0.0)] == [False, True]
    known.throttled(1.0, 0.0)
    assert not known.granted(2.0)
    assert not known.granted(700.0)  # and there was no answer since
    known.answered(2.5)
    assert not known.granted(600.0)
    assert known.granted(601.1)


def test_the_present_rate_is_that_of_the_last_five_seconds() -> None:
    limiter = joined(10)
    assert limiter.recent_rate(0.0) == 0.0
    for step in range(200):
        limiter.answered(step / 10)
    assert limiter.recent_rate(19.9) == pytest.approx(10, abs=0.6)
    assert limiter.recent_rate(60.0) == 0.0


def after_a_burst() -> Limiter:
    """A limiter of two polls a second, of which the last of five was just refused, at 13.1."""
    limiter = joined(100, 2.0, burst=5)
    polls(limiter, rate=2, until=10.0)
    assert [limiter.admit(13.0, ME) for _ in range(6)] == [True] * 5 + [False]
    for _ in range(4):
        limiter.answered(13.05)
    limiter.throttled(13.1, 0.0)  # for a second; then single polls probe, one a second
    return limiter


@pytest.mark.behaviour("B18", "B23")
def test_a_burst_is_no_way_round_a_halt() -> None:
    limiter = after_a_burst()
    starts = [now / 10 for now in range(131, 260) for _ in range(3) if limiter.admit(now / 10, ME)]
    assert starts[0] == 14.1
    assert all(later - earlier >= 0.99 for earlier, later in itertools.pairwise(starts))
    assert len(starts) >= 4


@pytest.mark.behaviour("B18", "B23")
@pytest.mark.parametrize("answered", [14.2, 18.0])
def test_when_a_halt_is_over_no_burst_has_been_saved_up(answered: float) -> None:
    limiter = after_a_burst()
    start(limiter, 14.1)
    limiter.answered(answered)
    starts = [now / 10 for now in range(round(answered * 10), 260) for _ in range(3) if limiter.admit(now / 10, ME)]
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.49
    assert len(starts) >= 4
    assert sum(limiter.admit(600.0, ME) for _ in range(9)) == 1
    assert sum(limiter.admit(800.0, ME) for _ in range(9)) == 5, "when the 429 is forgotten there is one again"


@pytest.mark.behaviour("B18", "B23")
def test_nothing_is_saved_up_in_a_halt_however_long() -> None:
    limiter = joined(100, 2.0, burst=5)
    now = 0.0
    while now < 900.0:  # every poll is refused
        start(limiter, now)
        limiter.throttled(now, 0.0)
        now = limiter.next_time(now)
    assert sum(limiter.admit(now + 30.0, ME) for _ in range(9)) == 1


@pytest.mark.behaviour("B18", "B23")
@pytest.mark.parametrize("rate", [5.0, math.inf])
def test_what_was_saved_up_before_the_limit_rose_is_no_burst_of_more(rate: float) -> None:
    limiter = joined(1_000, rate, burst=100)
    polls(limiter, rate=5, until=1.0)
    limiter.throttled(1.0, 0.0)
    start(limiter, 2.0)
    limiter.answered(2.1)
    starts = 0
    for now in [60 + step / 1000 for step in range(1000)]:
        if limiter.admit(now, ME):
            starts += 1
            limiter.answered(now)
            limiter.finish(ME)
    assert 2 <= starts <= 5


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("burst", [1, 20, 50])
def test_a_burst_does_not_hold_up_the_recovery_after_a_halt(burst: int) -> None:
    limiter = joined(1_000, 1.0, burst=burst)
    polls(limiter, rate=1, until=20.0)
    limiter.throttled(20.1, 0.0)
    starts = []
    for now in [20.1 + step / 10 for step in range(400)]:
        if limiter.admit(now, ME):
            starts.append(now)
            limiter.answered(now)
    assert sum(start < 31 for start in starts) >= 3
    assert sum(40 <= start < 50 for start in starts) >= 9


class Leaving(Poller):
    """Has nothing to poll any more when it is told."""

    def __init__(self, limiter: Limiter) -> None:
        super().__init__()
        self._budget = limiter

    def nudge(self) -> None:
        self._budget.leave(self)


@pytest.mark.behaviour("B19")
def test_thousands_who_leave_the_line_make_way_for_whoever_stays() -> None:
    limiter = joined(1)
    start(limiter, 0.0)
    last = Poller()
    for other in [*(Leaving(limiter) for _ in range(5_000)), last]:
        limiter.join(other)
        # Whoever joins the line has the first of it told: it is still busy then.
        limiter._in_line[other] = None
    limiter.finish(ME)
    assert last.nudges == 1
    assert limiter.admit(0.0, last)


@pytest.mark.parametrize("burst", [1, 2])
def test_a_rate_next_to_nothing_is_no_busy_loop(burst: int) -> None:
    limiter = joined(max_rate=1e-320, burst=burst)
    for _ in range(burst):
        start(limiter, 0.0)
    assert limiter.next_time(1.0) > 1e90


def test_a_burst_that_cannot_be_multiplied_is_refused() -> None:
    with pytest.raises(ValueError, match="burst must be a whole number, from 1 to"):
        Limiter(max_rate=5, burst=10**400)
