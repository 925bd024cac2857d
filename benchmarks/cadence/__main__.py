"""`python -m benchmarks.cadence`: prints the table, keeps the figures as JSON and draws them.

A run of all workloads is kept in `benchmarks/results` and `docs/plots`; one of some of them only
where `--out` says.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..report import PLOTS, RESULTS
from .report import table, to_json
from .run import Result, run_workload
from .workloads import CROWDS, WORKLOADS

_NAMES = [workload.name for workload in WORKLOADS]


def main() -> None:
    options = _parser().parse_args()
    began, results = time.perf_counter(), list[Result]()
    for workload in WORKLOADS:
        if workload.name in options.workload:
            measured = run_workload(workload, options.seed)
            print(table(measured), flush=True)
            results += measured
    whole = options.workload == _NAMES
    if options.out is not None or whole:
        _write(options.out or RESULTS, options.out or PLOTS, results, options.seed)
    print(f"seed {options.seed}, {time.perf_counter() - began:.0f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cadence", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of every draw (default: 0)")
    parser.add_argument("--workload", nargs="+", choices=_NAMES, default=_NAMES, metavar="NAME", help=", ".join(_NAMES))
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the figures and the plots go")
    return parser


def _write(results_in: Path, plots_in: Path, results: list[Result], seed: int) -> None:
    from .plot import plot_alone, plot_crowd  # matplotlib takes a second to load

    for folder in (results_in, plots_in):
        folder.mkdir(parents=True, exist_ok=True)
    (results_in / "cadence.json").write_text(to_json(results, seed))
    plot_alone(results, plots_in / "cadence-alone.svg")
    for crowd in CROWDS:
        plot_crowd(results, crowd.name, plots_in / f"cadence-{crowd.count}.svg")


if __name__ == "__main__":
    main()
