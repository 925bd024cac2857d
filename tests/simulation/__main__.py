"""The long run, and the repetition of one that failed: `python -m tests.simulation --help`."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter

from .fleet import run
from .http2 import Http2Line
from .world import Line

_LINES: dict[str, type[Line | Http2Line]] = {"plain": Line, "http2": Http2Line}


def main() -> int:
    """Simulates fleets until there were enough operations; exits 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first fleet (default: 0)")
    parser.add_argument("--operations", type=int, default=1000, help="in all (default: 1000)")
    parser.add_argument("--fleet", type=int, default=None, help="operations of one fleet (default: all, at most 10000)")
    parser.add_argument("--line", choices=_LINES, default="plain", help="what polls are sent through (default: plain)")
    options = parser.parse_args()
    fleet = min(options.fleet or 10_000, options.operations)
    counts: Counter[str] = Counter()
    wrongs, began = 0, time.perf_counter()
    for number in range(-(-options.operations // fleet)):
        seed = options.seed + number
        repeat = f"to repeat it: python -m tests.simulation --seed {seed} --operations {fleet} --line {options.line}"
        try:
            report = run(seed, fleet, _LINES[options.line])
        except BaseException:
            print(repeat)
            raise
        counts += report.counts
        counts["operations"] += fleet
        wrongs += len(report.wrongs)
        for wrong in report.wrongs:
            print(f"seed {seed}: {wrong}")
        if report.wrongs:
            print(repeat)
        elapsed = time.perf_counter() - began
        print(f"{counts['operations']} operations, {counts['polls']} polls, {elapsed:.0f} s", file=sys.stderr)
    for what, count in sorted(counts.items()):
        print(f"{what:40}{count:12}")
    print(f"{'promises broken (lost, doubled, overshot, leaked, over the cap or rate)':40}{wrongs:4}")
    print(f"{'peak memory, MiB':40}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:12.0f}")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
