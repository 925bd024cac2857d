"""What the library itself costs a poll: a transport that answers at once, and nothing on the wire.

`python -m benchmarks.instant CASE PENDING SECONDS` prints the processor time of a poll as
JSON. No operation ends. 32 polls are under way at once, and with PENDING large enough more are
due than can be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from lro_poller import WORKSPACE_EVENTS, History, Operation, OperationPoller
from lro_poller.wire import Reply

from .client import cpu_seconds
from .scene import BODY, TOKEN

__all__ = ["CASES"]

_IN_FLIGHT = 32
_SETTLE = 2.5  # seconds: then all have been due, and a hundred thousand stand in line
_KIND = "instant"


class _Instant:
    """Answers every poll with the same running operation, after one turn of the loop."""

    library = "rest/instant"

    def __init__(self) -> None:
        self.polls = 0

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        self.polls += 1
        await asyncio.sleep(0)
        name = path.removeprefix("/v1beta/").encode()
        return Reply(200, {}, BODY.replace(b"operations/pending", name))

    async def aclose(self) -> None:
        """There is no connection."""


Open: TypeAlias = Callable[[_Instant, int], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def open_bare(transport: _Instant, pending: int) -> AsyncIterator[None]:
    """As many tasks as there are polls under way: ask, read the operation, ask for the next."""
    names = iter(functools.partial(random.Random(0).randrange, pending), None)

    async def repeat() -> None:
        for number in names:
            name = f"operations/{number}"
            reply = await transport.send("GET", f"/v1beta/{name}", {"Authorization": f"Bearer {TOKEN}"})
            assert not Operation.from_json(name, reply.body).done

    tasks = [asyncio.create_task(repeat()) for _ in range(_IN_FLIGHT)]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def open_generator(transport: _Instant, pending: int) -> AsyncIterator[None]:
    """The poller, told by a generator to poll again at once: all its checks, and no forecast."""
    import backoff

    async with _poller(transport, backoff=functools.partial(backoff.constant, interval=0)) as poller:
        for number in range(pending):
            poller.submit(f"operations/{number}")
        yield


@contextlib.asynccontextmanager
async def open_learned(transport: _Instant, pending: int) -> AsyncIterator[None]:
    """The poller by what it has learned of operations that take some seconds: who is next is a question of worth."""
    history, dice = History(), random.Random(0)
    for _ in range(200):
        history.add(WORKSPACE_EVENTS, _KIND, dice.lognormvariate(1, 0.5))
    reading = json.loads(BODY)
    async with _poller(transport, history=history) as poller:
        for number in range(pending):
            poller.submit({**reading, "name": f"operations/{number}"}, kind=_KIND)
        yield


def _poller(transport: _Instant, **options: Any) -> OperationPoller:
    from google.oauth2.credentials import Credentials

    return OperationPoller(
        endpoint="http://127.0.0.1:1",
        credentials=Credentials(TOKEN),
        transport=transport,
        deadline=3600,
        max_in_flight=_IN_FLIGHT,
        **options,
    )


CASES: dict[str, Open] = {"bare": open_bare, "generator": open_generator, "learned": open_learned}


async def _measure(case: str, pending: int, seconds: float) -> dict[str, float]:
    transport = _Instant()
    async with CASES[case](transport, pending):
        await asyncio.sleep(_SETTLE)
        polls, cpu = transport.polls, cpu_seconds()
        await asyncio.sleep(seconds)
        polls, cpu = transport.polls - polls, cpu_seconds() - cpu
    return {"cpu_us": cpu / polls * 1e6, "polls": polls}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instant", description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("pending", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(_measure(given.case, given.pending, given.seconds))))


if __name__ == "__main__":
    main()
