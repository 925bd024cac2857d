"""What a service allows that does not tell: found, kept to, shared with others, against simulated servers."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

import pytest

from lro_poller.engine.budget import Limiter

from .limiters import ME, joined, start


def test_answers_are_remembered_in_bounded_space() -> None:
    limiter = joined(10)
    for step in range(200_000):
        limiter.answered(step / 100)
    assert len(limiter._allowance._answers) < 300


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
    return polled_by([limiter], server, latency, until, asked)


def polled_by(
    limiters: list[Limiter], server: Server, latency: float, until: float, asked: float = 0.0
) -> list[tuple[float, bool]]:
    """The same of several, who begin one after the other, seven seconds apart."""
    now, count = 0.0, 0
    coming: list[tuple[float, int, Limiter, bool]] = []
    answers = []
    while now < until:
        turns = [max(limiter.next_time(now), 7.0 * place) for place, limiter in enumerate(limiters)]
        now = max(now, min(*turns, *(first[0] for first in coming[:1]), math.inf))
        for limiter, turn in zip(limiters, turns, strict=True):
            if turn <= now:
                start(limiter, now)
                count += 1
                heapq.heappush(coming, (now + latency, count, limiter, server.allows(now + latency / 2)))
        while coming and coming[0][0] <= now:
            _, _, limiter, allowed = heapq.heappop(coming)
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
@pytest.mark.parametrize("latency", [0.05, 0.8])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("eager", [2.0, 20.0, math.inf])
@pytest.mark.parametrize("server", [Bucket, Minutes, Sliding])
def test_a_quota_of_twenty_a_minute_is_kept_to_as_well(
    server: Callable[[float], Server], rate: float, eager: float, latency: float
) -> None:
    refused, used = shares(polled(joined(32, eager * rate), server(rate), latency, 4_000.0), 120.0, 4_000.0, rate)
    assert refused < 0.0205
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
    assert thrice.rate(285.5) == pytest.approx(2.0, rel=0.01)
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
    assert shares(answers, 310.0 + lasting, 910.0 + lasting, rate)[1] > 0.65


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
@pytest.mark.parametrize("used_up", [5.0, 60.0])
def test_a_quota_that_others_had_used_up_at_the_start_is_used_soon_after(used_up: float) -> None:
    answers = polled(joined(32, 9.5), Spells(Sliding(10.0), 0.0, used_up), 0.1, used_up + 60.0)
    assert shares(answers, used_up + 20.0, used_up + 60.0, 10.0)[1] > 0.85


class Contended:
    """A server of whose quota others leave a share by chance, from one time to another."""

    def __init__(self, server: Server, since: float, until: float, left: float, seed: int) -> None:
        self.server, self.since, self.until, self.left = server, since, until, left
        self.random = random.Random(seed)

    def allows(self, now: float) -> bool:
        used_up = self.since <= now < self.until and self.random.random() >= self.left
        return not used_up and self.server.allows(now)


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rate", [1.0, 10.0])
@pytest.mark.parametrize("lasting, left", [(60.0, 0.3), (900.0, 0.1)])
def test_a_limit_that_others_wore_down_returns(lasting: float, left: float, rate: float, seed: int) -> None:
    end = 300.0 + lasting
    answers = polled(joined(32, 0.95 * rate), Contended(Sliding(rate), 300.0, end, left, seed), 0.1, end + 200.0)
    assert shares(answers, end + 130.0, end + 200.0, rate)[1] > 0.55


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("seed", range(6))
def test_a_limit_that_others_wore_down_returns_however_often_it_was_tried_before(seed: int) -> None:
    server = Contended(Sliding(10.0), 3_000.0, 3_060.0, 0.3, seed)
    answers = polled(joined(32, 200.0), server, 0.1, 3_260.0)
    assert shares(answers, 3_190.0, 3_260.0, 10.0)[1] > 0.6


@pytest.mark.behaviour("B18")
@pytest.mark.parametrize("count", [2, 10])
@pytest.mark.parametrize("eager", [0.95, 5.0])
@pytest.mark.parametrize("server", [Bucket, Minutes, Sliding])
def test_those_who_know_nothing_of_each_other_share_a_quota(
    server: Callable[[float], Server], eager: float, count: int
) -> None:
    answers = polled_by([joined(32, eager * 10) for _ in range(count)], server(10.0), 0.1, 1_000.0)
    refused, used = shares(answers, 300.0, 1_000.0, 10.0)
    assert refused < 0.03
    assert used > 0.95


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
