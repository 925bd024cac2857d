"""The long session: `python -m tests.fuzz --inputs 1000000 --seed 1`; `--file PATH` repeats one input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .answers import Answer
from .checks import check
from .session import fuzz


def main() -> int:
    """Runs it; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", type=Path, help="check this input and no other")
    options = parser.parse_args()
    if options.file is not None:
        print(check(Answer.parse(options.file.read_bytes())))
        return 0
    report = fuzz(options.inputs, options.seed, Path())
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
