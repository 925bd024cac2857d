"""What is believed of the next duration, from intervals that looks have left of those before."""

from __future__ import annotations

import gc
import heapq
import itertools
import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.durations import Durations
from lro_poller.engine.estimate import PRIOR
from lro_poller.engine.outlook import AGES, interpolate

MANY = settings(max_examples=40, deadline=None, derandomize=True)


def log_normal(median: float, sigma: float, count: int, seed: int = 5) -> list[float]:
    source = random.Random(seed)
    return [median * math.exp(sigma * source.gauss(0, 1)) for _ in range(count)]


@dataclass(eq=False)
class Running:
    """An operation as it is followed."""

    began: float
    seen: float


def observe(learned: Durations, low: float, high: float) -> None:
    """One operation after another, each looked at so that its duration lies between `low` and `high`."""
    operation = Running(float(learned.seen), float(learned.seen))
    learned.follow(operation)
    operation.seen += low
    if high == math.inf:
        learned.lose(operation)
    else:
        learned.end(operation, operation.began + high)


def seen_by_looks(durations: Iterable[float], every: float = 1.3) -> Durations:
    """What is remembered of durations that were looked at in steps of a share of the age, as looks are."""
    learned = Durations()
    for duration in durations:
        low, high = 0.0, 1.0
        while high < duration:
            low, high = high, high * every
        observe(learned, low, high)
        if learned.seen % 8 == 0:
            learned.survival()  # as a poller plans again now and then
    return learned


def quantile(survival: Sequence[float], share: float) -> float:
    return AGES[bisect_left(survival, share - 1, key=lambda value: -value)]


def median(survival: Sequence[float]) -> float:
    return quantile(survival, 0.5)


def check(survival: Sequence[float]) -> None:
    """It is a survival function, and nothing is ruled out."""
    assert len(survival) == len(AGES)
    assert survival[0] == pytest.approx(1.0)
    assert all(0.0 <= after <= before + 1e-12 for before, after in itertools.pairwise(survival))
    assert survival[-1] > 0.0


def test_before_anything_was_seen_half_take_longer_than_thirty_seconds() -> None:
    assert Durations().survival() is PRIOR
    assert interpolate(PRIOR, 30.0) == pytest.approx(0.5, abs=0.01)
    check(PRIOR)


@pytest.mark.parametrize("middle", [3.0, 40.0, 900.0])
def test_a_log_normal_is_learned_from_looks_that_saw_intervals(middle: float) -> None:
    survival = seen_by_looks(log_normal(middle, 0.5, 300)).survival()
    check(survival)
    for deviations, share in [(-1.28, 0.9), (-0.67, 0.75), (0.0, 0.5), (0.67, 0.25), (1.28, 0.1)]:
        assert interpolate(survival, middle * math.exp(0.5 * deviations)) == pytest.approx(share, abs=0.08)


def test_the_first_few_already_count() -> None:
    survival = seen_by_looks(log_normal(300.0, 0.2, 5)).survival()
    assert 200 < median(survival) < 450
    assert interpolate(survival, 100.0) > 2 * interpolate(PRIOR, 100.0)


def test_those_that_were_lost_sight_of_count_as_longer() -> None:
    full, cut = Durations(), Durations()
    for duration in log_normal(60.0, 0.5, 200):
        observe(full, duration, duration)
        if duration < 60.0:
            observe(cut, duration, duration)
        else:
            observe(cut, 60.0, math.inf)
    for learned in (full, cut):
        check(learned.survival())
    assert interpolate(cut.survival(), 55.0) == pytest.approx(interpolate(full.survival(), 55.0), abs=0.1)
    short = Durations()
    for duration in log_normal(60.0, 0.5, 200):
        if duration < 60.0:
            observe(short, duration, duration)
    assert interpolate(short.survival(), 55.0) < interpolate(cut.survival(), 55.0) / 2


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_shift_by_a_factor_of_three_is_believed_within_a_few_dozen(factor: float) -> None:
    learned = seen_by_looks(log_normal(60.0, 0.3, 400))
    assert median(learned.survival()) == pytest.approx(60.0, rel=0.15)
    for duration in log_normal(60.0 * factor, 0.3, 36, seed=6):
        observe(learned, duration * 0.9, duration * 1.1)
        learned.survival()
    assert median(learned.survival()) == pytest.approx(60.0 * factor, rel=0.3)


def test_one_that_took_a_year_changes_little() -> None:
    learned = seen_by_looks(log_normal(60.0, 0.3, 100))
    before = learned.survival()
    observe(learned, 365 * 86_400.0, 365 * 86_400.0)
    after = learned.survival()
    check(after)
    assert median(after) == pytest.approx(median(before), rel=0.1)
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 0.15


@pytest.mark.parametrize("duration", [0.0, 0.01, 0.05, 7.0, 3600.0, 1e9])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_durations_that_are_all_equal_are_foretold_sharply(duration: float, count: int) -> None:
    learned = Durations()
    for _ in range(count):
        observe(learned, duration, duration)
        check(learned.survival())
    if count == 50:
        within = min(duration, AGES[-1])
        assert interpolate(learned.survival(), within * 0.8) > 0.9 or duration <= 0.05
        assert interpolate(learned.survival(), within * 1.2 + 0.06) < 0.1 or duration > AGES[-1]


@pytest.mark.parametrize("count, little", [(20, 0.06), (200, 0.02)])
def test_between_two_sorts_that_are_far_apart_little_is_expected(count: int, little: float) -> None:
    learned = Durations()
    for number in range(count):
        duration = 1.0 if number % 2 else 3600.0
        learned.add(duration * 0.97, duration * 1.03)
    survival = learned.survival()
    assert interpolate(survival, 8.0) == pytest.approx(0.5, abs=little)
    assert interpolate(survival, 700.0) == pytest.approx(0.5, abs=little)


@pytest.mark.parametrize("count", [20, 400])
def test_those_that_come_from_elsewhere_are_believed_as_if_they_had_been_foretold(count: int) -> None:
    learned = Durations()
    for duration in log_normal(500.0, 0.2, count):
        learned.add(duration, duration)
    assert learned.seen == count
    assert interpolate(learned.survival(), 250.0) > 0.85
    for duration in log_normal(5.0, 0.2, 400):
        learned.add(duration, duration)
    assert median(learned.survival()) == pytest.approx(5.0, rel=0.15)


def test_those_that_run_are_not_believed_to_run_for_ever() -> None:
    """As of a queue that one worker works off: they began together, and of the last that began none has ended."""
    learned = Durations()
    waiting = [Running(0.1 * number, 0.1 * number) for number in range(250)]
    for operation in waiting:
        learned.follow(operation)
    for now in range(10, 1_000, 10):
        for operation in waiting:
            operation.seen = float(now)
        learned.end(waiting.pop(0), float(now))
        survival = learned.survival()
    assert interpolate(survival, 1_200.0) / interpolate(survival, 1_000.0) < 0.95  # by the prior it is 0.89


def test_nothing_is_ruled_out_for_ever() -> None:
    learned = Durations()
    for _ in range(1_000):
        observe(learned, 5.0, 5.0)
    assert interpolate(learned.survival(), 50.0) > 1e-5


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    learned = Durations()
    for number in range(5_000):
        observe(learned, float(number), float(number))
    assert (learned.seen, len(learned.intervals())) == (5_000, 1_000)
    assert AGES[learned.intervals()[0][0]] > 3_500


def test_remembered_intervals_are_taken_up_again() -> None:
    learned = seen_by_looks(log_normal(60.0, 0.3, 50))
    again = Durations()
    for first, last in learned.intervals():
        again.add(AGES[first], AGES[last])
    assert again.intervals() == learned.intervals()
    assert median(again.survival()) == pytest.approx(60.0, rel=0.2)


def test_of_operations_that_began_together_those_that_still_run_count_too() -> None:
    """Forty seconds on, a third of them has ended: who counts those alone expects half of what it takes."""
    learned, now, took = Durations(), 40.0, log_normal(60.0, 0.6, 200)
    for duration in took:
        operation = Running(0.0, 0.0)
        learned.follow(operation)
        operation.seen = min(duration, now) * 0.9
        if duration < now:
            learned.end(operation, duration)
    ended = sum(duration < now for duration in took)
    assert learned.seen == ended
    assert interpolate(learned.survival(), 35.0) == pytest.approx(
        sum(duration > 35.0 for duration in took) / len(took), abs=0.08
    )


class Stream:
    """Operations of one kind that start one after another, and are looked at all the time from some age on."""

    def __init__(self, learned: Durations) -> None:
        self.learned = learned
        self.now = 0.0
        self.ended = 0
        self.running: list[tuple[float, int, Running]] = []
        self.unseen: dict[Running, float] = {}

    def start(self, durations: Iterable[float], a_second: float, unseen: float = 0.0) -> None:
        for number, duration in enumerate(durations):
            self.pass_to(self.now + 1 / a_second)
            operation = Running(self.now, self.now)
            self.learned.follow(operation)
            heapq.heappush(self.running, (self.now + max(duration, unseen), len(self.unseen), operation))
            self.unseen[operation] = self.now + unseen
            if number % 100 == 0:
                self.survival()  # as a poller plans again now and then

    def pass_to(self, now: float) -> None:
        while self.running and self.running[0][0] <= now:
            end, _, operation = heapq.heappop(self.running)
            self.look(operation, end * (1 - 1e-9))
            before = self.learned.seen
            self.learned.end(operation, end)
            self.ended += self.learned.seen - before
        self.now = now

    def look(self, operation: Running, now: float) -> None:
        if now >= self.unseen[operation]:
            operation.seen = now

    def survival(self) -> Sequence[float]:
        for _, _, operation in self.running:
            self.look(operation, self.now)
        return self.learned.survival()


@pytest.mark.parametrize("a_second", [8.0, 40.0])
def test_of_more_than_can_be_followed_those_that_are_tell_of_all(a_second: float) -> None:
    """They would not if each were followed for some seconds until another takes its place."""
    stream = Stream(Durations())
    stream.start(log_normal(360.0, 0.6, int(1500 * a_second)), a_second)
    survival = stream.survival()
    for share, deviations in ((0.16, -1), (0.5, 0), (0.84, 1)):
        assert quantile(survival, share) == pytest.approx(360.0 * math.exp(0.6 * deviations), rel=0.12)
    assert stream.learned.seen - stream.ended < stream.ended / 10  # of the others the end was not seen


def test_a_tenth_that_takes_much_longer_than_the_rest_is_known() -> None:
    """Of the rest a thousand end while one of them runs: without those it would seem that half take so long."""
    dice = random.Random(3)
    stream = Stream(Durations())
    stream.start([1200.0 if dice.random() < 0.1 else 3.0 for _ in range(16_000)], 4.0)
    assert interpolate(stream.survival(), 600.0) == pytest.approx(0.1, abs=0.03)
    assert quantile(stream.survival(), 0.95) == pytest.approx(1200.0, rel=0.15)


@pytest.mark.behaviour("B24")
def test_what_is_remembered_is_bounded_while_one_never_ends() -> None:
    def count() -> int:
        gc.collect()
        return sum(type(one).__name__ == "_Case" for one in gc.get_objects())

    learned, others = Durations(), count()
    learned.follow(Running(0.0, 0.0))
    for number in range(10_000):
        observe(learned, 5.0, float(number))
    assert 1_000 < count() - others <= 4_000 + 256
    assert len(learned.intervals()) == 1_000


def test_those_that_never_end_are_not_all_that_is_known_for_ever() -> None:
    learned = Durations()
    for _ in range(256):
        learned.follow(Running(0.0, 1e6))
    stream = Stream(learned)
    stream.now = 1e6
    stream.start([5.0] * 20_000, 10.0)
    assert stream.ended > 2_000
    assert quantile(stream.survival(), 0.5) == pytest.approx(5.0, rel=0.1)


def test_what_was_told_is_not_forgotten_before_it_could_be_seen() -> None:
    dice = random.Random(3)
    learned = Durations()
    for _ in range(1_000):
        duration = 1200.0 if dice.random() < 0.1 else 3.0
        learned.add(duration, duration)
    stream = Stream(learned)
    stream.start([1200.0 if dice.random() < 0.1 else 3.0 for _ in range(2_000)], 10.0)
    survival = stream.survival()
    assert interpolate(survival, 1000.0) - interpolate(survival, 1500.0) > 0.05
    stream.start([3.0] * 2_000, 1.0)
    assert interpolate(stream.survival(), 1000.0) < 0.02


def test_a_faster_service_is_noticed_however_many_begin_at_a_time() -> None:
    """The last that began have told nothing yet, and those that were there before have not ended."""
    stream = Stream(Durations())
    stream.start(log_normal(300.0, 0.6, 12_000), 8.0)
    for _ in range(3):  # and is not forgotten again
        stream.start(log_normal(3.0, 0.6, 320), 8.0, unseen=60.0)
    for _ in range(3):
        stream.start(log_normal(3.0, 0.6, 80), 8.0, unseen=60.0)
        assert quantile(stream.survival(), 0.5) < 80.0


@pytest.mark.behaviour("B24")
def test_of_many_that_never_end_some_are_given_up_all_the_time() -> None:
    stream = Stream(Durations())
    stream.start([5.0, 5.0, 5.0, 5.0, math.inf] * 6_000, 100.0)
    before = stream.ended
    stream.start([5.0, 5.0, 5.0, 5.0, math.inf] * 6_000, 100.0)
    assert stream.ended - before > 20


@given(
    looks=st.lists(
        st.tuples(st.floats(0, 1e8) | st.sampled_from(list(AGES)), st.floats(0, 1e8) | st.just(math.inf)),
        min_size=1,
        max_size=30,
    )
)
@MANY
def test_whatever_was_seen_makes_a_survival_function(looks: list[tuple[float, float]]) -> None:
    learned = Durations()
    for low, more in looks:
        observe(learned, low, low + more)
        check(learned.survival())
    assert all(0 <= first < last < len(AGES) for first, last in learned.intervals())


@pytest.mark.parametrize("peaks", [(3.0, 1200.0), (2.0, 60.0, 900.0), (10.0, 100.0, 1000.0)])
def test_peaks_stay_apart_however_far_they_are(peaks: tuple[float, ...]) -> None:
    """Whoever smoothed them by how far they are from each other would look everywhere, and most of all in between."""
    dice = random.Random(3)
    durations = [dice.choice(peaks) * math.exp(0.05 * dice.gauss(0, 1)) for _ in range(600)]
    survival = seen_by_looks(durations, every=1.1).survival()
    near = sum(interpolate(survival, peak / 1.3) - interpolate(survival, peak * 1.3) for peak in peaks)
    assert near > 0.9


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_one_peak_is_as_wide_as_it_is(sigma: float) -> None:
    survival = seen_by_looks(log_normal(100.0, sigma, 800), every=1.1).survival()
    width = math.log(quantile(survival, 0.84) / quantile(survival, 0.16)) / 2
    assert sigma * 0.8 < width < sigma * 1.15 + 0.06


def test_a_few_that_lie_together_by_chance_are_no_peak() -> None:
    """Of ten some two or three always do; survival by them would be a staircase."""

    def highest_step(seed: int) -> float:
        learned = Durations()
        for duration in log_normal(60.0, 1.2, 10, seed):
            learned.add(duration, duration)
        return max(before - after for before, after in itertools.pairwise(learned.survival()))

    assert sum(map(highest_step, range(8))) / 8 < 0.028
