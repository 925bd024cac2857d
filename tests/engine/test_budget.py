"""The cap, the rate, whose turn it is and what a 429 changes, stepped by hand through time, against simulated servers."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.budget import Budget, Limiter

MANY = settings(max_examples=200, deadline=None, derandomize=True)


class Poller:
    """Takes turns, and counts how often it is told that there may be room."""

    def __init__(self) -> None:
        self.nudges = 0

    in_flight = 0

    home: object = None

    def is_over(self) -> bool:
        return False

    def nudge(self) -> None:
        self.nudges += 1


ME = Poller()


def joined(*args: Any, **options: Any) -> Limiter:
    """A limiter of which this poller takes turns."""
    limiter = Limiter(*args, **options)
    limiter.join(ME)
    return limiter


def start(limiter: Limiter, now: float) -> None:
    assert limiter.admit(now, ME)


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
    assert pause(limiter, 100.0) == wait
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


def test_answers_are_remembered_in_bounded_space() -> None:
    limiter = joined(10)
    for step in range(200_000):
        limiter.answered(step / 100)
    assert len(limiter._answers) < 300


# Servers that do not tell what they allow.


class Server(Protocol):
    def allows(self, now: float) -> bool: ...


class Bucket:
    """Fills at a rate, and holds polls of one second unless told otherwise."""

    def __init__(self, rate: float, size: float | None = None) -> None:
        self.rate, self.size = rate, max(rate if size is None else size, 1.0)
        self.level, self.at = self.size, 0.0

    def allows(self, now: float) -> bool:
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Minutes:
    """Allows so many polls in each minute of the clock."""

    def __init__(self, rate: float) -> None:
        self.quota, self.minute, self.used = 60 * rate, -1.0, 0

    def allows(self, now: float) -> bool:
        if now // 60 != self.minute:
            self.minute, self.used = now // 60, 0
        self.used += self.used < self.quota + 1
        return self.used <= self.quota


class Sliding:
    """Allows so many polls in any span of a minute."""

    def __init__(self, rate: float) -> None:
        self.quota, self.passed = 60 * rate, deque[float]()

    def allows(self, now: float) -> bool:
        while self.passed and self.passed[0] <= now - 60:
            self.passed.popleft()
        if len(self.passed) >= self.quota:
            return False
        self.passed.append(now)
        return True


class From:
    """One server until a time, another after it."""

    def __init__(self, when: float, before: Server, after: Server) -> None:
        self.when, self.before, self.after = when, before, after

    def allows(self, now: float) -> bool:
        return (self.before if now < self.when else self.after).allows(now)


class Generous:
    def allows(self, now: float) -> bool:
        return True


def polled(
    limiter: Limiter, server: Server, latency: float, until: float, asked: float = 0.0
) -> list[tuple[float, bool]]:
    """When each poll of somebody who always has more of them was answered, and whether it was allowed.

    Args:
        asked: Seconds for which the server asks to be left alone with each 429.
    """
    now, count = 0.0, 0
    coming: list[tuple[float, int, bool]] = []
    answers = []
    while now < until:
        if limiter.next_time(now) <= now:
            start(limiter, now)
            count += 1
            heapq.heappush(coming, (now + latency, count, server.allows(now + latency / 2)))
            continue
        now = min(limiter.next_time(now), coming[0][0] if coming else math.inf)
        while coming and coming[0][0] <= now:
            allowed = heapq.heappop(coming)[2]
            limiter.answered(now) if allowed else limiter.throttled(now, asked)
            limiter.finish(ME)
            answers.append((now, allowed))
    return answers


def shares(answers: list[tuple[float, bool]], since: float, until: float, rate: float) -> tuple[float, float]:
    """The share of polls that were refused, and how much of what is allowed was used."""
    part = [allowed for when, allowed in answers if since <= when < until]
    return part.count(False) / len(part), part.count(True) / (rate * (until - since))


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("latency", [0.05, 0.8])
@pytest.mark.parametrize("rate", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("eager", [2.0, 20.0])
@pytest.mark.parametrize(
    "server", [Bucket, lambda rate: Bucket(rate, 1.0), Minutes, Sliding], ids=["bucket", "bare", "minutes", "sliding"]
)
def test_a_quota_that_nobody_told_of_is_found_and_kept_to(
    server: Callable[[float], Server], rate: float, eager: float, latency: float
) -> None:
    answers = polled(joined(32, eager * rate), server(rate), latency, 1_000.0)
    refused, used = shares(answers, 120.0, 1_000.0, rate)
    assert refused < 0.02
    assert used > 0.85


@pytest.mark.behaviour("B18")
def test_a_quota_of_thirty_a_minute_is_kept_to_as_well() -> None:
    refused, used = shares(polled(joined(32), Bucket(0.5), 0.2, 2_000.0), 120.0, 2_000.0, 0.5)
    assert refused < 0.02
    assert used > 0.85


class UsedByOthers:
    """Minutes; in the first of them others use all but a few of the polls."""

    def __init__(self, server: Minutes, left: int) -> None:
        self.server, self.others = server, int(server.quota) - left

    def allows(self, now: float) -> bool:
        while now < 60 and self.others:
            self.others -= self.server.allows(now)
        return self.server.allows(now)


@pytest.mark.behaviour("B18")
def test_what_others_have_left_in_a_minute_is_not_taken_for_the_quota() -> None:
    answers = polled(joined(32, 20.0), UsedByOthers(Minutes(10.0), 20), 0.1, 600.0)
    assert shares(answers, 0.0, 60.0, 1.0)[1] * 60 == 20
    assert shares(answers, 60.0, 240.0, 10.0)[1] > 0.85


def limited(*refused: float) -> Limiter:
    """Two polls a second were answered for 200 s, but for one at 50 s; then those at these times were refused."""
    limiter = joined(32)
    for half in range(400):
        limiter.throttled(50.0, 0.0) if half == 100 else limiter.answered(half / 2)
    for when in refused:
        limiter.throttled(when, 0.0)
    return limiter


@pytest.mark.behaviour("B18")
def test_the_more_often_it_was_refused_the_longer_until_the_limit_is_tried_again() -> None:
    once, thrice = limited(200.0, *[200.5] * 50), limited(200.0, 201.0, 203.0)  # fifty were under way together
    assert once.rate(200.0) == thrice.rate(200.0) < once.rate(230.0)
    assert once.rate(250.0) == pytest.approx(2.0, rel=0.01)
    assert thrice.rate(250.0) < 1.99
    assert thrice.rate(252.5) == pytest.approx(2.0, rel=0.01)
    assert thrice.rate(300.0) < once.rate(300.0)


class Spells:
    """A server that refuses everything for some seconds, from a time on and again after each period."""

    def __init__(self, server: Server, since: float, lasting: float, period: float = math.inf) -> None:
        self.server, self.since, self.lasting, self.period = server, since, lasting, period

    def allows(self, now: float) -> bool:
        refuses = now >= self.since and math.fmod(now - self.since, self.period) < self.lasting
        return not refuses and self.server.allows(now)


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("rate", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("asked", [0.0, 15.0])
@pytest.mark.parametrize("lasting", [10.0, 60.0])
def test_a_spell_in_which_all_is_refused_is_no_quota(rate: float, asked: float, lasting: float) -> None:
    server = Spells(Bucket(rate), 300.0, lasting)
    answers = polled(joined(32, 2 * rate), server, 0.1, 1_000.0, asked)
    assert shares(answers, 310.0 + lasting, 910.0 + lasting, rate)[1] > 0.7


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("rate", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("latency", [0.1, 0.8])
def test_spells_that_come_again_and_again_do_not_wear_the_limit_down(rate: float, latency: float) -> None:
    answers = polled(joined(32, 2 * rate), Spells(Bucket(rate), 300.0, 40.0, 300.0), latency, 3_600.0)
    assert shares(answers, 600.0, 3_600.0, rate * 260 / 300)[1] > 0.7


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("latency", [0.1, 0.8])
@pytest.mark.parametrize("server", [Bucket, Minutes, Sliding])
def test_a_quota_that_grows_is_used(server: Callable[[float], Server], latency: float) -> None:
    answers = polled(joined(32, 50.0), From(300.0, server(4.0), server(12.0)), latency, 1_200.0)
    assert shares(answers, 420.0, 720.0, 12.0)[1] > 0.8
    assert shares(answers, 600.0, 1_200.0, 12.0)[1] > 0.85


@pytest.mark.behaviour("B18")
def test_a_quota_that_shrinks_is_found_again() -> None:
    answers = polled(joined(32, 50.0), From(300.0, Bucket(20.0), Bucket(4.0)), 0.1, 1_200.0)
    refused, used = shares(answers, 420.0, 1_200.0, 4.0)
    assert refused < 0.02
    assert used > 0.85


@pytest.mark.behaviour("B18")
def test_a_quota_that_is_gone_is_forgotten() -> None:
    limiter = joined(32, 20.0)
    answers = polled(limiter, From(200.0, Bucket(4.0), Generous()), 0.1, 700.0)
    assert shares(answers, 600.0, 700.0, 20.0)[1] > 0.95
    limiter.throttled(700.0, 0.0)
    assert limiter.rate(700.0) < 20.0
    assert limiter.rate(1_301.0) == 20.0


@pytest.mark.behaviour("B18")
def test_one_429_after_hours_of_little_to_do_does_not_all_but_stop_polling() -> None:
    limiter = joined(32, 100.0)
    limiter.throttled(0.0, 0.0)
    now = 600.0
    while now < 1_300.0:  # a poll now and then
        start(limiter, now)
        limiter.answered(now + 0.1)
        limiter.finish(ME)
        now += 30.0
    for step in range(200):
        start(limiter, now + step / 100)
        limiter.finish(ME)
        limiter.answered(now + step / 100)
    limiter.throttled(now + 2.0, 0.0)
    assert limiter.rate(now + 2.0) > 10.0


@pytest.mark.behaviour("B18")
def test_what_was_answered_while_there_was_little_to_do_does_not_count() -> None:
    limiter = joined(100, 50.0)
    polled(limiter, Bucket(10.0), 0.1, 200.0)
    now = 300.0
    while now < 315.0:
        start(limiter, now)
        limiter.answered(now)
        limiter.finish(ME)
        now = limiter.next_time(now)
    limiter.throttled(now, 0.0)
    assert limiter.rate(now) > 8.0


@pytest.mark.behaviour("B18")
def test_a_429_before_anything_was_answered_leaves_a_poll_now_and_then() -> None:
    limiter = joined(32)
    limiter.throttled(0.0, 0.0)
    assert limiter.rate(0.0) == 0.02
    assert not math.isinf(limiter.next_time(0.0))


@pytest.mark.behaviour("B18")
def test_one_429_right_after_another_does_not_lower_the_limit_again() -> None:
    limiter = joined(32, 100.0)
    for step in range(100):
        limiter.answered(step / 50)
    limiter.throttled(2.0, 0.0)
    limit = limiter.rate(2.0)
    limiter.answered(3.0)
    found = limiter.rate(3.0)
    assert found > limit
    limiter.throttled(4.0, 0.0)
    assert limiter.rate(4.0) == found


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
    assert sum(limiter.admit(90.0, ME) for _ in range(9)) == 5, "after a pause there is one again"


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
