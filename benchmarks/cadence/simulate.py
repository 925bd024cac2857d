"""The peers, simulated: one heap of arrivals at the server. And what a limiter alone would do.

Decides nothing: what a peer does is its schedule's, whom the quota refuses is the server's.
A peer knows one operation at a time, so that a fleet of them is as many schedules that
share nothing but the quota.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from lro_poller import WORKSPACE_EVENTS
from lro_poller.poller import QUOTA_SHARE

from .peers import Peer
from .server import Latency, Quota
from .workloads import Operation

__all__ = ["Run", "run_limited", "run_peer"]


_QUOTA = WORKSPACE_EVENTS.quota
assert _QUOTA is not None
_RATE = QUOTA_SHARE * _QUOTA.polls / _QUOTA.seconds


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a fleet.

    Attributes:
        lateness: Seconds from each operation's end until it was known.
        polls: How many polls each took, those that were refused included.
        refused: When each 429 was given, in seconds since the fleet's beginning.
    """

    lateness: list[float]
    polls: list[int]
    refused: list[float] = field(default_factory=list)

    def after(self, count: int) -> Run:
        """The same without the first `count` operations."""
        return Run(self.lateness[count:], self.polls[count:], self.refused)


def run_peer(peer: Peer, operations: Sequence[Operation], quota: Quota | None, seed: str) -> Run:
    """Polls every operation from its start until its end is known."""
    dice, latency = random.Random(f"{peer.name} {seed}"), Latency(f"{peer.name} {seed}").draw
    schedules = [peer.waits(dice) for _ in operations]
    ends = [operation.end for operation in operations]
    run = Run([0.0] * len(operations), [0] * len(operations))
    arrivals = [
        (operation.start + next(schedules[number]) + latency(), number) for number, operation in enumerate(operations)
    ]
    heapq.heapify(arrivals)
    while arrivals:
        now, number = arrivals[0]
        run.polls[number] += 1
        if quota is not None and not quota.admit(now):
            run.refused.append(now)
        elif now >= ends[number]:
            run.lateness[number] = now - ends[number]
            heapq.heappop(arrivals)
            continue
        heapq.heapreplace(arrivals, (now + next(schedules[number]) + latency(), number))
    return run


def run_limited(operations: Sequence[Operation], seed: str, *, interval: float = 10.0, rate: float = _RATE) -> Run:
    """What no library has and anybody could write: a fixed interval, and one limiter for all, first due first polled.

    Args:
        interval: Seconds from one poll of an operation to the next, where the limiter lets it.
        rate: Polls a second, evenly spaced; by default as much of the quota as this library takes.
    """
    latency = Latency(f"limited {seed}").draw
    run = Run([0.0] * len(operations), [0] * len(operations))
    due = [(operation.start + interval, number) for number, operation in enumerate(operations)]
    heapq.heapify(due)
    turn = 0.0
    while due:
        when, number = due[0]
        starts = max(when, turn)
        turn, now = starts + 1 / rate, starts + latency()
        run.polls[number] += 1
        if now >= operations[number].end:
            run.lateness[number] = now - operations[number].end
            heapq.heappop(due)
        else:
            heapq.heapreplace(due, (now + interval, number))
    return run
