"""Many inputs in a row: what came of them, and how a failing one is kept and repeated."""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .answers import CORPUS, Answer, draw
from .checks import check

__all__ = ["Report", "fuzz"]


@dataclass
class Report:
    """What a session saw.

    Attributes:
        verdicts: How many inputs met which end.
        failures: What broke a rule, with the command that repeats it.
        seconds: How long it took.
        grown: By how many bytes the peak of the process's memory rose.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    grown: int = 0

    def __str__(self) -> str:
        total = sum(self.verdicts.values())
        lines = [f"{kind:14}{count:>10,}" for kind, count in self.verdicts.most_common()]
        rate = total / self.seconds if self.seconds else 0.0
        lines.append(f"{total:,} inputs in {self.seconds:.1f} s ({rate:,.0f}/s), peak memory +{self.grown >> 10:,} KiB")
        return "\n".join([*lines, *self.failures, f"{len(self.failures)} failures"])


def fuzz(inputs: int, seed: int, found: Path, *, give_up: int = 10) -> Report:
    """Checks the corpus as it is, then `inputs` that are drawn; stops after `give_up` failures.

    Args:
        inputs: How many are drawn.
        seed: What they are drawn from.
        found: The directory in which failing inputs are kept.
    """
    report = Report()
    began, before = time.perf_counter(), _peak()
    for label, answer in _all(inputs, seed):
        try:
            report.verdicts[check(answer)] += 1
        except Exception:  # whatever it is, it is a finding
            report.verdicts["FAILED"] += 1
            report.failures.append(_keep(label, answer, found))
            if len(report.failures) >= give_up:
                break
    report.seconds, report.grown = time.perf_counter() - began, _peak() - before
    return report


def _all(inputs: int, seed: int) -> Iterable[tuple[str, Answer]]:
    yield from CORPUS.items()
    for index in range(inputs):
        yield f"{seed}-{index}", draw(seed, index)


def _keep(label: str, answer: Answer, found: Path) -> str:
    """Saves an input that failed; says why, and how to repeat it."""
    path = found / f"fuzz-{label}.http"
    path.write_bytes(answer.write())
    return f"{traceback.format_exc()}repeat: python -m tests.fuzz --file {path}"


def _peak() -> int:
    """Bytes of memory that this process has had at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
