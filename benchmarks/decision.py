"""What it costs to decide which operation is polled next, and when again.

`python -m benchmarks.decision`: 10^3 and 10^5 pending operations, in the engine alone, with
time as an argument and nothing polled. Operations take some six minutes; one that has
ended is replaced. Beside a plain heap of due times with waits of equal length:

- `learned`: the queue, the forecast and what is learned from each end; each is polled when it is due;
- `short`: the same with half of the polls that were asked for, so that worth decides.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from lro_poller.engine.cadence import jittered
from lro_poller.engine.forecast import wait_by
from lro_poller.engine.history import Kind
from lro_poller.engine.lines import Line
from lro_poller.engine.queue import Queue

from .harness import Figures, in_turn, median, parse_options, ratio, run_child
from .report import Target, print_table, publish

__all__ = ["main"]

_MEDIAN, _SIGMA = 360.0, 0.6  # of a log-normal duration
_MEAN = _MEDIAN * math.exp(_SIGMA**2 / 2)
_LEARNED = 1000  # durations that are known before
_WARM_UP = 2  # polls of each operation before what is measured
_LABELS = {"heap": "a heap, waits of equal length", "learned": "learned", "short": "learned, half of the polls"}

Step: TypeAlias = Callable[[float], float]
"""Polls one operation, at the time that is given or as soon as one is due; returns when that was."""


class _Operation:
    """One that is pending: what the engine keeps of it, and when it ends."""

    __slots__ = ("_scheduled", "began", "due", "ends", "line", "seen")

    def __init__(self) -> None:
        self._scheduled = math.inf
        self.line: Line[_Operation, tuple[int, int]] | None = None
        self.began = self.seen = self.due = self.ends = 0.0

    def start(self, now: float, age: float, dice: random.Random) -> None:
        """Begins anew; at `age` it still runs."""
        self.began, self.seen = now - age, now
        self.ends = 0.0
        while self.ends <= now:
            self.ends = self.began + dice.lognormvariate(math.log(_MEDIAN), _SIGMA)


def _fleet(pending: int, dice: random.Random) -> list[_Operation]:
    operations = [_Operation() for _ in range(pending)]
    for operation in operations:
        operation.start(0.0, dice.random() * _MEDIAN, dice)
    return operations


def _heap(pending: int, period: float, dice: random.Random) -> Step:
    """Polls whoever has been due for longest."""
    turns = itertools.count()
    heap = [(dice.random() * period, next(turns), operation) for operation in _fleet(pending, dice)]
    heapq.heapify(heap)

    def step(now: float) -> float:
        when, _, operation = heapq.heappop(heap)
        now = max(now, when)
        if operation.ends <= now:
            operation.start(now, 0.0, dice)
        operation.seen = now
        heapq.heappush(heap, (now + jittered(period, dice.random()), next(turns), operation))
        return now

    return step


def _learned(pending: int, dice: random.Random) -> Step:
    """Polls whoever is due and whose look is worth most; learns from each end."""
    kind = _known(dice)
    queue: Queue[_Operation, tuple[int, int]] = Queue(
        lambda operation: (kind.place(operation.seen - operation.began), math.frexp(operation.due - operation.seen)[1]),
        lambda key, level: kind.worth_after(key[0], level),
    )

    def park(operation: _Operation, now: float) -> None:
        operation.due = now + wait_by(kind, now - operation.began, dice.random())
        queue.put(operation, operation.due)

    for operation in _fleet(pending, dice):
        kind.follow(operation)
        park(operation, 0.0)

    def step(now: float) -> float:
        while (operation := queue.pop(now)) is None:
            now = queue.next_time(now)
        ended = operation.ends <= now
        queue.heard(operation, ended=ended)
        if ended:
            kind.end(operation, now)
            operation.start(now, 0.0, dice)
            kind.follow(operation)
        operation.seen = now
        park(operation, now)
        return now

    return step


def _known(dice: random.Random) -> Kind:
    kind = Kind()
    for _ in range(_LEARNED):
        kind.add(dice.lognormvariate(math.log(_MEDIAN), _SIGMA))
    return kind


def _period(dice: random.Random) -> float:
    """Seconds between two polls of one operation that a forecast asks for, on average."""
    polls, times, kind = 0, 1000, _known(dice)
    for _ in range(times):
        age, end = 0.0, dice.lognormvariate(math.log(_MEDIAN), _SIGMA)
        while age < end:
            age += wait_by(kind, age, dice.random())
            polls += 1
    return _MEAN * times / polls


def measure(case: str, pending: int, steps: int) -> Figures:
    """Processor time of one decision, in microseconds."""
    dice = random.Random(0)
    period = _period(dice)
    step = _heap(pending, period, dice) if case == "heap" else _learned(pending, dice)
    apart = 2 * period / pending if case == "short" else 0.0
    now = 0.0
    for _ in range(_WARM_UP * pending):
        now = step(now + apart)
    began = time.process_time()
    for _ in range(steps):
        now = step(now + apart)
    return {"cpu_us": (time.process_time() - began) / steps * 1e6}


def main() -> None:
    """Runs it, prints the table and keeps the figures; with CASE PENDING STEPS, that one alone."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("alone", nargs="*")
    alone, rest = parser.parse_known_args()
    if alone.alone:
        case, pending, steps = alone.alone
        print(json.dumps(measure(case, int(pending), int(steps))))
        return
    options = parse_options("decision", __doc__, rest)
    counts = (10**3, 10**4) if options.quick else (10**3, 10**5)
    steps = 10_000 if options.quick else 50_000

    def run(case: str) -> Figures:
        name, pending = case.split()
        return run_child("decision", name, pending, steps)

    taken = in_turn(
        [f"{name} {count}" for count in counts for name in _LABELS], options.rounds_or(2), run, title="decision"
    )
    _print(taken)
    publish("decision", taken, list(_targets(taken, counts[-1])), keep=not options.quick)


def _print(taken: dict[str, list[Figures]]) -> None:
    rows = []
    for case, rounds in taken.items():
        name, pending = case.split()
        cpu, times = median(rounds, "cpu_us"), ratio(rounds, taken[f"heap {pending}"], "cpu_us")
        rows.append((_LABELS[name], f"{int(pending):,}", f"{cpu:.1f}", f"{times:.1f}"))
    print_table("decision", ("who is next", "pending", "CPU µs a poll", "of the heap's"), rows)


def _targets(taken: dict[str, list[Figures]], most: int) -> Iterator[Target]:
    heap = median(taken[f"heap {most}"], "cpu_us")
    for name in ("learned", "short"):
        added = median(taken[f"{name} {most}"], "cpu_us") - heap
        yield Target(f"µs that the decision adds to a poll with {most:,} pending, {name}", added, "at most", 5)


if __name__ == "__main__":
    main()
