"""Bytes of a pending operation, and the time to submit and to close one.

`python -m benchmarks.memory`: 10^4, 10^5 and, where that fits into memory, 10^6 operations
that wait, of the poller and of its peers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from .harness import Figures, in_turn, median, parse_options, ratio, run_child
from .report import Target, print_table, publish
from .waiting import WAITERS

__all__ = ["main"]

_MOST = {"google": 10**5, "backoff": 10**5}
"""A million of these take seven gigabytes and minutes; what one costs does not depend on it."""


def main() -> None:
    """Runs it, prints the tables and keeps the figures."""
    options = parse_options("memory", __doc__)
    counts = (10**3, 10**4) if options.quick else (10**4, 10**5, 10**6)
    figures: dict[str, dict[str, list[Figures]]] = {}
    for count in counts:
        waiters = [name for name in WAITERS if count <= _MOST.get(name, count)]
        rounds = options.rounds_or(2 if count < 10**5 else 1)
        taken = in_turn(waiters, rounds, functools.partial(_measure, count), title=f"{count} pending")
        figures[f"{count:,} pending"] = taken
        _print(f"{count:,} pending", taken)
    publish("memory", figures, list(_targets(figures)), keep=not options.quick)


def _measure(count: int, waiter: str) -> Figures:
    figures: Figures = run_child("waiting", waiter, count)
    return figures | {"traced_bytes": _traced(waiter, min(count, 10**4))}


@functools.cache
def _traced(waiter: str, count: int) -> float:
    """Bytes by tracemalloc, in a process of its own: it slows down what it counts. The same each time."""
    return float(run_child("waiting", waiter, count, "--trace")["bytes"])


def _print(title: str, taken: dict[str, list[Figures]]) -> None:
    columns = ("bytes", "traced_bytes", "submit_us", "close_us")
    rows = [
        (WAITERS[name][0], *(f"{median(rounds, column):,.{0 if 'bytes' in column else 1}f}" for column in columns))
        for name, rounds in taken.items()
    ]
    print_table(title, ("waiting", "bytes each", "tracemalloc", "CPU µs to submit", "to close"), rows)


def _targets(figures: dict[str, dict[str, list[Figures]]]) -> Iterator[Target]:
    """Of the most that were pending; against google-api-core, of the most that both had pending."""
    most = list(figures.values())[-1]
    both = [taken for taken in figures.values() if "google" in taken][-1]
    for name in ("named", "seen"):
        label = WAITERS[name][0]
        yield Target(f"{label}: bytes", median(most[name], "bytes"), "at most", 700)
        yield Target(
            f"{label}: bytes, of google-api-core's", ratio(both[name], both["google"], "bytes"), "at most", 0.1
        )
        yield Target(f"{label}: µs to submit", median(most[name], "submit_us"), "at most", 8)
        share = ratio(both[name], both["google"], "submit_us")
        yield Target(f"{label}: time to submit, of google-api-core's", share, "at most", 0.1)


if __name__ == "__main__":
    main()
