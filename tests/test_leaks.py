"""Nothing that a wait held is left once it is over: records of operations are none of the garbage collector's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import json
import weakref
from collections.abc import Callable, Generator
from typing import Any

import backoff
import pytest

from lro_poller import (
    WORKSPACE_EVENTS,
    BackoffError,
    DecodeError,
    OperationFuture,
    OperationPoller,
    PollError,
    PollTimeout,
)
from lro_poller.decoding import Decoder
from lro_poller.engine.cadence import BackoffWaits
from lro_poller.engine.tracker import Tracker
from lro_poller.wire import Fault, NoReply, Reply

from .scripted import Scripted, done, open_scripted, running


class Held:
    """Something of the caller's."""

    def __init__(self) -> None:
        self.more: list[Any] = []


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


class Holding(Scripted):
    futures: tuple[OperationFuture[Any], ...] = ()


@dataclasses.dataclass
class Typed:
    answer: int


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"deadline": 20},
        {"deadline": 20, "at_deadline": "cancel_and_wait"},
        {"decode": Typed},
        {"decode": lambda response: response},
        {"backoff": functools.partial(backoff.constant, interval=5)},
        {"kind": "a kind", "expected": 5.0, "progress": lambda operation: None},
    ],
    ids=["bare", "deadline", "cancelled then", "typed", "decoder", "backoff", "hints"],
)
async def test_the_collector_does_not_look_at_a_future_that_is_pending(options: dict[str, Any]) -> None:
    service = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
    async with open_scripted(Scripted(lambda name, attempt: running()), service=service) as poller:
        futures = [poller.submit("operations/a", **options), poller.submit(json.loads(running().body), **options)]
        await asyncio.sleep(1)
        assert [gc.is_tracked(future) for future in futures] == [False, False]
        assert not [one for one in gc.get_objects() if isinstance(one, BackoffWaits | Decoder)]


async def test_the_collector_does_not_go_through_all_that_are_pending() -> None:
    waits = functools.partial(backoff.constant, interval=1000)  # however slow the machine, none is due meanwhile
    async with open_scripted(Scripted(lambda name, attempt: running()), backoff=waits) as poller:
        for number in range(20_000):
            poller.submit({**json.loads(running().body), "name": f"operations/mine-{number}"}, deadline=3600)
        await asyncio.sleep(0)
        gc.collect()
        # Since Python 3.14 it goes through every dict, and so through the one by name, but not into what that holds.
        holders = [one for one in gc.get_objects() if not isinstance(one, dict) or len(one) < 20_000]
        held = [one for holder in holders for one in gc.get_referents(holder)]
        mine = [
            one
            for one in held
            if isinstance(one, Tracker | OperationFuture) and one.name.startswith("operations/mine-")
        ]
        assert len(mine) < 2_000


@pytest.mark.parametrize("way", ["by the value", "by the decoder", "by a callback", "by a callback of two"])
async def test_a_future_that_leads_back_to_itself_is_freed(way: str) -> None:
    """It is seen as soon as it may."""

    async def run(poller: OperationPoller) -> weakref.ref[OperationFuture[Any]]:
        held = Held()

        def hold(value: Any) -> Held:
            held.more.append(value)
            return held

        future = poller.submit("operations/a", decode=hold if way in ("by the value", "by the decoder") else None)
        for _ in range(way.count("two") + way.count("callback")):
            future.add_done_callback(hold)
        if way in ("by the value", "by a callback"):
            await future
        held.more.append(future)
        await future
        return weakref.ref(future)

    async with open_scripted(Scripted(lambda name, attempt: running() if attempt < 3 else done())) as poller:
        reference = await run(poller)
        await asyncio.sleep(100)
        gc.collect()
        assert reference() is None


@pytest.mark.parametrize(
    "of, ended",
    [
        ("its decoder", False),
        ("its decoder", True),
        ("a shared decoder", False),
        ("a shared decoder", True),
        ("its decoder, which keeps what it caught", False),
        ("its waits", False),
    ],
)
async def test_what_raises_and_leads_to_its_future_is_freed(of: str, ended: bool) -> None:
    """Its traceback leads through frames that have records: they are empty by then."""

    async def run(poller: OperationPoller) -> weakref.ref[OperationFuture[Any]]:
        futures, kept = list[OperationFuture[Any]](), list[Exception]()

        def decode(value: Any) -> None:
            try:
                value[len(futures)]
            except KeyError as error:
                if "keeps" not in of:
                    raise
                kept.append(error)

        def waits() -> Generator[float, Any, None]:
            yield from ()
            raise ValueError(len(futures))

        operation = json.loads((done() if ended else running()).body)
        if of == "a shared decoder":
            futures += await poller.wait_all([operation], decode=decode)
        else:
            options: dict[str, Any] = {"backoff": waits} if of == "its waits" else {"decode": decode}
            futures.append(poller.submit(operation, **options))
        with contextlib.suppress(DecodeError, BackoffError):
            await futures[0]
        return weakref.ref(futures[0])

    async with open_scripted(Scripted(lambda name, attempt: running() if attempt < 3 else done())) as poller:
        reference = await run(poller)
        await asyncio.sleep(100)
        gc.collect()
        assert reference() is None


class Name(str):  # noqa: SLOT000
    """A text that leads on."""

    future: OperationFuture[Any]


class Fields(dict[str, str]):
    """Header fields that cannot be read, and lead on."""

    held: Held

    def get(self, *args: Any) -> Any:
        raise ValueError


@pytest.mark.parametrize("what", ["no reply", "header fields", "a name"])
async def test_what_a_transport_or_a_caller_hands_in_and_leads_to_the_future_is_freed(what: str) -> None:
    async def run() -> weakref.ref[OperationFuture[Any]]:
        held, fields, name = Held(), Fields(), Name("operations/a")
        fields.held = held
        replies = {"no reply": held, "header fields": Reply(503, fields, b"")}
        async with open_scripted(Scripted(lambda name, attempt: replies.get(what, done()))) as poller:
            name.future = future = poller.submit(name)
            held.more.append(future)
            with contextlib.suppress(PollError):
                await future
            return weakref.ref(future)

    reference = await run()
    await asyncio.sleep(100)
    gc.collect()
    assert reference() is None


@pytest.mark.behaviour("B24")
async def test_as_completed_keeps_nothing_that_has_come() -> None:
    """A script that goes through a million results has them one at a time."""
    last = "operations/9"

    def answer(name: str, attempt: int) -> Reply:
        return running() if name == last and attempt == 1 else done()

    async with open_scripted(Scripted(answer)) as poller:
        names = [f"operations/{number}" for number in range(10)] + ["operations/0"]
        seen = []
        async for future in poller.as_completed(names):
            seen.append(weakref.ref(future))
            name = future.name
            del future
            if name == last:
                assert [one() for one in seen] == [None] * len(names)


@pytest.mark.behaviour("B24")
async def test_a_transport_that_holds_its_futures_is_freed_with_its_poller() -> None:
    async def run() -> weakref.ref[Holding]:
        transport = Holding(lambda name, attempt: done() if name == "operations/a" else running())
        async with open_scripted(transport) as poller:
            transport.futures = (poller.submit("operations/a"), poller.submit("operations/b"))
            await transport.futures[0]
        return weakref.ref(transport)

    reference = await run()
    await asyncio.sleep(100)
    gc.collect()
    assert reference() is None
