"""This library, measured: its real poller, over a server and a clock that are not real.

The poller is as a user has it who says nothing: at the service's own origin, with its
known quota and the default cadence. Every operation is handed in as it was just created,
running, when it starts.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

from google.auth.credentials import AnonymousCredentials

from lro_poller import OperationFuture, OperationPoller
from lro_poller.transports import Transport
from lro_poller.wire import Reply
from tests.simulation.clock import SimulatedLoop

from .server import Latency, Quota
from .simulate import Run
from .workloads import Operation

__all__ = ["ours", "run_alone", "run_crowd"]

_PATH = "/v1beta/"
_TOO_MANY = Reply(429, {}, b'{"error": {"code": 429, "message": "too many", "status": "RESOURCE_EXHAUSTED"}}')


def ours(transport: Transport, seed: str) -> OperationPoller:
    """The poller that is measured: what its constructor is given stands here and nowhere else."""
    jitter = random.Random(f"jitter {seed}").random
    return OperationPoller(credentials=AnonymousCredentials(), transport=transport, random=jitter)


def run_alone(kind: str, warm_up: Sequence[float], durations: Sequence[float], seed: str) -> Run:
    """One operation after another, each started when the last is known to have ended. `warm_up` does not count."""

    async def live(fleet: _Fleet) -> None:
        for duration in [*warm_up, *durations]:
            await fleet.start(duration)

    return _run(kind, None, seed, live).after(len(warm_up))


def run_crowd(kind: str, operations: Sequence[Operation], quota: Quota, seed: str) -> Run:
    """Operations that start when they do, in that order, at a server that keeps a quota."""

    async def live(fleet: _Fleet) -> None:
        for operation in operations:
            await asyncio.sleep(operation.start - fleet.now())
            fleet.start(operation.duration)

    return _run(kind, quota, seed, live)


class _Server:
    """The transport: answers for every operation that was started. Times are seconds since it was made."""

    library = "rest/simulated"

    def __init__(self, quota: Quota | None, seed: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._quota = quota
        self._latency = Latency(f"ours {seed}").draw
        self.ends: dict[str, float] = {}
        self.polls: dict[str, int] = {}
        self.refused: list[float] = []

    def now(self) -> float:
        return self._loop.time() - self._began

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """One poll."""
        name = path.removeprefix(_PATH)
        self.polls[name] += 1
        await asyncio.sleep(self._latency())
        now = self.now()
        if self._quota is not None and not self._quota.admit(now):
            self.refused.append(now)
            return _TOO_MANY
        ended = ', "done": true, "response": {}' if now >= self.ends[name] else ""
        return Reply(200, {}, f'{{"name": "{name}"{ended}}}'.encode())

    async def aclose(self) -> None:
        """There is no connection."""


class _Fleet:
    """Operations of one kind, and what became of them."""

    def __init__(self, kind: str, poller: OperationPoller, server: _Server) -> None:
        self._metadata = {"@type": f"type.googleapis.com/benchmark.{kind}"}
        self._poller = poller
        self._server = server
        self._names = (f"operations/{number}" for number in itertools.count())
        self._known: dict[str, float] = {}
        self.now = server.now

    def start(self, duration: float) -> OperationFuture[Any]:
        """Starts an operation, and begins to wait for it."""
        name = next(self._names)
        self._server.ends[name] = self.now() + duration
        self._server.polls[name] = 0
        future = self._poller.submit({"name": name, "metadata": self._metadata})
        future.add_done_callback(lambda future: self._note(name, future))
        return future

    def result(self) -> Run:
        """Raises KeyError when an operation was lost."""
        ends, server = self._server.ends, self._server
        return Run([self._known[name] - end for name, end in ends.items()], [*server.polls.values()], server.refused)

    def _note(self, name: str, future: OperationFuture[Any]) -> None:
        future.result()
        self._known[name] = self.now()


_Life: TypeAlias = Callable[[_Fleet], Coroutine[Any, Any, None]]


def _run(kind: str, quota: Quota | None, seed: str, live: _Life) -> Run:
    logger, loop = logging.getLogger("lro_poller"), SimulatedLoop()
    level = logger.level
    logger.setLevel(logging.ERROR)  # 429s are counted, not told one by one
    try:
        run = loop.run_until_complete(_poll_all(kind, quota, seed, live))
    finally:
        logger.setLevel(level)
        loop.close()
    if loop.unhandled:
        raise RuntimeError(f"the poller left something unhandled: {loop.unhandled[0]}")
    return run


async def _poll_all(kind: str, quota: Quota | None, seed: str, live: _Life) -> Run:
    server = _Server(quota, seed)
    async with ours(server, seed) as poller:
        fleet = _Fleet(kind, poller, server)
        await live(fleet)
        await poller.drain()
    return fleet.result()
