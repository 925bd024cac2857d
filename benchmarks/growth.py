"""What a poll costs while few and while many operations are pending.

`python -m benchmarks.growth`: 10^2 to 10^6 pending, as many polls a second for each (half
the throughput), and the processor time of a poll, beside a coroutine an operation.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import server
from .harness import SERVER_CORE, Figures, median, parse_options, ratio
from .load import LABELS, half_throughput, measure_parked
from .report import Target, print_table, publish

__all__ = ["main"]


def main() -> None:
    """Runs it, prints the table and keeps the figures."""
    options = parse_options("growth", __doc__)
    counts = (10**2, 10**4) if options.quick else (10**2, 10**5, 10**6)
    with server.running(SERVER_CORE) as running:
        rate = half_throughput(running)
        taken = measure_parked(running, ("lro_poller", "coroutines"), counts, rate, options, title="growth")
    _print(taken)
    targets = list(_targets(taken, counts))
    publish("growth", taken, targets, keep=not options.quick, server=running.kind, rate=f"{rate:.0f}/s")


def _print(taken: dict[str, list[Figures]]) -> None:
    rows = []
    for case, rounds in taken.items():
        name, pending = case.split()
        few = taken[next(one for one in taken if one.startswith(name))]
        cpu, growth = median(rounds, "cpu_us"), ratio(rounds, few, "cpu_us")
        rows.append((LABELS[name], f"{int(pending):,}", f"{cpu:.0f}", f"{growth:.2f}"))
    print_table("growth", ("waiting", "pending", "CPU µs a poll", "of the first"), rows)


def _targets(taken: dict[str, list[Figures]], counts: tuple[int, ...]) -> Iterator[Target]:
    many, few = taken.get(f"lro_poller {counts[-1]}"), taken.get(f"lro_poller {counts[0]}")
    growth = None if many is None or few is None else ratio(many, few, "cpu_us")
    yield Target(f"CPU a poll with {counts[-1]:,} pending against {counts[0]:,}", growth, "at most", 1.25)


if __name__ == "__main__":
    main()
