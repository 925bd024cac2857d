"""The best schedule: against every schedule there is, against a formula, and against the peers."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.cadence.optimum import Grid, best_schedule, frontier, grid_of, limit, rate
from benchmarks.cadence.peers import PEERS, Peer
from benchmarks.cadence.simulate import run_peer
from benchmarks.cadence.workloads import WORKLOADS, Distribution, LogNormal, LogUniform, Operation, Workload


@dataclass(frozen=True)
class Exponential:
    """What has no memory is best looked at in equal steps."""

    mean: float

    def survival(self, seconds: float) -> float:
        return math.exp(-seconds / self.mean)

    def quantile(self, below: float) -> float:
        return -self.mean * math.log1p(-below)

    def draw(self, count: int, dice: random.Random) -> list[float]:
        return [self.quantile((number + 0.5) / count) for number in range(count)]


def small_grid(distribution: Distribution, times: list[float]) -> Grid:
    """A grid of few times, at the end of which everything is over."""
    survival = np.array([*(distribution.survival(time) for time in times[:-1]), 0.0])
    pieces = np.diff(times) * (survival[1:] + survival[:-1]) / 2
    return Grid(np.array(times), survival, np.concatenate([[0.0], np.cumsum(pieces)]))


@pytest.mark.parametrize("price", [0.01, 0.1, 0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("distribution", [LogNormal(3.0), LogUniform(1.0, 9.0), Exponential(3.0)])
def test_no_schedule_is_better(distribution: Distribution, price: float) -> None:
    grid = small_grid(distribution, [0.0, 0.7, 1.5, 2.0, 2.9, 4.0, 4.4, 6.0, 8.0, 10.0])

    def cost(polls: tuple[int, ...]) -> float:
        point = rate(grid, polls)
        return price * point.polls + point.lateness

    between = [subset for size in range(9) for subset in itertools.combinations(range(1, 9), size)]
    best = min(cost((*subset, 9)) for subset in between)

    assert cost(tuple(best_schedule(grid, price))) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("price", [0.05, 1.0, 20.0])
def test_what_has_no_memory_is_polled_in_equal_steps(price: float) -> None:
    grid = grid_of(Exponential(10.0))

    times = np.concatenate([[0.0], grid.times[best_schedule(grid, price)]])

    likely = times[times < 30.0]
    steps = np.diff(likely)
    assert steps.max() / steps.min() < 1.15
    step = float(steps.mean()) / 10.0
    point = rate(grid, best_schedule(grid, price))
    assert point.polls == pytest.approx(1 / -math.expm1(-step), rel=0.02)
    assert point.lateness / 10.0 == pytest.approx(step / -math.expm1(-step) - 1, rel=0.04)


def test_a_schedule_is_rated_as_its_simulation_is() -> None:
    distribution = LogNormal(40.0)
    grid = grid_of(distribution)
    polls = [int(index) for index in np.searchsorted(grid.times, [20.0, 50.0, 100.0, 300.0])] + [len(grid.times) - 1]
    times = grid.times[polls]
    durations = distribution.draw(20_000, random.Random(0))
    found = np.searchsorted(times, durations)

    point = rate(grid, polls)

    assert point.polls == pytest.approx(float(np.mean(found + 1)), rel=0.001)
    assert point.lateness == pytest.approx(float(np.mean(times[found] - durations)), rel=0.001)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.name in ("Rust", "Terraform", "fixed 10 s")])
def test_nobody_is_better_than_the_limit(workload: Workload, peer: Peer) -> None:
    _, durations = workload.alone(500, "0")
    run = run_peer(peer, [Operation(0.0, duration) for duration in durations], None, "0")

    polls, lateness = np.mean(run.polls), np.mean(run.lateness)

    assert lateness > 0.97 * limit(workload.phases, float(polls))  # the draw is not the distribution, quite


def test_the_limit_lies_on_the_frontier_and_falls_with_the_polls() -> None:
    phases = (LogNormal(40.0),)
    points = frontier(phases, [0.1, 1.0, 10.0])

    assert [limit(phases, point.polls) for point in points] == pytest.approx(
        [point.lateness for point in points], rel=0.01
    )
    assert limit(phases, 2.0) > limit(phases, 3.0) > limit(phases, 30.0) > 0


def test_phases_share_one_price() -> None:
    short, long = LogNormal(40.0), LogNormal(120.0)

    point = frontier((short, long), [2.0])[0]

    parts = [frontier((phase,), [2.0])[0] for phase in (short, long)]
    assert point.polls == pytest.approx((parts[0].polls + parts[1].polls) / 2)
    assert point.lateness == pytest.approx((parts[0].lateness + parts[1].lateness) / 2)


@pytest.mark.parametrize("polls", [0.99, -1.0, math.nan, math.inf])
def test_a_mean_that_no_schedule_has_is_refused(polls: float) -> None:
    with pytest.raises(ValueError, match="mean_polls must be a number, 1 or more"):
        limit((LogNormal(40.0),), polls)
