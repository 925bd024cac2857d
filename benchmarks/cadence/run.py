"""Runs every policy on a workload: alone, and in each crowd.

Decides how many operations there are of each, and sees to it that all policies meet the
same ones.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .figures import LIMITED, OURS, Row, Standing, compare, summarize
from .optimum import Point, frontier, limit
from .ours import run_alone, run_crowd
from .peers import PEERS
from .server import Quota
from .simulate import Run, run_limited, run_peer
from .workloads import CROWDS, Crowd, Operation, Workload

__all__ = ["ALONE", "Result", "run_workload"]

ALONE = "alone"
COUNT = 2000
"""Operations of each workload that are measured one at a time."""

_PRICES = [10 ** (fifths / 5) for fifths in range(-25, 16)]  # what a poll is worth, by the median duration


@dataclass(frozen=True, slots=True)
class Result:
    """A workload in one mode.

    Attributes:
        rows: This library's, in a crowd that of a limiter alone, then the peers'.
        frontier: The best there is for an operation alone, from many polls to few.
    """

    workload: Workload
    mode: str
    rows: tuple[Row, ...]
    standing: Standing
    frontier: tuple[Point, ...]


def run_workload(workload: Workload, seed: int, count: int = COUNT, crowds: Sequence[Crowd] = CROWDS) -> list[Result]:
    """Alone with `count` operations, and in the crowds."""
    median = workload.phases[0].quantile(0.5)
    best = tuple(frontier(workload.phases, [price * median for price in _PRICES]))
    results = [_result(workload, ALONE, _alone(workload, seed, count), best)]
    return results + [_result(workload, crowd.name, _crowd(workload, crowd, seed), best) for crowd in crowds]


def _result(workload: Workload, mode: str, runs: Iterator[tuple[str, list[Run]]], best: tuple[Point, ...]) -> Result:
    rows = tuple(summarize(workload.name, mode, policy, repeats) for policy, repeats in runs)
    return Result(workload, mode, rows, compare(rows, functools.partial(limit, workload.phases)), best)


def _alone(workload: Workload, seed: int, count: int) -> Iterator[tuple[str, list[Run]]]:
    warm_up, durations = workload.alone(count, str(seed))
    yield OURS, [run_alone(workload.name, warm_up, durations, str(seed))]
    # Peers learn nothing and there is no quota: for them it makes no difference that all begin at once.
    operations = [Operation(0.0, duration) for duration in durations]
    for peer in PEERS:
        yield peer.name, [run_peer(peer, operations, None, str(seed))]


def _crowd(workload: Workload, crowd: Crowd, seed: int) -> Iterator[tuple[str, list[Run]]]:
    seeds = [f"{seed} {number}" for number in range(crowd.repeats)]
    drawn = [workload.crowd(crowd, one) for one in seeds]
    pairs = list(zip(drawn, seeds, strict=True))
    yield OURS, [run_crowd(workload.name, operations, Quota(), one) for operations, one in pairs]
    yield LIMITED, [run_limited(operations, one) for operations, one in pairs]
    for peer in PEERS:
        yield peer.name, [run_peer(peer, operations, Quota(), one) for operations, one in pairs]
