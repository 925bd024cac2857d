"""When to look, given how likely an end is.

Decides the ages at which one operation is looked at, and what a look is worth. It is handed
a survival function, S(t): the share of operations that take longer than t. Where that comes
from is `forecast`'s business.

A look at age t costs a *price* p(t): the seconds of lateness that one poll is worth. The
best ages minimize, over all operations, the price of the looks plus the expected lateness.
After a look at age s that found the operation running, the least cost V(s) is

    V(s) = min over t > s of  p(t) + ∫ P(ended by u) du from s to t + P(runs at t) V(t)

With U = S·V and A(t) = ∫ S from 0 to t, that is

    U(s) = A(s) - S(s) s + min over t of  S(s) (t + p(t)) - A(t) + U(t)

which asks, for each s, for the lowest of the lines `slope t + p(t), intercept U(t) - A(t)`
at the abscissa S(s). Going down from the greatest age, slopes fall and abscissas rise, so
the lower envelope is built and asked in one pass (the convex hull trick).

What a look is worth at age t, after one at s, is the price at which this is the best
moment for it. For a hazard that does not change that is the integral of the odds that the
operation has ended, P(ended by u) / P(runs at u), and it serves as an index for all: it is
zero at s, grows without bound as the end becomes certain, and takes one table look-up,
S(s) (G(t) - G(s)) - (t - s) with G = ∫ 1/S.
"""

from __future__ import annotations

import functools
import math
import operator
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence

__all__ = ["AGES", "BINS_AN_OCTAVE", "Outlook", "interpolate"]

BINS_AN_OCTAVE = 12
_YOUNGEST = 0.05  # seconds; no look is planned at a younger age
_OCTAVES = 25  # up to 19 days

AGES: Sequence[float] = array(
    "d", [0.0, *(_YOUNGEST * 2 ** (step / BINS_AN_OCTAVE) for step in range(_OCTAVES * BINS_AN_OCTAVE + 1))]
)
"""Seconds. Survival is told at these ages: at 0, and then each 6% more than the one before."""

_PARTS = 4
_MOST_PARTS = 16
_WORTH_REFINING = 5e-4  # share of all operations that ends within a bin

_LEAST_SURVIVAL = 1e-9  # for what none has outlived; keeps every quotient finite


class Outlook:
    """The best ages to look at an operation, for one survival function and one price.

    Args:
        survival: S at each of `AGES`, from 1 down, never rising.
        price: p(t): seconds of lateness that a look at age t is worth, above 0 and never falling.
    """

    def __init__(self, survival: Sequence[float], price: Callable[[float], float]) -> None:
        self._survival = array("d", [max(value, _LEAST_SURVIVAL) for value in survival])
        self._price = price

    def next_look(self, age: float) -> float:
        """At which age to look again, after a look at `age` that found the operation running."""
        ages, waits = self._looks
        position = bisect_right(ages, age) - 1
        wait = waits[position]
        if position == len(ages) - 1:
            return age + wait
        low = ages[position]
        return age + wait + (waits[position + 1] - wait) * (age - low) / (ages[position + 1] - low)

    @functools.cached_property  # as the next: each takes about a millisecond, and not everybody asks for both
    def _looks(self) -> tuple[array[float], array[float]]:
        """Ages, and for each how long after it the best next look is."""
        ages, survivals = _refined(self._survival, self._price)
        best = _plan(ages, survivals, self._price)
        ages.pop()
        return array("d", ages), array("d", map(operator.sub, best, ages))

    @functools.cached_property
    def _inverse(self) -> array[float]:
        """The integral of 1/S up to each of `AGES`."""
        return _integral([1 / value for value in self._survival])

    def likelihood(self, seen: float, age: float) -> float:
        """How likely one that ran at `seen` has ended at `age`."""
        return 1 - interpolate(self._survival, age) / interpolate(self._survival, seen)

    def worth(self, seen: float, age: float) -> float:
        """What a look at `age` is worth, in seconds of lateness, after one at `seen`."""
        share = interpolate(self._survival, seen)
        return share * (self._inverse_at(age) - self._inverse_at(seen)) - (age - seen)

    def when_worth(self, seen: float, worth: float) -> float:
        """At which age a look is worth that much; `math.inf` where it never is."""
        inverse, ages = self._inverse, AGES
        share, base = interpolate(self._survival, seen), self._inverse_at(seen)
        low = bisect_right(ages, seen) - 1
        high = len(ages)
        while high - low > 1:
            middle = (low + high) // 2
            if share * (inverse[middle] - base) - (ages[middle] - seen) >= worth:
                high = middle
            else:
                low = middle
        if high == len(ages):
            return math.inf
        before, after = self.worth(seen, max(ages[low], seen)), self.worth(seen, ages[high])
        start = max(ages[low], seen)
        return start + (ages[high] - start) * (worth - before) / (after - before)

    def _inverse_at(self, age: float) -> float:
        if age >= AGES[-1]:
            return self._inverse[-1] + (age - AGES[-1]) / self._survival[-1]
        return interpolate(self._inverse, age)


def interpolate(values: Sequence[float], age: float) -> float:
    """A function that is told at `AGES`, between them; beyond the last it keeps its value."""
    position = bisect_right(AGES, age) - 1
    if position >= len(AGES) - 1:
        return values[-1]
    low, high = AGES[position], AGES[position + 1]
    return values[position] + (values[position + 1] - values[position]) * (age - low) / (high - low)


def _integral(values: Sequence[float], ages: Sequence[float] = AGES) -> array[float]:
    """From 0 to each of the ages, by trapezoids."""
    total, sums = 0.0, array("d", [0.0])
    for position in range(1, len(ages)):
        total += (values[position] + values[position - 1]) / 2 * (ages[position] - ages[position - 1])
        sums.append(total)
    return sums


def _refined(survival: Sequence[float], price: Callable[[float], float]) -> tuple[list[float], list[float]]:
    """The ages to plan for, finer than `AGES` where looks will stand closer, and S there."""
    ages, told = [AGES[0]], [survival[0]]
    for position in range(1, len(AGES)):
        start, share = AGES[position - 1], survival[position - 1]
        width, loss = AGES[position] - start, share - survival[position]
        parts = 1
        if loss > _WORTH_REFINING * share:  # of those that come to it: that they are few is nothing to them
            apart = math.sqrt(2 * price(start) * width * share / loss)  # as looks stand under a hazard that stays
            fine, most = (_PARTS, _MOST_PARTS) if loss > _WORTH_REFINING else (1, _PARTS)
            parts = min(math.ceil(fine * width / apart), most)
        for part in range(1, parts + 1):
            ages.append(start + width * part / parts)
            told.append(share - loss * part / parts)
    return ages, told


def _plan(ages: Sequence[float], survival: Sequence[float], price: Callable[[float], float]) -> array[float]:
    """For each of the ages but the last, the age of the best next look."""
    areas = _integral(survival, ages)
    last = len(ages) - 1
    best = array("d", [ages[last]] * last)
    looks, slopes = [ages[last]], [ages[last] + price(ages[last])]
    intercepts = [survival[last] * price(ages[last]) - areas[last]]
    line = 0
    for position in range(last - 1, -1, -1):
        share, age = survival[position], ages[position]
        line = min(line, len(looks) - 1)
        lowest = slopes[line] * share + intercepts[line]
        while line + 1 < len(looks) and (value := slopes[line + 1] * share + intercepts[line + 1]) < lowest:
            line, lowest = line + 1, value
        best[position] = looks[line]
        slope, intercept = age + price(age), lowest - share * age
        while len(looks) > 1 and _is_nowhere_lowest(slopes, intercepts, slope, intercept):
            looks.pop()
            slopes.pop()
            intercepts.pop()
        looks.append(age)
        slopes.append(slope)
        intercepts.append(intercept)
    return best


def _is_nowhere_lowest(slopes: list[float], intercepts: list[float], slope: float, intercept: float) -> bool:
    """Whether a line of the least slope so far leaves nothing to the last line of the lower envelope."""
    return (intercept - intercepts[-2]) * (slopes[-2] - slopes[-1]) <= (intercepts[-1] - intercepts[-2]) * (
        slopes[-2] - slope
    )
