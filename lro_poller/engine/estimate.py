"""What is believed of the next duration, given those that are known.

Decides it by self-consistency (Turnbull, 1976). A duration is known as an interval: an
operation ended after the last poll that found it running and before the one that found it
done, or some time after it was last seen running. Each that has ended is spread over the bins
of its interval as the present estimate says; how many of those that came to a bin ended in it
makes the next estimate; and a few rounds with smoothing before each (EMS; Silverman et al.,
1990) find what the looks at different ages have in common. Without the smoothing the ends within a wide interval would pile up at one place: the
next looks follow it, and tell no more than the last.

A second estimate is that of a small cohort, begun not long ago. The two and the prior are
weighed by how likely each makes what is known of those that began last. So the first few
durations count, a long steady past counts for more, a service that has become slower is
believed after a few dozen operations, and the prior is there to fall back on at any time.
"""

from __future__ import annotations

import itertools
import math
import operator
import statistics
from collections import Counter
from collections.abc import Sequence

from .outlook import AGES

__all__ = ["BINS", "LATEST", "LEAST_LIKELIHOOD", "PRIOR", "Estimate", "Interval", "typical_of"]

BINS = len(AGES) - 1

Interval = tuple[int, int]
"""The bins that a duration may be in: from the first to before the second; bin n lies between AGES[n] and AGES[n+1]."""

_PRIOR_MEDIAN = 30.0  # seconds
_PRIOR_SHAPE = 0.7

PRIOR: Sequence[float] = [1 / (1 + (age / _PRIOR_MEDIAN) ** _PRIOR_SHAPE) for age in AGES]
"""S at each of `AGES`, as believed before anything was seen: a log-logistic, half of it above 30 s, with a long tail."""

_PRIOR_MASSES = [before - after for before, after in itertools.pairwise(PRIOR)]
_PRIOR_HAZARDS = [1 - after / before for before, after in itertools.pairwise(PRIOR)]
_PRIOR_COUNT = 0.5  # operations

_JUDGES = 16  # operations that forecasts are judged by, the last that began
_SHORT_MEMORY = 16  # operations before those
LATEST = _SHORT_MEMORY + _JUDGES
"""How many of the operations that began last are asked for."""

_PACE = 1 / 64  # of the typical duration
_SLOWEST_PACE = 10.0  # seconds

_LEAST_PRIOR = 0.0002  # weight; whatever was seen, the next operation may be unlike it
LEAST_LIKELIHOOD = 1e-4
"""Of what happened all the same: one operation that nobody would have believed is no reason to forget all others."""

_ROUNDS = 4
_ROUGHNESS = 1.5  # bins, 9%, by which each round smooths: or ends pile up at one place of a wide interval
_SILVERMAN = 1.2  # his 1.06 and some more: of a rough estimate the shortest stretch is too short
_BY_CHANCE = 7.0  # durations that may lie together by chance
_NORMAL = statistics.NormalDist()
_MOST_SMOOTHED = 12.0  # bins, a factor of two to either side; more would take longer and tell nothing
_FRESH = 0.1
_NEGLIGIBLE = 1e-9
_MEANS = 3  # running means in a row, which together are nearly a normal distribution


class Estimate:
    """What is believed of one kind; each estimate begins with the one before.

    Attributes:
        pace: Seconds in which what is known changes little, by the long past: a doubt must not change it.
    """

    __slots__ = ("_masses", "pace")

    def __init__(self) -> None:
        self.pace = 0.0
        self._masses = [_PRIOR_MASSES, _PRIOR_MASSES]

    def survival(self, cohort: Counter[Interval], latest: Sequence[Interval], seen: int) -> Sequence[float]:
        """S at each of `AGES`, for the next operation.

        Args:
            cohort: All that began after a certain time, those that still run included.
            latest: Of those that began last, `LATEST` or fewer.
            seen: How many have ended, ever.
        """
        cohorts = cohort, Counter(latest[:-_JUDGES] or latest)
        self._masses = [_estimate(*pair) for pair in zip(self._masses, cohorts, strict=True)]
        forecasts = [PRIOR, *map(_survival, self._masses)]
        self.pace = min(_PACE * typical_of(forecasts[1]), _SLOWEST_PACE)
        trust = [1.0, 1 + cohorts[0].total(), math.sqrt(1 + cohorts[1].total())]
        weights = _weights(forecasts, trust, latest[-_JUDGES:], max(_LEAST_PRIOR, 0.5 / (1 + seen)))
        return [sum(map(operator.mul, weights, shares)) for shares in zip(*forecasts, strict=True)]


def typical_of(survival: Sequence[float]) -> float:
    """Seconds that half of the operations take at the most."""
    return next((age for age, share in zip(AGES, survival, strict=True) if share <= 0.5), AGES[-1])


def _weights(
    forecasts: Sequence[Sequence[float]], trust: Sequence[float], judges: Sequence[Interval], least: float
) -> list[float]:
    """What each forecast counts for.

    Args:
        trust: What each counts for before it is judged: the more it knows of, the more.
        judges: What the operations took, or have taken so far, by which they are judged.
        least: What the first counts for at the least.
    """
    scores = [
        math.log(before) + sum(_log_likelihood(survival, interval) for interval in judges)
        for before, survival in zip(trust, forecasts, strict=True)
    ]
    likelihoods = [math.exp(score - max(scores)) for score in scores]
    prior, *learned = (likelihood / sum(likelihoods) * (1 - least) for likelihood in likelihoods)
    return [least + prior, *learned]


def _log_likelihood(survival: Sequence[float], interval: Interval) -> float:
    first, last = interval
    return math.log(max(survival[first] - (survival[last] if last < BINS else 0.0), LEAST_LIKELIHOOD))


def _survival(masses: Sequence[float]) -> list[float]:
    total = sum(masses)
    return [max(1 - gone / total, 0.0) for gone in itertools.accumulate(masses, initial=0.0)]


def _estimate(masses: Sequence[float], intervals: Counter[Interval]) -> list[float]:
    """Masses of the bins, from the estimate before and all intervals."""
    estimate = [mass * (1 - _FRESH) + prior * _FRESH for mass, prior in zip(masses, _PRIOR_MASSES, strict=True)]
    for _ in range(_ROUNDS):
        estimate = _sharpened(_smoothed(estimate, _ROUGHNESS), intervals)
    return _smoothed(estimate, _bandwidth(estimate, intervals.total()))


def _sharpened(masses: Sequence[float], intervals: Counter[Interval]) -> list[float]:
    """The next estimate: of those known to have ended each is spread over the bins of its interval as `masses` say.

    One that was last seen running tells that it has outlived the bins below. So each bin has a hazard: how many ended in
    it, of those that came to it; to both the prior adds as much as `_PRIOR_COUNT` operations tell (Hjort, 1990). Where
    nobody has come to, the prior alone counts. Were those that run spread as well, smoothing would move what lies ahead
    of them to ages that they have outlived, and from there each round ever farther out.
    """
    gone = list(itertools.accumulate(masses, initial=0.0))
    steps, came = [0.0] * (BINS + 1), [0.0] * BINS
    for (first, last), times in intervals.items():
        if last == BINS:
            came[first] += times
        else:
            weight = times / max(gone[last] - gone[first], _NEGLIGIBLE)
            steps[first] += weight
            steps[last] -= weight
    ended = [mass * factor for mass, factor in zip(masses, itertools.accumulate(steps), strict=False)]
    at_risk = list(itertools.accumulate(map(operator.add, reversed(ended), reversed(came))))[::-1]
    left, estimate = 1.0, []
    for ends, count, prior in zip(ended, at_risk, _PRIOR_HAZARDS, strict=True):
        mass = left * min((ends + _PRIOR_COUNT * prior) / (count + _PRIOR_COUNT), 1.0)
        estimate.append(mass)
        left -= mass
    estimate[-1] += left
    return estimate


def _bandwidth(masses: Sequence[float], count: int) -> float:
    """How far to smooth, in bins, by Silverman's rule of thumb, for the narrowest of the peaks that there may be.

    Their spread is told by the shortest stretch that holds a quarter of all; of few, among whom a quarter is two or
    three that lie together by chance, up to a half. The deviation of all, or their quartiles, would tell how far
    peaks are apart, and so each would be smoothed away.
    """
    gone = list(itertools.accumulate(masses, initial=0.0))
    share = min(0.25 + _BY_CHANCE / count, 0.5)
    wanted = gone[-1] * share
    shortest, last = float(BINS), 0
    for first in range(BINS):
        while last < BINS and gone[last] - gone[first] < wanted:
            last += 1
        held = gone[last] - gone[first]
        if held < wanted:
            break
        shortest = min(shortest, (last - first) * wanted / held)
    deviations = 2 * _NORMAL.inv_cdf(0.5 + share / 2)  # that this share of a normal distribution lies in
    return min(_SILVERMAN * shortest / deviations * math.pow(count, -0.2), _MOST_SMOOTHED)


def _smoothed(masses: Sequence[float], bandwidth: float) -> list[float]:
    """The masses, each spread over the bins beside it, nearly by a normal distribution: by running means in a row.

    They cost the same however wide they are, and a plan is made while others wait.
    """
    widths = _running_means(bandwidth)
    reach = sum(width // 2 for width in widths)
    margin = [0.0] * (2 * reach)
    smooth = [*margin, *masses, *margin]
    for width in widths:
        sums = list(itertools.accumulate(smooth, initial=0.0))
        smooth = [(after - before) / width for before, after in zip(sums, sums[width:], strict=False)]
    smooth[reach] += sum(smooth[:reach])
    smooth[reach + BINS - 1] += sum(smooth[reach + BINS :])
    return [max(mass, 0.0) for mass in smooth[reach : reach + BINS]]  # differences may be rounded below


def _running_means(bandwidth: float) -> list[int]:
    """The widths, odd numbers, of three means that together have that deviation: the variance of one is (w² - 1) / 12."""
    squares = 12 * bandwidth**2 + _MEANS
    narrow = (int(math.sqrt(squares / _MEANS)) - 1) // 2 * 2 + 1
    wider = round((squares - _MEANS * narrow**2) / (4 * narrow + 4))  # so many have to be the next odd number
    return [narrow] * (_MEANS - wider) + [narrow + 2] * wider
