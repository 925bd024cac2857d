"""How late polls start against when they were due, with half the throughput in use.

`python -m benchmarks.lateness`: 10^3, 10^5 and 5*10^5 operations pending, beside a coroutine
an operation, and beside timers of a loop that has nothing to do. It is measured for long enough that full collections
of Python's garbage collector fall into it, which look at everything that is pending; and without them, in a program
that calls `gc.freeze()` once it has submitted.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import server
from .harness import SERVER_CORE, Figures, median, parse_options
from .load import LABELS, half_throughput, measure_parked
from .report import Target, print_table, publish

__all__ = ["main"]

_SECONDS = 10.0  # in place of rounds: with a hundred thousand pending a full collection comes every three seconds


def main() -> None:
    """Runs it, prints the table and keeps the figures."""
    options = parse_options("lateness", __doc__)
    counts = (10**3, 10**4) if options.quick else (10**3, 10**5, 5 * 10**5)
    with server.running(SERVER_CORE) as running:
        rate = half_throughput(running)
        taken = measure_parked(running, LABELS, counts, rate, options, title="lateness", seconds=_SECONDS, rounds=1)
    _print(taken, rate)
    targets = list(_targets(taken, counts))
    publish("lateness", taken, targets, keep=not options.quick, server=running.kind, rate=f"{rate:.0f}/s")


def _print(taken: dict[str, list[Figures]], rate: float) -> None:
    rows = []
    for case, rounds in taken.items():
        name, pending = case.split()
        late = [f"{median(rounds, figure):.2f}" for figure in ("p50_ms", "p99_ms", "max_ms")]
        rows.append((LABELS[name], f"{int(pending):,}", f"{median(rounds, 'polls_per_second'):,.0f}", *late))
    head = ("waiting", "pending", "polls/s", "late by, ms: median", "p99", "max")
    print_table(f"lateness at {rate:.0f} polls a second", head, rows)


def _targets(taken: dict[str, list[Figures]], counts: tuple[int, ...]) -> Iterator[Target]:
    """Of 10^5 pending; a quick run has no more than 10^4."""
    pending = min(counts[-1], 10**5)
    idle = taken.get(f"timers {counts[0]}")
    bound = 5.0 if idle is None else max(5.0, 3 * median(idle, "p99_ms"))
    for name in ("lro_poller", "frozen"):
        ours = taken.get(f"{name} {pending}")
        late = None if ours is None else median(ours, "p99_ms")
        what = f"{LABELS[name]}: p99 of the lateness with {pending:,} pending, ms (3 idle timers, or 5)"
        yield Target(what, late, "at most", bound)


if __name__ == "__main__":
    main()
