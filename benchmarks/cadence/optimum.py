"""The limit: the best schedule there is, for one operation whose distribution of durations is known.

Dynamic programming on a fine grid of times. At a *price*, the seconds of lateness that one
poll is worth, let V(s) be what an operation that was just seen running at s will cost, and
S(s) = P(D > s). The next poll, at t, costs the price and the lateness of an end in between,
and V(t) again if there was none:

    V(s) = min over t > s of  price + E[t - D; D <= t | D > s] + P(D > t | D > s) V(t)

With U = S V, and A the integral of S, that is

    U(s) = S(s) (price - s) + A(s) + min over t > s of [S(s) t - A(t) + U(t)]

No latency and no jitter are in it: nobody can be better, and what comes near is good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .workloads import Distribution

__all__ = ["Grid", "Point", "best_schedule", "frontier", "grid_of", "limit", "rate"]

Times: TypeAlias = NDArray[np.float64]

_CELLS = 2000
_TAIL = 1e-7  # what is likelier than this lies within the grid
_FINE = 10  # points to measure the distribution at, for each cell
_BISECTIONS = 30
_CLOSE = 0.01  # polls; two schedules this close are near enough to go straight from one to the other


class Point(NamedTuple):
    """What a schedule comes to, a mean for an operation."""

    polls: float
    lateness: float


class Grid(NamedTuple):
    """Times, first 0, with the survival function there and its integral up to there."""

    times: Times
    survival: Times
    integral: Times


@cache
def grid_of(distribution: Distribution, cells: int = _CELLS) -> Grid:
    """A grid over all the durations that matter, finest where the best schedules poll most.

    Their polls are as dense as the square root of the density of ends. A quarter of the cells are
    spread evenly over the orders of magnitude, for the gaps.
    """
    first, last = distribution.quantile(_TAIL), distribution.quantile(1 - _TAIL)
    fine = np.geomspace(first, last, _FINE * cells)
    ends = -np.diff([distribution.survival(float(time)) for time in fine])
    dense = np.concatenate([[0.0], np.cumsum(np.sqrt(np.maximum(ends, 0.0) * np.diff(fine)))])
    often = np.interp(np.linspace(0, dense[-1], cells - cells // 4), dense, fine)
    times = np.unique(np.concatenate([[0.0], np.geomspace(first, last, cells // 4), often]))
    survival = np.array([distribution.survival(float(time)) for time in times])
    pieces = np.diff(times) * (survival[1:] + survival[:-1]) / 2
    return Grid(times, survival, np.concatenate([[0.0], np.cumsum(pieces)]))


def best_schedule(grid: Grid, price: float) -> list[int]:
    """Where on the grid to poll; the last is its end."""
    times, survival, integral = grid
    last = len(times) - 1
    following = np.full(last + 1, last)
    values = -integral.copy()  # U(t) - A(t); nothing is left to pay at the end of the grid
    for now in range(last - 1, -1, -1):
        costs = survival[now] * times[now + 1 :] + values[now + 1 :]
        best = int(costs.argmin())
        following[now] = now + 1 + best
        values[now] = survival[now] * (price - times[now]) + costs[best]
    polls, now = [], 0
    while now < last:
        now = int(following[now])
        polls.append(now)
    return polls


def rate(grid: Grid, polls: Iterable[int]) -> Point:
    """What a schedule of polls on the grid comes to."""
    at = np.array([0, *polls])
    survival, integral = grid.survival[at], grid.integral[at]
    late = survival[:-1] * np.diff(grid.times[at]) - np.diff(integral)
    return Point(float(survival[:-1].sum()), float(late.sum()))


def _rate_all(phases: tuple[Distribution, ...], price: float) -> Point:
    """The mean over phases, each of which has the best schedule for itself at one price for all."""
    grids = [grid_of(phase) for phase in phases]
    points = [rate(grid, best_schedule(grid, price)) for grid in grids]
    return Point(*(sum(values) / len(points) for values in zip(*points, strict=True)))


def frontier(phases: tuple[Distribution, ...], prices: Iterable[float]) -> list[Point]:
    """The best there is at each price."""
    return [_rate_all(phases, price) for price in prices]


def limit(phases: tuple[Distribution, ...], mean_polls: float) -> float:
    """The least mean lateness, in seconds, of any schedule with so many polls an operation.

    Between two schedules it is that of one or the other by the toss of a coin.

    Raises:
        ValueError: it takes a poll to know of an end, so no mean is below 1; or it is more than the grid has room for.
    """
    if not 1 <= mean_polls < math.inf:
        raise ValueError(f"mean_polls must be a number, 1 or more, not {mean_polls!r}")
    scale = max(phase.quantile(1 - _TAIL) for phase in phases)
    low, high = scale * 1e-9, scale
    many, few = _rate_all(phases, low), _rate_all(phases, high)
    if mean_polls > many.polls:
        raise ValueError(
            f"no schedule of more than {many.polls:.3g} polls is known, and {mean_polls:.3g} were asked for"
        )
    for _ in range(_BISECTIONS):
        if many.polls - few.polls < _CLOSE:
            break
        price = math.sqrt(low * high)
        point = _rate_all(phases, price)
        if point.polls > mean_polls:
            low, many = price, point
        else:
            high, few = price, point
    if many.polls <= few.polls:
        return many.lateness
    share = (mean_polls - few.polls) / (many.polls - few.polls)
    return few.lateness + share * (many.lateness - few.lateness)
