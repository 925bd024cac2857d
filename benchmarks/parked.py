"""Many operations that are polled now and then: how late polls start, and what each costs.

Every operation is polled once a period, at a time of its own, however long the last poll took; the period is such
that together they make `RATE` polls a second. `python -m benchmarks.parked CONTENDER ORIGIN
PENDING RATE SECONDS` prints the figures as JSON. A poll is late by the time from when it
was due to when its request was handed to the transport.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from .client import cpu_seconds, level_allocator
from .contenders import HEADERS
from .scene import BODY, TOKEN

__all__ = ["PARKED"]

_SETTLE = 0.5  # seconds from the first poll to the measured time
_SAMPLE = 200  # operations submitted to find out how long all of them will take
_MARGIN = 1.3  # what that estimate is multiplied with


class _Log:
    """When polls are due, and how late they start."""

    def __init__(self, pending: int, rate: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.period = pending / rate
        self.starts = self.loop.time()
        self.dice = random.Random(0)
        self.late: list[float] = []
        self.due: dict[str, float] = {}

    def first(self) -> float:
        """When an operation is to be polled first: somewhere in the first period."""
        return self.starts + self.dice.random() * self.period

    def started(self, due: float) -> None:
        self.late.append(self.loop.time() - due)


@contextlib.asynccontextmanager
async def open_poller(log: _Log, origin: str) -> AsyncIterator[Callable[[str], object]]:
    """The poller, told each wait; it adds no jitter here.

    What tells it is out of the garbage collector's sight, as a generator could not be: without a caller's
    `backoff` there is no object of the harness's for each operation.
    """
    import msgspec
    from google.oauth2.credentials import Credentials

    from lro_poller import Operation, OperationPoller
    from lro_poller.transports.aiohttp import AiohttpTransport
    from lro_poller.wire import MAX_BODY, Reply

    class Timed(AiohttpTransport):
        async def send(
            self,
            method: str,
            path: str,
            headers: Mapping[str, str],
            body: bytes | None = None,
            *,
            limit: int = MAX_BODY,
        ) -> Reply:
            log.started(log.due.pop(path))
            return await super().send(method, path, headers, body, limit=limit)

    class Waits(msgspec.Struct, gc=False):
        """In place of a wait generator of `backoff`'s kind."""

        path: str = ""
        due: float = 0.0

        def __next__(self) -> None:
            """Is told no operation yet."""

        def send(self, operation: Operation) -> float:
            now = log.loop.time()
            self.due = self.due + log.period if self.path else log.first()
            self.path = f"/v1beta/{operation.name}"
            log.due[self.path] = self.due
            return max(self.due - now, 0.0)

    reading = json.loads(BODY)
    async with OperationPoller(
        endpoint=origin,
        credentials=Credentials(TOKEN),
        transport=Timed(origin),
        backoff=cast(Any, Waits),
        deadline=3600,
        max_in_flight=64,
        random=lambda: 0.5,
    ) as poller:
        yield lambda name: poller.submit({**reading, "name": name})


@contextlib.asynccontextmanager
async def open_coroutines(log: _Log, origin: str) -> AsyncIterator[Callable[[str], object]]:
    """A coroutine for each operation, asleep between its polls."""
    import aiohttp

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def wait(name: str) -> None:
            due = log.first()
            while True:
                await asyncio.sleep(due - log.loop.time())
                log.started(due)
                async with session.get(f"{origin}/v1beta/{name}") as response:
                    assert not json.loads(await response.read())["done"]
                due += log.period

        tasks: list[asyncio.Task[None]] = []
        yield lambda name: tasks.append(log.loop.create_task(wait(name)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_timers(log: _Log, origin: str) -> AsyncIterator[Callable[[str], object]]:
    """No poll at all: one `loop.call_at` after another in a loop that has nothing else to do."""
    open_ = True

    def ring(due: float) -> None:
        log.started(due)
        if open_:
            following = due + log.period
            log.loop.call_at(following, ring, following)

    def submit(name: str) -> None:
        due = log.first()
        log.loop.call_at(due, ring, due)

    yield submit
    open_ = False


PARKED = {"lro_poller": open_poller, "coroutines": open_coroutines, "timers": open_timers}
"""Who is compared."""


async def _measure(contender: str, origin: str, pending: int, rate: float, seconds: float) -> dict[str, float]:
    log = _Log(pending, rate)
    async with PARKED[contender](log, origin) as submit:
        await _submit_all(log, submit, pending)
        log.late.clear()
        cpu, began = cpu_seconds(), time.perf_counter()
        await asyncio.sleep(seconds)
        cpu, took = cpu_seconds() - cpu, time.perf_counter() - began
        late, log.late = log.late, []
    return _figures(late, cpu, took)


async def _submit_all(log: _Log, submit: Callable[[str], object], pending: int) -> None:
    """Submits all before the first poll is due; returns when polls are made as fast as they fall due."""
    began = log.loop.time()
    log.starts = began + 1800  # the sample is parked and never polled
    for number in range(_SAMPLE):
        submit(f"operations/sample-{number}")
    await asyncio.sleep(0)
    each = (log.loop.time() - began) / _SAMPLE
    log.starts = log.loop.time() + each * pending * _MARGIN + _SETTLE
    for number in range(pending):
        submit(f"operations/{number}")
    await asyncio.sleep(0)
    overrun = max(log.loop.time() - log.starts, 0.0)  # at half load a backlog takes as long to work off as to gather
    await asyncio.sleep(max(log.starts - log.loop.time(), overrun) + _SETTLE)


def _figures(late: list[float], cpu: float, took: float) -> dict[str, float]:
    if len(late) < 100:
        raise RuntimeError(f"only {len(late)} polls were made in {took:.1f} s")
    late.sort()
    return {
        "polls_per_second": len(late) / took,
        "cpu_us": cpu / len(late) * 1e6,
        "p50_ms": statistics.median(late) * 1e3,
        "p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "max_ms": late[-1] * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parked", description=__doc__)
    parser.add_argument("contender", choices=PARKED)
    parser.add_argument("origin")
    parser.add_argument("pending", type=int)
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    level_allocator()
    print(json.dumps(asyncio.run(_measure(given.contender, given.origin, given.pending, given.rate, given.seconds))))


if __name__ == "__main__":
    main()
