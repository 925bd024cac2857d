"""How long operations of one kind have taken, in bounded space.

Decides what is remembered of durations and what is believed of the next one. A duration is
known as an interval: an operation ended after the last poll that found it running and
before the one that found it done, or some time after it was last seen running.

From intervals the distribution is estimated by self-consistency (Turnbull, 1976): each of
them is spread over its bins as the present estimate says, the sum is the next estimate, and
a few rounds with smoothing between them (EMS; Silverman et al., 1990) find what the looks
at different ages have in common. It is estimated twice, from a long memory and from a short
one. These two and the prior are weighed by how well each foretold what came next, most
recently above all. So the first few durations count, a long steady past counts for more, a
service that has become slower is believed after a few dozen operations, and the prior is
there to fall back on at any time.
"""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from .outlook import AGES

__all__ = ["PRIOR", "Durations", "Interval"]

Interval = tuple[int, int]
"""The bins that a duration may be in: from the first to before the second; bin n lies between AGES[n] and AGES[n+1]."""

_PRIOR_MEDIAN = 30.0  # seconds
_PRIOR_SHAPE = 0.7

_LONG_MEMORY = 400  # durations
_SHORT_MEMORY = 24
_JUDGED_BY = 0.93  # what a forecast counts for in the judgement, after each further one
_REHEARSED = 12  # durations, of those from elsewhere
_LEAST_PRIOR = 0.004  # weight; whatever was seen, the next operation may be unlike it
_LEAST_MASS = 1e-6  # that any forecast is taken to have given to what happened
_ROUNDS = 4
_FRESH = 0.1  # of the prior, mixed into an estimate before it is sharpened: nothing is ruled out for ever
_NEGLIGIBLE = 1e-9

_BINS = len(AGES) - 1

PRIOR: Sequence[float] = [1 / (1 + (age / _PRIOR_MEDIAN) ** _PRIOR_SHAPE) for age in AGES]
"""S at each of `AGES`, as believed before anything was seen: a log-logistic, half of it above 30 s, with a long tail."""

_PRIOR_MASSES = [before - after for before, after in itertools.pairwise(PRIOR)]


class Durations:
    """The durations of one kind.

    Attributes:
        seen: How many durations there were, ever.
        intervals: Those that are remembered, oldest first.
    """

    __slots__ = ("_estimates", "_forecasts", "_scores", "intervals", "seen")

    def __init__(self, intervals: Iterable[Interval] = (), seen: int = 0) -> None:
        self.intervals: deque[Interval] = deque(intervals, maxlen=_LONG_MEMORY)
        self.seen = max(seen, len(self.intervals))
        self._estimates = [_PRIOR_MASSES, _PRIOR_MASSES]
        self._forecasts: list[Sequence[float]] = []
        self._scores = [0.0, 0.0, 0.0]  # logarithms of what the prior and each memory made of the past

    def observe(self, low: float, high: float) -> None:
        """An operation took longer than `low` seconds, and `high` at the most, `math.inf` where that is not known."""
        interval = _interval(low, high)
        self._judge(interval)
        self.intervals.append(interval)
        self.seen += 1

    def remember(self, low: float, high: float) -> None:
        """The same, of one that nobody has foretold: it comes from elsewhere, with others."""
        self.intervals.append(_interval(low, high))
        self.seen += 1
        self._forecasts, self._scores = [], [0.0, 0.0, 0.0]

    def survival(self) -> Sequence[float]:
        """S at each of `AGES`, for the next operation."""
        if not self.intervals:
            return PRIOR
        if not self._forecasts:
            self._rehearse()
        self._foretell(list(self.intervals))
        weights = self._weights()
        return [sum(map(operator.mul, weights, shares)) for shares in zip(*self._forecasts, strict=True)]

    def _rehearse(self) -> None:
        """Judges by the last of those that are remembered, as foretold by the others."""
        intervals = list(self.intervals)
        start = len(intervals) - min(len(intervals) // 2, _REHEARSED)
        self._foretell(intervals[:start])
        for interval in intervals[start:]:
            self._judge(interval)

    def _judge(self, interval: Interval) -> None:
        first, last = interval
        for number, survival in enumerate(self._forecasts):
            mass = survival[first] - (survival[last] if last < _BINS else 0.0)
            self._scores[number] = self._scores[number] * _JUDGED_BY + math.log(max(mass, _LEAST_MASS))

    def _foretell(self, intervals: Sequence[Interval]) -> None:
        long, short = intervals, intervals[-_SHORT_MEMORY:]
        self._estimates = [_estimate(self._estimates[0], long), _estimate(self._estimates[1], short)]
        self._forecasts = [PRIOR, *map(_survival, self._estimates)]

    def _weights(self) -> list[float]:
        """What each forecast counts for now."""
        best = max(self._scores)
        likelihoods = [math.exp(score - best) for score in self._scores]
        least = max(_LEAST_PRIOR, 1 / (1 + self.seen))
        prior, *learned = (likelihood / sum(likelihoods) * (1 - least) for likelihood in likelihoods)
        return [least + prior, *learned]


def _interval(low: float, high: float) -> Interval:
    first = min(bisect_right(AGES, low) - 1, _BINS - 1)
    return first, max(min(bisect_left(AGES, high), _BINS), first + 1)


def _survival(masses: Sequence[float]) -> list[float]:
    total = sum(masses)
    return [max(1 - gone / total, 0.0) for gone in itertools.accumulate(masses, initial=0.0)]


def _estimate(masses: Sequence[float], intervals: Sequence[Interval]) -> list[float]:
    """Masses of the bins, from the estimate before and all intervals."""
    estimate = [mass * (1 - _FRESH) + prior * _FRESH for mass, prior in zip(masses, _PRIOR_MASSES, strict=True)]
    for _ in range(_ROUNDS):
        estimate = _sharpened(estimate, intervals)
    return _smoothed(estimate, _bandwidth(estimate, len(intervals)))


def _sharpened(masses: Sequence[float], intervals: Sequence[Interval]) -> list[float]:
    """Each interval spread over its bins as `masses` say, summed and divided by their number."""
    gone = list(itertools.accumulate(masses, initial=0.0))
    steps = [0.0] * (_BINS + 1)
    for first, last in intervals:
        weight = 1 / max(gone[last] - gone[first], _NEGLIGIBLE)
        steps[first] += weight
        steps[last] -= weight
    count = len(intervals)
    return [max(mass * factor / count, 0.0) for mass, factor in zip(masses, itertools.accumulate(steps), strict=False)]


def _bandwidth(masses: Sequence[float], count: int) -> float:
    """How far to smooth, in bins, by Silverman's rule of thumb: little where most durations are alike."""
    gone = list(itertools.accumulate(masses))
    total = gone[-1]
    quartiles = bisect_left(gone, total / 4), bisect_left(gone, total * 3 / 4)
    mean = sum(map(operator.mul, masses, range(_BINS))) / total
    variance = sum(mass * (place - mean) ** 2 for place, mass in enumerate(masses)) / total
    spread = min(math.sqrt(variance), max(quartiles[1] - quartiles[0], 0.5) / 1.34)
    return 0.9 * spread * math.pow(count, -0.2)


def _smoothed(masses: Sequence[float], bandwidth: float) -> list[float]:
    """The masses, each spread over the bins beside it by a normal distribution."""
    reach = math.ceil(2.5 * bandwidth)
    kernel = [math.exp(-((step / max(bandwidth, 0.1)) ** 2) / 2) for step in range(-reach, reach + 1)]
    whole = sum(kernel)
    smooth = [0.0] * (_BINS + 2 * reach)
    for place, mass in enumerate(masses):
        if mass > _NEGLIGIBLE:
            for target, part in enumerate(kernel, place):
                smooth[target] += mass * part / whole
    smooth[reach] += sum(smooth[:reach])
    smooth[reach + _BINS - 1] += sum(smooth[reach + _BINS :])
    return smooth[reach : reach + _BINS]
