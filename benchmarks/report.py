"""What a benchmark prints and keeps: a table, the targets beside it, and the machine.

Figures are kept as JSON in `benchmarks/results`, out of which `plots` draws. Decides
nothing about what is measured.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["PLOTS", "RESULTS", "Target", "print_table", "publish"]

RESULTS = Path(__file__).parent / "results"
PLOTS = Path(__file__).parent.parent / "docs" / "plots"

_PACKAGES = (
    "aiohttp", "backoff", "google-api-core", "google-auth", "httpx", "lro-poller", "msgspec", "uvloop", "yarl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that the project set itself. One that is missed stays in the table as it is.

    Attributes:
        value: What was measured; None when one side of the comparison could not be.
    """

    what: str
    value: float | None
    sense: Literal["at least", "at most"]
    bound: float

    @property
    def reached(self) -> bool:
        if self.value is None or math.isnan(self.value):
            return False
        return self.value >= self.bound if self.sense == "at least" else self.value <= self.bound

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.4g}"
        verdict = "reached" if self.reached else "NOT reached"
        return f"{self.what}: {value}, {self.sense} {self.bound:g}: {verdict}"


def publish(name: str, figures: Any, targets: Sequence[Target], *, keep: bool, **facts: str) -> None:
    """Prints the targets and the machine; keeps everything as JSON where `keep` says so."""
    machine = describe_machine() | facts
    print()
    for target in targets:
        print(target)
    print(f"\n{', '.join(f'{what} {value}' for what, value in machine.items())}")
    if keep:
        kept = {
            "command": f"nox -s bench -- {name}",
            "machine": machine,
            "targets": [asdict(target) | {"reached": target.reached} for target in targets],
            "figures": figures,
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(_rounded(kept), indent=1) + "\n")


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of text, its first column to the left, the others to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]).rstrip())


def describe_machine() -> dict[str, str]:
    """The interpreter, the processor and the versions, and how busy the machine was."""
    versions = {package: version for package in _PACKAGES if (version := _version(package)) is not None}
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
    } | versions


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _rounded(value: Any) -> Any:
    """Five digits are more than any of these figures has."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {key: _rounded(one) for key, one in value.items()}
        case list():
            return [_rounded(one) for one in value]
    return value
