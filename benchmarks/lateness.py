"""How late polls start against when they were due, with half the throughput in use, and with a quarter.

`python -m benchmarks.lateness`: 10^3, 10^5 and 5*10^5 operations pending, beside a coroutine
an operation, and beside timers of a loop that has nothing to do. It is measured for long enough that full collections
of Python's garbage collector fall into it. Polls that fall due each at a time of its own cost more than those that
follow one another, so half the throughput takes more than half of the processor; the table says how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import server
from .harness import SERVER_CORE, Figures, median, parse_options
from .load import LABELS, half_throughput, measure_parked
from .report import Target, print_table, publish

__all__ = ["main"]

_SECONDS = 8.0  # in place of rounds: a full collection comes every few seconds


def main() -> None:
    """Runs it, prints the table and keeps the figures."""
    options = parse_options("lateness", __doc__)
    counts = (10**3, 10**4) if options.quick else (10**3, 10**5, 5 * 10**5)
    with server.running(SERVER_CORE) as running:
        half = half_throughput(running)

        def measure(names: Iterable[str], counts: Iterable[int], rate: float) -> dict[str, list[Figures]]:
            return measure_parked(running, names, counts, rate, options, title="lateness", seconds=_SECONDS, rounds=1)

        taken = measure(LABELS, counts, half)
        for case, rounds in measure(("lro_poller", "coroutines"), counts[1:2], half / 2).items():
            taken[f"{case} quarter"] = rounds
    _print(taken, half)
    targets = list(_targets(taken, counts))
    publish("lateness", taken, targets, keep=not options.quick, server=running.kind, rate=f"{half:.0f}/s")


def _print(taken: dict[str, list[Figures]], rate: float) -> None:
    rows = []
    for case, rounds in taken.items():
        name, pending, *_ = case.split()
        busy = median(rounds, "polls_per_second") * median(rounds, "cpu_us") / 1e6
        late = [f"{median(rounds, figure):.2f}" for figure in ("p50_ms", "p99_ms", "max_ms")]
        rows.append(
            (LABELS[name], f"{int(pending):,}", f"{median(rounds, 'polls_per_second'):,.0f}", f"{busy:.0%}", *late)
        )
    head = ("waiting", "pending", "polls/s", "of the core", "late by, ms: median", "p99", "max")
    print_table(f"lateness at {rate:.0f} polls a second, half the throughput, and at half of that", head, rows)


def _targets(taken: dict[str, list[Figures]], counts: tuple[int, ...]) -> Iterator[Target]:
    """Of 10^5 pending; a quick run has no more than 10^4."""
    pending = min(counts[-1], 10**5)
    idle = taken.get(f"timers {counts[0]}")
    bound = 5.0 if idle is None else max(5.0, 3 * median(idle, "p99_ms"))
    ours = taken.get(f"lro_poller {pending}")
    late = None if ours is None else median(ours, "p99_ms")
    yield Target(f"p99 of the lateness with {pending:,} pending, ms (3 idle timers, or 5)", late, "at most", bound)


if __name__ == "__main__":
    main()
