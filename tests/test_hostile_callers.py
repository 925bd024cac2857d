"""The caller's code runs inside the library, and may do anything there: what it does is its own affair."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import gc
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import backoff
import pytest
from google.auth.credentials import Credentials, TokenState

from lro_poller import WORKSPACE_EVENTS, BackoffError, DecodeError, History, PollerClosed, PollError
from lro_poller.operation import Operation
from lro_poller.wire import Reply

from .scripted import Scripted, done, open_scripted, running

EVERY_SECOND = functools.partial(backoff.constant, interval=1)
CANCELLABLE = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
A, B = "operations/a", "operations/b"


class OddError(BaseException):
    """No Exception: what pytest.fail raises is none either."""


def after_polls(polls: int) -> Callable[[str, int], Reply]:
    return lambda name, attempt: done({"n": attempt}) if attempt > polls else running(n=attempt)


@pytest.fixture
def reported() -> list[Any]:
    """What reaches the loop's exception handler, once `listen` is told to."""
    return []


def listen(heard: list[Any]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context.get("exception")))


# Backoff generators, progress functions, the source of randomness.


def hostile(action: Callable[[], object]) -> Callable[[], Iterator[float]]:
    def waits() -> Iterator[float]:
        while True:
            action()
            yield 1

    return waits


@pytest.mark.behaviour("B13", "B19", "B20")
async def test_a_backoff_may_cancel_its_own_future() -> None:
    futures: list[Any] = []
    transport = Scripted(after_polls(3))
    async with open_scripted(transport, max_in_flight=1) as poller:
        futures.append(poller.submit(A, backoff=hostile(lambda: futures[0].cancel() and None)))
        assert await poller.submit(B, deadline=1000) == {"n": 4}
        assert futures[0].cancelled()
        assert transport.polls(A) == 1
        assert poller.budget.in_flight == 0


@pytest.mark.behaviour("B13", "B15")
async def test_a_backoff_may_ask_for_a_poll_at_once_and_submit() -> None:
    async with open_scripted(Scripted(after_polls(5)), max_in_flight=1) as poller:

        def more() -> None:
            futures[0].poll_now()
            futures.append(poller.submit(A))

        futures = [poller.submit(A, backoff=hostile(more))]
        assert await futures[0] == {"n": 6}
        assert futures[0].elapsed < 1
        assert [await future for future in futures] == [{"n": 6}] * 6


@pytest.mark.behaviour("B13", "B19")
@pytest.mark.parametrize("error", [asyncio.CancelledError, OddError, StopIteration, GeneratorExit])
@pytest.mark.parametrize("known", [False, True])
async def test_a_backoff_that_raises_what_it_should_not_fails_all_who_share_it(
    error: type[BaseException], known: bool, reported: list[Any]
) -> None:
    listen(reported)

    def fail() -> None:
        raise error

    async with open_scripted(Scripted(after_polls(99)), max_in_flight=1) as poller:
        submission: Any = {"name": A} if known else A
        futures: list[Any] = []
        try:
            futures.append(poller.submit(submission, backoff=hostile(fail)))
        except OddError:
            assert known
        futures.append(poller.submit(A, deadline=5000, backoff=hostile(fail)))
        for future in futures:
            with pytest.raises((BackoffError, PollError)):
                await future
        assert futures[-1].elapsed < 100


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize("known", [False, True])
async def test_an_error_of_a_backoff_generator_is_told_as_one(known: bool) -> None:
    async with open_scripted(Scripted(after_polls(99))) as poller:
        submission: Any = {"name": A} if known else A
        future = poller.submit(submission, backoff=hostile(lambda: 1 // 0))
        with pytest.raises(BackoffError, match="raised ZeroDivisionError") as caught:
            await future
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("given", [math.nan, math.inf, -5.0, 10.0, "x", None])
async def test_a_source_of_randomness_that_lies_breaks_no_other_operation(given: Any) -> None:
    draws = iter([given])
    transport = Scripted(after_polls(3))
    async with open_scripted(transport, random=lambda: next(draws, 0.5), max_in_flight=1) as poller:
        first = poller.submit(A, deadline=1000)
        second = poller.submit(B, deadline=1000)
        with pytest.raises(PollError, match="ValueError in dealing with"):
            await first
        assert await second == {"n": 4}


@pytest.mark.behaviour("B19", "B20")
@pytest.mark.parametrize("reply", [running(), Reply(503, {}, b"")])
async def test_randomness_may_cancel_what_it_is_drawn_for(reply: Reply) -> None:
    futures: list[Any] = []

    def draw() -> float:
        futures[0].cancel()
        return 0.5

    async with open_scripted(
        Scripted(lambda name, attempt: reply if attempt == 1 else done()), random=draw, max_in_flight=1
    ) as poller:
        futures.append(poller.submit(A))
        assert await poller.submit(B, deadline=1000) == {}
        assert futures[0].cancelled()
        assert poller.stats().overdue == 0


@pytest.mark.behaviour("B19", "B20")
async def test_progress_may_raise_lie_and_cancel() -> None:
    futures: list[Any] = []
    says: list[Any] = [1 / 3, -1, math.nan, 10**400, "x", None, True, 0, ZeroDivisionError(), OSError()]

    def progress(operation: Operation) -> Any:
        said = says[operation.metadata["n"] - 1]
        if isinstance(said, Exception):
            raise said
        return said

    async with open_scripted(Scripted(after_polls(len(says)))) as poller:
        assert await poller.submit(A, progress=progress, deadline=10_000) == {"n": len(says) + 1}
        futures.append(poller.submit(B, progress=lambda operation: futures[0].cancel()))
        await poller.drain()
        assert futures[0].cancelled()


# Decoders and callbacks.


@pytest.mark.behaviour("B6", "B19")
@pytest.mark.parametrize("error", [asyncio.CancelledError, OddError, KeyError])
async def test_a_decoder_that_raises_strands_nobody_else(error: type[BaseException], reported: list[Any]) -> None:
    listen(reported)

    def decode(value: Any) -> Any:
        raise error

    async with open_scripted(Scripted(after_polls(0)), max_in_flight=1) as poller:
        futures = [poller.submit(A, decode=decode if number == 1 else None, deadline=500) for number in range(3)]
        assert await futures[0] == await futures[2] == {"n": 1}
        with pytest.raises((DecodeError, PollError)):
            await futures[1]
        assert await poller.submit(B, deadline=500) == {"n": 1}
        assert poller.budget.in_flight == 0


@pytest.mark.behaviour("B19", "B20")
async def test_a_decoder_may_cancel_the_future_it_decodes_for_and_those_beside_it() -> None:
    futures: list[Any] = []
    ends: list[Any] = []

    def decode(value: Any) -> Any:
        for future in futures:
            future.cancel()
        return value

    async with open_scripted(Scripted(after_polls(0))) as poller:
        futures += [poller.submit(A, decode=decode) for _ in range(3)]
        for future in futures:
            future.add_done_callback(ends.append)
        await poller.drain()
        await asyncio.sleep(1)
        assert [future.cancelled() for future in futures] == [True] * 3
        assert sorted(map(id, ends)) == sorted(map(id, futures))


@pytest.mark.behaviour("B19")
async def test_a_decoder_may_submit_its_own_operation_again() -> None:
    again: list[Any] = []
    async with open_scripted(Scripted(after_polls(0))) as poller:

        def decode(value: Any) -> Any:
            again.append(poller.submit(A))
            return value

        assert await poller.submit(A, decode=decode) == {"n": 1}
        assert await again[0] == {"n": 2}


@pytest.mark.behaviour("B8", "B19")
@pytest.mark.parametrize("debug", [False, True])
async def test_a_callback_that_would_have_to_be_awaited_strands_nobody(debug: bool, reported: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    listen(reported)
    loop.set_debug(debug)
    async with open_scripted(Scripted(after_polls(0))) as poller:
        futures = [poller.submit(A, deadline=500) for _ in range(3)]
        with pytest.raises(TypeError):
            futures[0].add_done_callback(coroutine)
        futures[1].add_done_callback(MarkedCallback())
        futures[1].add_done_callback(reported.append)
        assert [await future for future in futures] == [{"n": 1}] * 3
        await asyncio.sleep(0)
        assert reported == [futures[1]]
    loop.set_debug(False)


async def coroutine(future: Any) -> None:
    """What nobody would await."""


class MarkedCallback:
    """Is taken for a coroutine function by asyncio alone."""

    _is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)

    def __call__(self, future: Any) -> None:
        pass


@pytest.mark.behaviour("B8", "B21")
async def test_a_callback_may_close_the_poller_cancel_and_submit() -> None:
    closing: list[Any] = []
    refused: list[Any] = []
    async with open_scripted(Scripted(lambda name, attempt: done() if name == A else running())) as poller:

        def close(future: Any) -> None:
            closing.append(asyncio.ensure_future(poller.__aexit__(None, None, None)))
            others[0].cancel()

        def submit(future: Any) -> None:
            try:
                poller.submit(A)
            except RuntimeError as error:
                refused.append(error)

        others = [poller.submit(f"operations/{number}") for number in range(1200)]
        for other in others:
            other.add_done_callback(submit)
        poller.submit(A).add_done_callback(close)
        await asyncio.wait(map(asyncio.ensure_future, map(outcome, others[1:])))
        await closing[0]
    assert others[0].cancelled()
    assert {type(other.exception()) for other in others[1:]} == {PollerClosed}
    assert refused


async def outcome(future: Any) -> Any:
    try:
        return await future
    except PollerClosed as error:
        return error


@pytest.mark.behaviour("B19")
async def test_one_callers_context_is_no_others() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []

    def answer(name: str, attempt: int) -> Reply:
        seen.append(who.get())
        return done()

    async with open_scripted(Scripted(answer)) as poller:
        for caller in ("first", "second"):
            who.set(caller)
            future = poller.submit(f"operations/{caller}", decode=lambda value: who.get())
            heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda _, heard=heard: heard.set_result(who.get()))  # type: ignore[misc]
            assert await future == "nobody"
            assert await heard == caller
    assert seen == ["nobody", "nobody"]


@pytest.mark.behaviour("B24")
async def test_a_future_that_nobody_keeps_is_still_waited_for() -> None:
    ends: list[Any] = []
    async with open_scripted(Scripted(after_polls(2))) as poller:
        poller.submit(A).add_done_callback(lambda future: ends.append(future.result()))
        gc.collect()
        await poller.drain()
        await asyncio.sleep(0)
    assert ends == [{"n": 3}]


# Those who wait for many.


@pytest.mark.behaviour("B7", "B22")
async def test_waiting_for_many_leaves_nothing_on_the_futures_when_cancelled() -> None:
    async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
        future = poller.submit(A)
        for waiting in (poller.drain(), poller.wait_all([future])):
            task = asyncio.ensure_future(waiting)
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert not future._listeners


@pytest.mark.behaviour("B7", "B22")
async def test_two_readers_of_what_completes_get_each_future_once_and_both_end() -> None:
    async with open_scripted(Scripted(after_polls(1))) as poller:
        completed = poller.as_completed([A, B, "operations/c"])

        async def read() -> list[str]:
            return [future.name async for future in completed]

        first, second = await asyncio.wait_for(asyncio.gather(read(), read()), 1000)
        assert sorted(first + second) == [A, B, "operations/c"]


@pytest.mark.behaviour("B22")
async def test_a_reader_of_what_completes_that_is_cancelled_loses_nothing() -> None:
    async with open_scripted(Scripted(after_polls(1))) as poller:
        completed = poller.as_completed([A])
        reading = asyncio.ensure_future(completed.__anext__())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert [future.name async for future in completed] == [A]


@pytest.mark.behaviour("B9")
async def test_a_second_reader_of_one_stream_is_told_to_open_another() -> None:
    async with open_scripted(Scripted(after_polls(1))) as poller, poller.submit(A).updates() as stream:
        first = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"call future.updates\(\) for each reader"):
            await stream.__anext__()
        assert (await first).metadata == {"n": 1}


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("deadline", [None, 1000.0])
async def test_many_submissions_of_one_name_take_as_long_as_of_many_names(deadline: float | None) -> None:
    async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
        count = 20_000
        began = time.process_time()
        futures = [poller.submit(A, deadline=deadline) for _ in range(count)]
        submitted = time.process_time() - began
        assert submitted < 2
        began = time.process_time()
        for future in futures:
            future.cancel()
        assert time.process_time() - began < 2
        assert poller.stats().pending == 0


# Credentials.


class Hostile(Credentials):
    """Credentials with one method that raises."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where, self.error = where, error
        self.token = "token"

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise self.error

    @property
    def token_state(self) -> TokenState:
        self._maybe("token_state")
        return TokenState.INVALID if self.where == "refresh" else TokenState.FRESH

    def apply(self, headers: Any, token: Any = None) -> None:
        self._maybe("apply")

    def refresh(self, request: Any) -> None:
        self._maybe("refresh")


class TestCredentials:
    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        """The real clock: refreshes are done in threads, which a jumping one would outrun."""
        return "asyncio", {}

    @pytest.mark.behaviour("B19", "B28")
    @pytest.mark.parametrize("where", ["token_state", "apply", "refresh"])
    @pytest.mark.parametrize("error", [ZeroDivisionError(), StopIteration(), asyncio.CancelledError(), OddError()])
    async def test_credentials_that_raise_fail_the_polls_and_not_the_poller(
        self, where: str, error: BaseException
    ) -> None:
        credentials = Hostile(where, error)
        async with open_scripted(
            Scripted(after_polls(0)), credentials=credentials, max_in_flight=1, max_poll_failures=0
        ) as poller:
            futures = [poller.submit(name, deadline=5) for name in (A, B)]
            for future in futures:
                with pytest.raises(PollError):
                    await future
            credentials.where = ""
            credentials.error = ValueError()
            await asyncio.sleep(1.1)
            assert await poller.submit("operations/c", deadline=5) == {"n": 1}


# Errands.


@pytest.mark.behaviour("B22")
@pytest.mark.parametrize("moment", [0.0, 0.5, 1.5, 5.5])
async def test_an_errand_may_be_cancelled_at_any_moment(moment: float) -> None:
    async def slow(name: str, attempt: int) -> Reply:
        await asyncio.sleep(1 if name == "operations/first" else 5)
        return done()

    async with open_scripted(Scripted(slow), max_in_flight=1, service=CANCELLABLE) as poller:
        first = poller.submit("operations/first")
        for errand in (poller.get(A), poller.cancel(B)):
            task = asyncio.ensure_future(errand)
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.wait([task])
        assert await first == {}
        assert await poller.submit("operations/last", deadline=100) == {}
        assert (poller.budget.in_flight, poller.stats().overdue) == (0, 0)


@pytest.mark.behaviour("B21")
async def test_closing_ends_errands_that_wait() -> None:
    async with open_scripted(Scripted(lambda name, attempt: asyncio.sleep(999)), max_in_flight=1) as poller:
        tasks = [asyncio.ensure_future(poller.get(name)) for name in (A, B)]
        await asyncio.sleep(1)
    for task in tasks:
        with pytest.raises(PollerClosed):
            await task


# Closing.


@pytest.mark.behaviour("B21", "B22")
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("steps", range(6))
async def test_closing_that_is_cancelled_ends_everything_all_the_same(times: int, steps: int) -> None:
    transport = Scripted(lambda name, attempt: asyncio.sleep(999))
    poller = open_scripted(transport)
    await asyncio.ensure_future(poller.__aenter__())
    futures = [poller.submit(f"operations/{number}") for number in range(1200)]
    await asyncio.sleep(1)
    closing = asyncio.ensure_future(poller.__aexit__(None, None, None))
    for _ in range(times):
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
    await asyncio.wait([closing])
    await asyncio.sleep(1)
    if steps:  # a task that is cancelled before it begins does nothing
        assert {type(future.exception()) for future in futures} == {PollerClosed}
        assert transport.closed
        assert poller.budget.in_flight == 0
    await poller.__aexit__(None, None, None)


@pytest.mark.behaviour("B24")
async def test_closing_with_very_many_pending_leaves_the_loop_to_others() -> None:
    async with open_scripted(Scripted(lambda name, attempt: asyncio.sleep(999)), max_in_flight=1) as poller:
        futures = [poller.submit(f"operations/{number}", deadline=100) for number in range(20_000)]
        steps = 0
        closing = asyncio.ensure_future(poller.__aexit__(None, None, None))
        while not closing.done():
            await asyncio.sleep(0)
            steps += 1
    assert steps >= 40
    assert all(future.done() for future in futures)


@pytest.mark.behaviour("B21")
def test_a_loop_may_be_closed_with_everything_pending() -> None:
    async def leave() -> Any:
        poller = await open_scripted(Scripted(lambda name, attempt: asyncio.sleep(999))).__aenter__()
        futures = [poller.submit(name, deadline=100) for name in (A, B)]
        await asyncio.sleep(0)
        return futures

    loop = asyncio.new_event_loop()
    futures = loop.run_until_complete(leave())
    loop.close()
    assert not any(future.done() for future in futures)
    del futures
    gc.collect()


# What is learned.


@pytest.mark.behaviour("B19")
async def test_two_pollers_may_share_what_they_learn() -> None:
    history = History()
    async with (
        open_scripted(Scripted(after_polls(3)), history=history) as one,
        open_scripted(Scripted(after_polls(3)), history=history) as other,
    ):
        futures = [poller.submit(f"operations/{number}") for number in range(50) for poller in (one, other)]
        await asyncio.gather(*futures)
        futures[0].cancel()
    assert len(history) == 1


@pytest.mark.behaviour("B6", "B19")
@pytest.mark.parametrize("given", [None, 3, "operation"])
async def test_a_dialect_that_returns_garbage_is_named(given: Any) -> None:
    service = dataclasses.replace(WORKSPACE_EVENTS, dialect=lambda name, body: given)
    async with open_scripted(Scripted(after_polls(0)), service=service, max_in_flight=1) as poller:
        for name in (A, B):
            with pytest.raises(
                PollError, match=r"the dialect of workspaceevents:v1beta returned a \w+, not an Operation"
            ):
                await poller.submit(name, deadline=100)


@pytest.mark.behaviour("B6", "B19")
async def test_an_operation_with_garbage_inside_fails_its_own_futures() -> None:
    def dialect(name: str, body: bytes) -> Any:
        return Operation(name, done=True, error="no status", raw=body)  # type: ignore[arg-type]

    service = dataclasses.replace(WORKSPACE_EVENTS, dialect=dialect)
    async with open_scripted(Scripted(after_polls(0)), service=service, max_in_flight=1) as poller:
        for future in [poller.submit(A, deadline=100) for _ in range(3)]:
            with pytest.raises(PollError, match="in dealing with"):
                await future
