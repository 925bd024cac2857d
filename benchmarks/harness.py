"""Runs what is compared in turn, each time in a new process on a core of its own.

Decides the order (A B C A B C, so that a machine that slows down slows all of them down)
and the cores: the first for the clients, the last for the server.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .server import Server

__all__ = [
    "CLIENT_CORE",
    "SERVER_CORE",
    "Figures",
    "Options",
    "in_turn",
    "median",
    "parse_options",
    "ratio",
    "run_child",
    "run_pinned",
]

Figures: TypeAlias = dict[str, float]

_TIMEOUT = 300.0  # seconds for one process: a client that hangs must not hold up the rest

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_CORE = _CORES[0] if _CORES else None
SERVER_CORE = _CORES[-1] if _CORES else None
"""None where a system cannot pin processes; the same as the client's on a machine with one core."""


def run_child(module: str, *arguments: object, server: Server | None = None) -> dict[str, Any]:
    """Runs `python -m benchmarks.MODULE` pinned to the clients' core; returns the JSON of its last line.

    Raises:
        RuntimeError: it failed; the message ends with its last line on standard error.
    """
    # Every client finds the server's authority in this way, google-api-core's included.
    environment = os.environ if server is None else {**os.environ, "SSL_CERT_FILE": str(server.authority)}
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = run_pinned(command, environment)
    read: dict[str, Any] = json.loads(done.splitlines()[-1])
    return read


def run_pinned(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Runs a command on the clients' core; returns its standard output.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    process = subprocess.Popen(
        command, env=environment, cwd=_root(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if CLIENT_CORE is not None:
        os.sched_setaffinity(process.pid, {CLIENT_CORE})
    try:
        out, err = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(command)} took more than {_TIMEOUT:.0f} s") from None
    finally:
        process.kill()
    if process.returncode:
        why = err.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{' '.join(command)} failed: {why[-1]}")
    return out


def in_turn(
    cases: Iterable[str], rounds: int, run: Callable[[str], dict[str, Any]], *, title: str
) -> dict[str, list[Figures]]:
    """Every case once, then every case again, `rounds` times. A case that fails is said so and left out."""
    taken: dict[str, list[Figures]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in list(taken):
            _show(f"{title}: round {number + 1} of {rounds}, {case}")
            try:
                taken[case].append(run(case))
            except RuntimeError as error:
                del taken[case]
                _show("")
                print(f"{title}: {case} is left out: {error}", file=sys.stderr)
    _show("")
    return taken


def _show(progress: str) -> None:
    """One line that is written over, for who watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{progress}", end="", file=sys.stderr, flush=True)


def median(rounds: list[Figures], figure: str) -> float:
    return statistics.median(one[figure] for one in rounds)


def ratio(one: list[Figures], other: list[Figures], figure: str) -> float:
    """The median of the rounds' ratios: what slowed a whole round down cancels out."""
    return statistics.median(a[figure] / b[figure] for a, b in zip(one, other, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark was asked for.

    Attributes:
        quick: Whether to find out only that it works; its figures mean little and are not kept.
        rounds: How often everything is measured; None for as often as the time for all benchmarks allows.
    """

    quick: bool
    rounds: int | None

    def rounds_or(self, default: int) -> int:
        return 1 if self.quick else self.rounds or default


def parse_options(name: str, description: str | None, arguments: list[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works; nothing is kept")
    parser.add_argument("--rounds", type=int, help="how often to measure everything")
    given = parser.parse_args(arguments)
    return Options(given.quick, given.rounds)


def _root() -> Path:
    return Path(__file__).resolve().parent.parent
