"""Clients that wait for many operations, and what each one that waits costs.

Nothing is sent: an operation has been seen running, and its next poll lies an hour ahead.
`python -m benchmarks.waiting CONTENDER COUNT [--trace]` prints the costs as JSON; with
`--trace`, the bytes are counted by tracemalloc, which makes everything else slower. Times are
of the processor, so that what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import resource
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

from .scene import BODY, TOKEN

__all__ = ["WAITERS"]

Submit: TypeAlias = Callable[[str], object]

_HOUR = 3600.0


@contextlib.asynccontextmanager
async def open_named() -> AsyncIterator[Submit]:
    """The poller, given names, before the first poll."""
    async with _poller() as poller:
        yield poller.submit


@contextlib.asynccontextmanager
async def open_seen() -> AsyncIterator[Submit]:
    """The poller, and each operation as read from a server: it keeps the last reading."""
    reading = json.loads(BODY)
    async with _poller() as poller:
        yield lambda name: poller.submit({**reading, "name": name})


def _poller() -> Any:
    from google.oauth2.credentials import Credentials

    from lro_poller import OperationPoller

    return OperationPoller(
        endpoint="http://127.0.0.1:9",
        credentials=Credentials(TOKEN),
        deadline=_HOUR,
    )


@contextlib.asynccontextmanager
async def open_google() -> AsyncIterator[Submit]:
    """google-api-core's future, awaited in a task, as it must be to be polled."""
    from google.api_core import operation_async, retry_async
    from google.api_core.future.async_future import _OperationNotComplete
    from google.longrunning import operations_pb2
    from google.protobuf import duration_pb2, json_format

    hourly = retry_async.AsyncRetry(
        predicate=retry_async.if_exception_type(_OperationNotComplete), initial=_HOUR, maximum=_HOUR, timeout=_HOUR * 9
    )

    async def refresh(name: str, retry: object) -> Any:
        operation = operations_pb2.Operation()
        json_format.Parse(BODY, operation)
        return operation

    def wait(name: str) -> Coroutine[Any, Any, Any]:
        future = operation_async.AsyncOperation(
            operations_pb2.Operation(name=name),
            functools.partial(refresh, name),
            None,
            duration_pb2.Duration,
            retry=hourly,
        )
        return future.result()

    async with _tasks(wait) as submit:
        yield submit


@contextlib.asynccontextmanager
async def open_backoff() -> AsyncIterator[Submit]:
    """What users write: a decorated coroutine for each operation."""
    import backoff

    @backoff.on_predicate(backoff.constant, lambda operation: not operation["done"], interval=_HOUR, jitter=None)
    async def wait(name: str) -> Any:
        return json.loads(BODY)

    async with _tasks(wait) as submit:
        yield submit


@contextlib.asynccontextmanager
async def open_bare() -> AsyncIterator[Submit]:
    """The least that a coroutine for each operation can be: asleep."""

    async def wait(name: str) -> None:
        await asyncio.sleep(_HOUR)

    async with _tasks(wait) as submit:
        yield submit


@contextlib.asynccontextmanager
async def _tasks(wait: Callable[[str], Coroutine[Any, Any, Any]]) -> AsyncIterator[Submit]:
    tasks: list[asyncio.Task[Any]] = []
    yield lambda name: tasks.append(asyncio.get_running_loop().create_task(wait(name)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


WAITERS: dict[str, tuple[str, Callable[[], AbstractAsyncContextManager[Submit]]]] = {
    "named": ("lro_poller, by name", open_named),
    "seen": ("lro_poller, seen running", open_seen),
    "google": ("google-api-core AsyncOperation", open_google),
    "backoff": ("backoff.on_predicate coroutine", open_backoff),
    "bare": ("bare coroutine, asleep", open_bare),
}


async def _measure(waiter: str, count: int, *, trace: bool) -> dict[str, float]:
    async with contextlib.AsyncExitStack() as stack:
        submit = await stack.enter_async_context(WAITERS[waiter][1]())
        submit("operations/first")  # what is imported, made or cached once is not counted
        await asyncio.sleep(0)
        if trace:
            tracemalloc.start()
        before, began = _bytes(trace=trace), time.process_time()
        for number in range(count):
            submit(f"operations/{number}")
        if waiter != "named":  # that one would begin to poll; the others come to rest only now
            await asyncio.sleep(0)
        submitted = time.process_time()
        used = _bytes(trace=trace) - before
        closing = time.process_time()
        await stack.aclose()
        closed = time.process_time()
    return {
        "bytes": used / count,
        "submit_us": (submitted - began) / count * 1e6,
        "close_us": (closed - closing) / count * 1e6,
    }


def _bytes(*, trace: bool) -> int:
    gc.collect()
    if trace:
        return tracemalloc.get_traced_memory()[0]
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("waiter", choices=WAITERS)
    parser.add_argument("count", type=int)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_measure(options.waiter, options.count, trace=options.trace))))


if __name__ == "__main__":
    main()
