"""What runs come to: one row for a policy on a workload, and how this library's row stands among them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .simulate import Run

__all__ = ["LIMITED", "OURS", "Row", "Standing", "compare", "summarize"]

OURS = "lro_poller"
LIMITED = "one limiter"
"""The policy of `run_limited`, which is no peer's."""

_FIRST_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """One policy on one workload in one mode.

    Attributes:
        lateness: Mean seconds from an operation's end until it was known.
        error: Its standard error, that of independent draws: that of stratified ones is smaller.
        p95: The lateness that 19 of 20 operations do not exceed.
        polls: Mean polls an operation, those that were refused and the one that found it done included.
        refused: 429s of a run.
        refused_late: Those after its first minute.
    """

    workload: str
    mode: str
    policy: str
    lateness: float
    error: float
    p95: float
    polls: float
    refused: float = 0.0
    refused_late: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How this library's row stands.

    Attributes:
        row: Its own.
        best: The peer with the least mean lateness.
        to_best: Lateness by that peer's.
        polls_to_best: Polls by that peer's.
        limit: The least mean lateness that there is at its mean polls, for an operation alone with its
            distribution known; in a crowd no more can be had either.
        to_limit: Lateness by that.
        half: The least mean lateness that there is with half of the best peer's polls, by that peer's lateness;
            infinite where half is less than the one poll that it takes to know of an end.
        beaten_by: The peers that are better in both lateness and polls.
        to_limited: In a crowd, lateness by that of a fixed interval and one limiter; None alone, where nothing limits.
    """

    row: Row
    best: Row
    to_best: float
    polls_to_best: float
    limit: float
    to_limit: float
    half: float
    beaten_by: tuple[str, ...]
    to_limited: float | None = None


def summarize(workload: str, mode: str, policy: str, runs: Sequence[Run]) -> Row:
    """The row of runs that repeat one another; the operations of one crowd are not independent, its repeats are."""
    lateness = sorted(late for run in runs for late in run.lateness)
    means = lateness if len(runs) == 1 else [statistics.fmean(run.lateness) for run in runs]
    return Row(
        workload,
        mode,
        policy,
        lateness=statistics.fmean(lateness),
        error=statistics.stdev(means) / math.sqrt(len(means)),
        p95=lateness[math.ceil(0.95 * len(lateness)) - 1],
        polls=statistics.fmean(polls for run in runs for polls in run.polls),
        refused=statistics.fmean(len(run.refused) for run in runs),
        refused_late=statistics.fmean(sum(when > _FIRST_MINUTE for when in run.refused) for run in runs),
    )


def compare(rows: Sequence[Row], limit: Callable[[float], float]) -> Standing:
    """How the row of this library stands among those of the peers, and to the limit at its polls.

    Args:
        limit: The least mean lateness that there is with so many polls an operation, 1 or more.
    """
    own = next(row for row in rows if row.policy == OURS)
    peers = [row for row in rows if row.policy not in (OURS, LIMITED)]
    limited = next((row.lateness for row in rows if row.policy == LIMITED), None)
    best = min(peers, key=lambda row: row.lateness)
    least = limit(own.polls)
    return Standing(
        row=own,
        best=best,
        to_best=own.lateness / best.lateness,
        polls_to_best=own.polls / best.polls,
        limit=least,
        to_limit=own.lateness / least,
        half=limit(best.polls / 2) / best.lateness if best.polls >= 2 else math.inf,
        beaten_by=tuple(row.policy for row in peers if row.lateness < own.lateness and row.polls < own.polls),
        to_limited=None if limited is None else own.lateness / limited,
    )
