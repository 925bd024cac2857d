"""The load that parked operations are measured under: half of what the poller can do.

Decides the rate, on this machine at this hour, and who is measured with how many pending.
"""

from __future__ import annotations

from collections.abc import Iterable

from .harness import Figures, Options, in_turn, run_child
from .server import Server

__all__ = ["LABELS", "half_throughput", "measure_parked"]

LABELS = {"lro_poller": "lro_poller", "coroutines": "a coroutine an operation", "timers": "loop.call_at, idle"}

_MOST = {"coroutines": 10**5, "timers": 10**3}
"""A million coroutines take gigabytes; more idle timers at the same rate are no later."""


def half_throughput(running: Server) -> float:
    """Half of what the poller manages with 64 polls in flight, without TLS, on asyncio's loop."""
    rates = [run_child("client", "lro_poller", running.plain, 64, "asyncio", 0.5, server=running) for _ in range(3)]
    return sorted(float(rate["polls_per_second"]) for rate in rates)[1] / 2


def measure_parked(
    running: Server,
    names: Iterable[str],
    counts: Iterable[int],
    rate: float,
    options: Options,
    *,
    title: str,
    seconds: float = 2.0,
    rounds: int = 2,
) -> dict[str, list[Figures]]:
    """The figures of every name with every count pending, over `seconds`, under `"NAME COUNT"`."""
    seconds = 1.0 if options.quick else seconds

    def measure(case: str) -> Figures:
        contender, pending = case.split()
        return run_child("parked", contender, running.plain, pending, rate, seconds, server=running)

    cases = [f"{name} {count}" for count in counts for name in names if count <= _MOST.get(name, count)]
    return in_turn(cases, options.rounds_or(rounds), measure, title=title)
