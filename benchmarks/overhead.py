"""What this library adds to a poll: scheduling, deadlines, checks and decoding, without a wire.

`python -m benchmarks.overhead`: against a transport that answers at once, beside 32 tasks
that only ask it and read the operation.
"""

from __future__ import annotations

from collections.abc import Iterator

from .harness import Figures, in_turn, median, parse_options, run_child
from .report import Target, print_table, publish

__all__ = ["main"]

_LABELS = {
    "bare 100": "ask, and read the operation",
    "generator 100": "lro_poller, 100 pending, all due at once",
    "generator 100000": "the same, 100,000 pending",
    "learned 100000": "by what it has learned, 100,000 pending, more due than can be",
}


def main() -> None:
    """Runs it, prints the table and keeps the figures."""
    options = parse_options("overhead", __doc__)
    seconds = 0.5 if options.quick else 1.5
    taken = in_turn(
        _LABELS, options.rounds_or(2), lambda case: run_child("instant", *case.split(), seconds), title="overhead"
    )
    bare = median(taken["bare 100"], "cpu_us")
    rows = [
        (label, f"{median(taken[case], 'cpu_us'):.1f}", f"{median(taken[case], 'cpu_us') - bare:.1f}")
        for case, label in _LABELS.items()
        if case in taken
    ]
    print_table("overhead", ("who polls", "CPU µs a poll", "more than to ask"), rows)
    publish("overhead", taken, list(_targets(taken, bare)), keep=not options.quick)


def _targets(taken: dict[str, list[Figures]], bare: float) -> Iterator[Target]:
    for case, how in (("generator 100", "by a caller's own waits"), ("learned 100000", "by what it has learned")):
        if case in taken:
            added = median(taken[case], "cpu_us") - bare
            yield Target(f"µs that scheduling, deadlines and checks add to a poll, {how}", added, "at most", 20)


if __name__ == "__main__":
    main()
