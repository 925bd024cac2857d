"""Polls a second and processor time a poll, of each client, as fast as it can poll.

`python -m benchmarks.throughput`: 64 polls in flight, plain and TLS, asyncio and uvloop;
for the poller, the plain loop and the limit also 1 and 8.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import server
from .contenders import CONTENDERS
from .harness import SERVER_CORE, Figures, in_turn, median, parse_options, ratio, run_child, run_pinned
from .report import Target, print_table, publish

__all__ = ["main"]

_FULL = 64  # in flight, where every contender is compared


@dataclass(frozen=True, slots=True)
class _Setting:
    in_flight: int
    loop: str
    tls: bool

    def __str__(self) -> str:
        return f"{self.in_flight} in flight, {'TLS' if self.tls else 'plain'}, {self.loop}"

    def contenders(self) -> list[str]:
        return [
            name
            for name, one in CONTENDERS.items()
            if one.available and (self.tls or not one.needs_tls) and (one.loads or self.in_flight == _FULL)
        ]


def main() -> None:
    """Runs it, prints the tables and keeps the figures."""
    options = parse_options("throughput", __doc__)
    figures: dict[str, dict[str, list[Figures]]] = {}
    with server.running(SERVER_CORE) as running:
        limit = _server_limit(running)
        for setting in _settings(quick=options.quick):
            rounds = options.rounds_or(4 if setting.in_flight == _FULL and setting.loop == "asyncio" else 1)
            measure = functools.partial(_measure, running, setting, 0.3 if options.quick else 0.8)
            figures[str(setting)] = in_turn(setting.contenders(), rounds, measure, title=str(setting))
            _print(str(setting), figures[str(setting)])
    targets = list(_targets(figures))
    publish("throughput", figures, targets, keep=not options.quick, server=running.kind, server_limit=limit)


def _settings(*, quick: bool) -> list[_Setting]:
    loops = ["asyncio", "uvloop"] if importlib.util.find_spec("uvloop") else ["asyncio"]
    loads = (_FULL,) if quick else (1, 8, _FULL)
    return [_Setting(load, loop, tls) for load in loads for loop in loops for tls in (False, True)]


def _measure(running: server.Server, setting: _Setting, seconds: float, contender: str) -> dict[str, Any]:
    origin = running.tls if setting.tls else running.plain
    return run_child("client", contender, origin, setting.in_flight, setting.loop, seconds, server=running)


def _server_limit(running: server.Server) -> str:
    """What wrk, a client in C, gets out of the server: nobody here may come near it."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return "not measured: wrk is not installed; the limit by hand is the bound"
    said = run_pinned([wrk, "-t1", f"-c{_FULL}", "-d1s", f"{running.plain}/v1beta/operations/1"])
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    return f"{float(found[1]):.0f}/s by wrk" if found else "not measured"


def _print(title: str, taken: dict[str, list[Figures]]) -> None:
    ours = taken.get("lro_poller")
    rows = [
        (
            CONTENDERS[name].label,
            f"{median(rounds, 'polls_per_second'):,.0f}",
            f"{median(rounds, 'cpu_us'):.0f}",
            "" if ours is None else f"{ratio(ours, rounds, 'polls_per_second'):.2f}",
        )
        for name, rounds in taken.items()
    ]
    print_table(title, ("client", "polls/s", "CPU µs a poll", "lro_poller is … times as fast"), rows)


def _targets(figures: dict[str, dict[str, list[Figures]]]) -> Iterator[Target]:
    plain, tls = figures[str(_Setting(_FULL, "asyncio", tls=False))], figures[str(_Setting(_FULL, "asyncio", tls=True))]
    compare = functools.partial(_compare, "polls_per_second")
    yield Target("throughput against the plain aiohttp loop", compare(plain, "lro_poller", "aiohttp"), "at least", 1.0)
    cpu = _compare("cpu_us", plain, "lro_poller", "aiohttp")
    yield Target("CPU a poll against the plain aiohttp loop's", cpu, "at most", 1.0)
    yield Target("against a coroutine an operation", compare(plain, "lro_poller", "coroutines"), "at least", 1.3)
    yield Target("against google-api-core, TLS", compare(tls, "lro_poller", "google"), "at least", 2.5)
    if "http2" in tls:
        yield Target("HTTP/2 against google-api-core, TLS", compare(tls, "http2", "google"), "at least", 5)
        yield Target("HTTP/2 against the plain aiohttp loop, TLS", compare(tls, "http2", "aiohttp"), "at least", 2)
    if "batch" in plain:
        yield Target("batches against the plain aiohttp loop", compare(plain, "batch", "aiohttp"), "at least", 10)


def _compare(figure: str, taken: dict[str, list[Figures]], one: str, other: str) -> float | None:
    return ratio(taken[one], taken[other], figure) if one in taken and other in taken else None


if __name__ == "__main__":
    main()
