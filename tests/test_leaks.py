"""Nothing that a wait held is left once it is over: records of operations are none of the garbage collector's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable, Generator
from typing import Any

import pytest

from lro_poller import OperationFuture, OperationPoller, PollError, PollTimeout
from lro_poller.wire import Fault, NoReply, Reply

from .scripted import Scripted, done, open_scripted, running


class Held:
    """Something of the caller's."""


def unreachable() -> Reply:
    raise OSError("no route")


def failing(name: str, attempt: int) -> Reply:
    """Fails with a cause whose traceback leads through the frames that sent the request."""
    if attempt == 1:
        return running()
    try:
        return unreachable()
    except OSError as error:
        raise NoReply(Fault.UNREACHABLE, "no connection") from error


def refused(name: str, attempt: int) -> Reply:
    if attempt == 1:
        return running()
    raise RuntimeError("a bug in a transport")


async def close(poller: OperationPoller, future: OperationFuture[Any]) -> None:
    await asyncio.sleep(3)
    await poller.__aexit__(None, None, None)


async def cancel(poller: OperationPoller, future: OperationFuture[Any]) -> None:
    await asyncio.sleep(3)
    future.cancel()


async def wait(poller: OperationPoller, future: OperationFuture[Any]) -> None:
    """As callers do: the error's traceback leads through a frame that holds the future."""
    with contextlib.suppress(PollError, PollTimeout):
        await future


@pytest.mark.behaviour("B21", "B24")
@pytest.mark.parametrize("by_generator", [True, False])
@pytest.mark.parametrize(
    "answer, end",
    [
        (lambda name, attempt: running() if attempt < 3 else done(), wait),
        (refused, wait),
        (failing, wait),
        (failing, close),
        (failing, cancel),
    ],
    ids=["succeeds", "is refused", "runs out of time", "is closed", "is cancelled"],
)
async def test_a_wait_that_is_over_holds_nothing(
    answer: Callable[[str, int], Reply],
    end: Callable[[OperationPoller, OperationFuture[Any]], Any],
    by_generator: bool,
) -> None:
    async def run(poller: OperationPoller) -> tuple[weakref.ref[Held], weakref.ref[OperationFuture[Any]]]:
        held, futures = Held(), list[Any]()

        def waits() -> Generator[float, Any, None]:
            yield 0.0
            while held and futures:
                yield 1.0

        def progress(operation: Any) -> None:
            assert held
            assert futures

        options: dict[str, Any] = {"backoff": waits} if by_generator else {"progress": progress}
        futures.append(poller.submit("operations/a", deadline=20, **options))
        await end(poller, futures[0])
        return weakref.ref(held), weakref.ref(futures[0])

    async with open_scripted(Scripted(answer)) as poller:
        references = await run(poller)
        await asyncio.sleep(100)  # whatever still has the operation in a queue comes past it
    del poller
    gc.collect()
    assert [reference() for reference in references] == [None, None]
