"""What goes wrong at an unlucky moment: every operation is still polled, every turn given back, every outcome told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import functools
import gc
import itertools
import json
import math
import sys
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import backoff
import pytest
from google.auth.credentials import Credentials, TokenState

from lro_poller import WORKSPACE_EVENTS, Budget, OperationFuture, OperationPoller, PollerClosed, PollError
from lro_poller.transports.http2 import Http2Transport
from lro_poller.wire import NoReply, Reply

from .conftest import new_jumping_loop
from .scripted import Scripted, done, open_scripted, running
from .test_auth import Tokens

A, B = "operations/a", "operations/b"


async def after(seconds: float, reply: Reply) -> Reply:
    await asyncio.sleep(seconds)
    return reply


class Fresh(Credentials):
    """A token that is always fresh; whoever asks whether it is runs `hook`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.token = "token"
        self.hook: Callable[[], object] = object

    @property
    def token_state(self) -> TokenState:
        self.hook()
        return TokenState.FRESH

    def refresh(self, request: Any) -> None: ...


@pytest.mark.behaviour("B19", "B23")
async def test_a_poller_that_left_the_line_of_a_shared_budget_wakes_for_what_falls_due_later() -> None:
    """It stood in line with an operation that is cancelled, and set no timer for the other one meanwhile."""
    budget = Budget(1)
    one = open_scripted(Scripted(lambda name, attempt: done()), budget=budget)
    other = open_scripted(Scripted(lambda name, attempt: after(3, done())), budget=budget)
    async with one, other:
        long = other.submit("operations/long")
        await asyncio.sleep(0.1)
        waiting = one.submit("operations/waiting")
        await asyncio.sleep(0.1)
        later = one.submit({"name": "operations/later"}, backoff=functools.partial(backoff.constant, interval=10))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await long
        await asyncio.wait_for(later, 100)


@pytest.mark.behaviour("B19", "B23")
async def test_credentials_that_cancel_what_is_due_take_no_turn() -> None:
    credentials = Fresh()
    async with open_scripted(
        Scripted(lambda name, attempt: done()), credentials=credentials, max_in_flight=1
    ) as poller:
        cancelled = poller.submit(A)
        credentials.hook = cancelled.cancel
        await asyncio.sleep(2)
        credentials.hook = object
        assert await poller.submit(B, deadline=100) == {}
        assert cancelled.cancelled()
        assert poller.budget.in_flight == 0


@pytest.mark.behaviour("B10", "B19")
async def test_a_cut_that_a_transport_has_swallowed_cuts_no_later_poll() -> None:
    async def deaf() -> Reply:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return running()

    def answer(name: str, attempt: int) -> Any:
        if name == A:
            return deaf()
        if name == "operations/between":
            return after(1, done())
        if attempt == 1:
            raise asyncio.CancelledError
        return done()

    async with open_scripted(Scripted(answer), max_in_flight=1) as poller:
        cut = poller.submit(A)
        await asyncio.sleep(0.5)
        poller.submit("operations/between")
        future = poller.submit(B)
        cut.cancel()
        assert await asyncio.wait_for(future, 100) == {}


@pytest.mark.behaviour("B19")
async def test_a_dialect_may_raise_anything() -> None:
    def dialect(name: str, body: bytes) -> Any:
        raise asyncio.CancelledError

    service = dataclasses.replace(WORKSPACE_EVENTS, dialect=dialect)
    async with open_scripted(Scripted(lambda name, attempt: done()), service=service) as poller:
        with pytest.raises(PollError, match="CancelledError in the dialect"):
            await poller.submit(A)


class Program:
    """A loop that can be ended in its middle, and go on after all."""

    def __init__(self, poller: OperationPoller) -> None:
        self.loop = new_jumping_loop()
        self.poller = self.loop.run_until_complete(poller.__aenter__())

    def submit(self, *names: str, **options: Any) -> list[OperationFuture[Any]]:
        async def submit() -> list[OperationFuture[Any]]:
            return [self.poller.submit(name, **options) for name in names]

        return self.loop.run_until_complete(submit())

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        self.loop.run_until_complete(self.poller.__aexit__(None, None, None))
        self.loop.close()


@pytest.mark.behaviour("B19")
def test_a_dialect_that_ends_the_program_loses_no_operation() -> None:
    endings: list[BaseException] = [KeyboardInterrupt()]

    def dialect(name: str, body: bytes) -> Any:
        if endings:
            raise endings.pop()
        return WORKSPACE_EVENTS.dialect(name, body)

    service = dataclasses.replace(WORKSPACE_EVENTS, dialect=dialect)
    program = Program(open_scripted(Scripted(lambda name, attempt: done()), service=service))
    (future,) = program.submit(A)
    with pytest.raises(KeyboardInterrupt):
        program.run(10)
    program.run(10)
    assert future.result() == {}
    program.close()


def end_program(_: Any) -> None:
    raise SystemExit


@pytest.mark.behaviour("B19")
def test_a_decoder_that_ends_the_program_takes_nobody_elses_outcome() -> None:
    program = Program(open_scripted(Scripted(lambda name, attempt: after(1, done()))))
    (before,), (odd,), (behind,) = program.submit(A), program.submit(A, decode=end_program), program.submit(A)
    with pytest.raises(SystemExit):
        program.run(10)
    program.run(10)
    assert before.result() == behind.result() == {}
    assert isinstance(odd.exception(), PollError)
    program.close()


@pytest.mark.behaviour("B19", "B21")
def test_closing_goes_on_where_a_decoder_ends_the_program_meanwhile() -> None:
    """The reply is there when closing begins, and is dealt with first."""
    hit = asyncio.Event()

    async def answer() -> Reply:
        await hit.wait()
        return done()

    transport = Scripted(lambda name, attempt: answer() if name == A else after(100, done()))
    program = Program(open_scripted(transport))
    (odd,), (pending,) = program.submit(A, decode=end_program), program.submit(B)
    program.run(1)

    async def close() -> None:
        hit.set()
        await asyncio.sleep(0)
        await program.poller.__aexit__(None, None, None)

    with pytest.raises(SystemExit):
        program.loop.run_until_complete(close())
    assert isinstance(odd.exception(), PollError)
    assert isinstance(pending.exception(), PollerClosed)
    assert transport.closed
    assert program.poller.budget.in_flight == 0
    program.close()


@pytest.mark.behaviour("B19", "B21")
async def test_a_reply_that_comes_while_many_are_closed_is_told() -> None:
    arrives = asyncio.get_running_loop().create_future()

    async def last() -> Reply:
        await arrives
        return done({"n": 1})

    poller = await open_scripted(Scripted(lambda name, attempt: last())).__aenter__()
    many = [poller.submit({"name": f"operations/{number}"}) for number in range(1200)]
    future = poller.submit("operations/last")
    await asyncio.sleep(0.1)
    many[0].add_done_callback(lambda _: arrives.set_result(None))
    await poller.__aexit__(None, None, None)
    assert await future == {"n": 1}


@pytest.mark.behaviour("B21")
async def test_who_closes_while_somebody_does_waits_until_all_is_closed() -> None:
    class Slow(Scripted):
        async def aclose(self) -> None:
            await asyncio.sleep(3)
            await super().aclose()

    transport = Slow(lambda name, attempt: done())
    poller = await open_scripted(transport).__aenter__()
    first = asyncio.ensure_future(poller.__aexit__(None, None, None))
    await asyncio.sleep(1)
    await poller.__aexit__(None, None, None)
    assert transport.closed
    await first


@pytest.mark.behaviour("B21")
async def test_a_transport_that_closes_its_poller_as_it_is_closed_holds_nothing_up() -> None:
    class Closing(Scripted):
        async def aclose(self) -> None:
            await poller.__aexit__(None, None, None)
            await super().aclose()

    transport = Closing(lambda name, attempt: done())
    poller = await open_scripted(transport).__aenter__()
    began = asyncio.get_running_loop().time()
    await poller.__aexit__(None, None, None)
    assert transport.closed
    assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.behaviour("B21")
async def test_a_transport_that_closes_its_poller_in_a_poll_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(name: str, attempt: int) -> Reply:
        if name == A:
            await poller.__aexit__(None, None, None)
        await asyncio.sleep(1)
        return running()

    transport = Scripted(answer)
    poller = await open_scripted(transport).__aenter__()
    began = asyncio.get_running_loop().time()
    futures = [poller.submit("operations/b"), poller.submit(A)]
    for future in futures:
        with pytest.raises(PollerClosed):
            await future
    await poller.__aexit__(None, None, None)
    assert transport.closed
    assert asyncio.get_running_loop().time() - began < 1
    assert not caplog.records


class TestEntering:
    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        """The real clock: credentials are looked for in a thread, which a jumping one would outrun."""
        return "asyncio", {}

    @pytest.fixture(autouse=True)
    def _credentials(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        user = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
        (tmp_path / "user.json").write_text(json.dumps(user))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "user.json"))

    @pytest.mark.behaviour("B28")
    async def test_a_poller_is_entered_once_however_long_its_credentials_are_looked_for(self) -> None:
        poller = OperationPoller()
        entered = await asyncio.gather(poller.__aenter__(), poller.__aenter__(), return_exceptions=True)
        await poller.__aexit__(None, None, None)
        assert sorted(type(one).__name__ for one in entered) == ["OperationPoller", "RuntimeError"]


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("first", [A, {"name": A, "metadata": {}}])
async def test_a_wait_that_a_progress_function_adds_has_its_backoff_from_the_next_poll_on(first: Any) -> None:
    joined: list[OperationFuture[Any]] = []
    end: Any = {"n": 1}

    def progress(operation: Any) -> None:
        if not joined:
            joined.append(poller.submit(A, backoff=functools.partial(backoff.constant, interval=5)))

    transport = Scripted(lambda name, attempt: running() if attempt < 4 else done(end))
    async with open_scripted(transport) as poller:
        future = poller.submit(first, progress=progress)
        assert [await future, await joined[0]] == [end, end]
        polls = transport.times(A)
        assert [round(later - earlier) for earlier, later in itertools.pairwise(polls)][1:] == [5, 5]


@pytest.mark.behaviour("B19")
async def test_a_source_of_randomness_that_cancels_leaves_nothing_to_learn_from() -> None:
    futures: list[OperationFuture[Any]] = []

    def random() -> float:
        if futures:
            futures.pop().cancel()
        return 0.5

    async with open_scripted(Scripted(lambda name, attempt: running()), random=random) as poller:
        for number in range(3):
            futures.append(poller.submit(f"operations/{number}"))
            await asyncio.sleep(1)
        assert not [kind.durations._running for kind in poller.history._kinds.values() if kind.durations._running]


@pytest.mark.behaviour("B19", "B22")
@pytest.mark.parametrize("asked", range(1, 10))
async def test_credentials_that_cancel_whoever_asks_for_the_next_poll(asked: int) -> None:
    credentials, times = Fresh(), list[int]()

    def cancel() -> None:
        times.append(1)
        if len(times) == asked:
            for task in asyncio.all_tasks():
                if task.get_name() == "lro-poller worker":
                    task.cancel()

    credentials.hook = cancel
    transport = Scripted(lambda name, attempt: after(1.5, done()))
    async with open_scripted(transport, credentials=credentials, max_in_flight=1) as poller:
        futures = await poller.wait_all([f"operations/{number}" for number in range(4)], deadline=500)
    assert [future.exception() for future in futures] == [None] * 4  # and the loop's handler has heard of nothing


@pytest.mark.behaviour("B18", "B28")
def test_who_waits_for_a_token_takes_no_room_from_others() -> None:
    async def run() -> None:
        budget, tokens = Budget(max_in_flight=1), Tokens(held=True)
        slow = Scripted(lambda name, attempt: after(0.2, done()))
        async with (
            open_scripted(Scripted(lambda name, attempt: done()), budget=budget, credentials=tokens) as waiting,
            open_scripted(slow, budget=budget) as other,
        ):
            without = waiting.submit(A)
            await asyncio.sleep(0.01)
            assert await asyncio.wait_for(other.submit(B), 5) == {}
            assert waiting.stats().in_flight == budget.in_flight == 0
            busy = other.submit(B)
            await asyncio.sleep(0.01)
            tokens.gate.set()
            await asyncio.sleep(0.1)
            assert not without.done()  # there is a token, but no room
            await asyncio.wait_for(other.wait_all([without, busy]), 5)
            assert (without.result(), busy.result()) == ({}, {})

    asyncio.run(run())


@pytest.mark.behaviour("B23", "B28")
def test_who_waits_for_a_turn_with_a_new_token_takes_it_when_it_comes() -> None:
    async def run() -> None:
        budget, transport, tokens = Budget(max_rate=5), Scripted(lambda name, attempt: done()), Tokens(held=True)
        async with (
            open_scripted(transport, budget=budget, credentials=tokens) as poller,
            open_scripted(transport, budget=budget) as other,
        ):
            future = poller.submit(A)
            await asyncio.sleep(0.01)
            await other.submit(B)
            tokens.gate.set()
            assert await asyncio.wait_for(future, 5) == {}
            (first, second) = [when for when, _ in transport.sent]
            assert second - first >= 0.19

    asyncio.run(run())


@contextlib.asynccontextmanager
async def one_with_a_token_waits_for_room(
    budget: Budget, tokens: Tokens, **options: Any
) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A poller whose poll has a new token and no room, its future, and the future of the poll that has the room."""
    slow = Scripted(lambda name, attempt: after(0.2, done()))
    async with (
        open_scripted(Scripted(lambda name, attempt: done()), budget=budget, credentials=tokens, **options) as poller,
        open_scripted(slow, budget=budget) as other,
    ):
        busy = other.submit(B)
        await asyncio.sleep(0.01)
        future = poller.submit(A)
        while not tokens.refreshes:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        yield poller, future, busy


@pytest.mark.behaviour("B23", "B28")
def test_a_token_that_runs_out_before_its_turn_is_fetched_anew_without_room() -> None:
    async def run() -> None:
        budget, tokens = Budget(max_in_flight=1), Tokens()
        async with one_with_a_token_waits_for_room(budget, tokens) as (poller, future, busy):
            tokens.gate.clear()
            tokens.expiry = datetime.datetime(2020, 1, 1)  # noqa: DTZ001 - as google-auth has it
            poller._runner._sender._authorizer._fresh_until = -math.inf
            assert await busy == {}
            await asyncio.sleep(0.05)
            assert budget.in_flight == 0
            tokens.gate.set()
            assert await asyncio.wait_for(future, 5) == {}
            assert tokens.refreshes == 2

    asyncio.run(run())


class Hooked(Tokens):
    """Whoever asks whether there is a token runs `hook`."""

    hook: Callable[[], object] = staticmethod(object)

    @property
    def token_state(self) -> TokenState:
        self.hook()
        state: TokenState = super().token_state
        return state


@pytest.mark.behaviour("B22", "B28")
def test_credentials_that_cancel_whoever_waits_for_a_turn_take_none_with_it() -> None:
    async def run() -> None:
        budget, tokens, heard = Budget(max_in_flight=1), Hooked(), list[Any]()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
        async with one_with_a_token_waits_for_room(budget, tokens) as (poller, future, busy):
            poller._runner._sender._authorizer._fresh_until = -math.inf
            tokens.hook = future.cancel
            assert await busy == {}
            await asyncio.sleep(0.05)
            assert future.cancelled()
            assert budget.in_flight == 0
            tokens.hook = object
            assert await asyncio.wait_for(poller.submit(A), 5) == {}
        assert not heard

    asyncio.run(run())


@pytest.mark.behaviour("B19", "B23")
def test_whoever_is_cancelled_from_outside_while_waiting_for_a_turn_leaves_the_line() -> None:
    """In the step in which there is room: who stands behind is told of it once."""

    async def run() -> None:
        budget, tokens = Budget(max_in_flight=1), Tokens()
        async with (
            one_with_a_token_waits_for_room(budget, tokens, max_poll_failures=0) as (poller, future, busy),
            open_scripted(Scripted(lambda name, attempt: done()), budget=budget) as third,
        ):
            behind = third.submit("operations/c")
            await asyncio.sleep(0.02)
            workers = poller._runner._pump._workers
            busy.add_done_callback(lambda _: [task.cancel() for task in workers])
            busy.cancel()
            assert await asyncio.wait_for(behind, 5) == {}
            with pytest.raises(PollError, match="cancelled from outside"):
                await future

    asyncio.run(run())


class Flighty(Tokens):
    """Whose token is good when it comes, and not for whoever asks next; the third is good for a while."""

    good = 0

    @property
    def token_state(self) -> TokenState:
        self.good -= 1
        return TokenState.STALE if self.good >= 0 else TokenState.INVALID

    def refresh(self, request: Any) -> None:
        super().refresh(request)
        assert self.refreshes < 20, "this would go on for ever, and let nobody else go on"
        self.good = 1 if self.refreshes < 3 else 10


@pytest.mark.behaviour("B16", "B24")
def test_a_token_that_has_run_out_when_it_comes_is_a_poll_that_failed() -> None:
    async def run() -> None:
        tokens = Flighty()
        tokens.gate.set()
        async with open_scripted(Scripted(lambda name, attempt: done()), credentials=tokens) as poller:
            assert await asyncio.wait_for(poller.submit(A), 20) == {}
            assert tokens.refreshes == 3

    asyncio.run(run())


@pytest.mark.behaviour("B28")
def test_who_waits_for_room_with_a_new_token_takes_it_from_a_poll_of_its_own() -> None:
    refused: list[str] = []

    async def answer(name: str, attempt: int) -> Reply:
        if name == B and not refused:
            refused.append(name)
            tokens.gate.clear()
            return Reply(401, {}, b"")
        return await after(0.3 if name == A else 0.0, done())

    async def run() -> None:
        budget = Budget(max_in_flight=2)
        endless = Scripted(lambda name, attempt: after(999, done()))
        async with (
            open_scripted(Scripted(answer), budget=budget, credentials=tokens) as poller,
            open_scripted(endless, budget=budget) as other,
        ):
            futures = [poller.submit(A), poller.submit(B)]
            while not refused:
                await asyncio.sleep(0.01)
            other.submit(A)
            await asyncio.sleep(0.05)
            tokens.gate.set()
            await asyncio.sleep(0.1)
            assert budget.in_flight == 2
            await asyncio.wait_for(poller.wait_all(futures), 5)

    tokens = Tokens()
    asyncio.run(run())


class TestEager:
    """Tasks that run until their first wait where they are made."""

    pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")

    @pytest.mark.behaviour("B19")
    def test_a_transport_that_ends_the_program_in_its_first_step_keeps_no_turn(self) -> None:
        def answer(name: str, attempt: int) -> Reply:
            if attempt == 1:
                raise KeyboardInterrupt
            return done()

        transport = Scripted(answer)
        program = Program(open_scripted(transport))
        program.loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        with pytest.raises(KeyboardInterrupt):
            program.submit(A)
        (future,) = program.submit(A)
        program.run(10)
        assert future.result() == {}
        first, second = transport.times(A)
        assert second - first < 5  # and not when the poll would have taken too long
        program.close()

    @pytest.mark.behaviour("B19", "B21")
    @pytest.mark.parametrize("way", ["submit", "wait_all"])
    async def test_nothing_is_waited_for_on_a_poller_that_has_closed_meanwhile(self, way: str) -> None:
        closing: list[asyncio.Task[Any]] = []
        loop = asyncio.get_running_loop()

        class Closing:
            @property
            def name(self) -> str:
                closing.append(loop.create_task(poller.__aexit__(None, None, None)))
                return A

        poller = await open_scripted(Scripted(lambda name, attempt: done())).__aenter__()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        try:
            with pytest.raises(RuntimeError, match="the poller is closed"):
                await (poller.wait_all([Closing()]) if way == "wait_all" else poller.submit(Closing()))
            await asyncio.gather(*closing)
        finally:
            loop.set_task_factory(None)

    @pytest.mark.behaviour("B23")
    @pytest.mark.parametrize("cut_by", ["poll_timeout", "deadline", "caller"])
    async def test_whoever_takes_the_room_of_a_poll_that_is_cut_starts_after_it(self, cut_by: str) -> None:
        loop = asyncio.get_running_loop()
        transport = Scripted(lambda name, attempt: after(99, running()))
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        try:
            timeout, deadlines = (3, [15] * 6) if cut_by == "poll_timeout" else (30, [3, 3, 6, 6, 15, 15])
            async with open_scripted(transport, max_in_flight=2, poll_timeout=timeout) as poller:
                futures = [poller.submit(f"operations/{number}", deadline=end) for number, end in enumerate(deadlines)]
                if cut_by == "caller":  # in the step in which a deadline passes
                    loop.call_later(3 - 1e-9, futures[4].cancel)
                await asyncio.sleep(20)
                assert all(future.cancelled() or future.exception() for future in futures)
                assert transport.most_in_flight == 2
        finally:
            loop.set_task_factory(None)

    @pytest.mark.behaviour("B16")
    async def test_a_connection_that_fails_at_once_is_tried_again(self) -> None:
        loop = asyncio.get_running_loop()
        transport = Http2Transport("https://255.255.255.255:1")  # to which no socket connects
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        turns: list[int] = []
        try:
            for number in range(2):
                loop.call_soon(turns.append, number)
                with pytest.raises(NoReply, match="no connection to"):
                    await transport.send("GET", "/v1/a", {})
                assert not turns  # or it did not fail at once, and this shows nothing
                assert transport._opening is None
            await transport.aclose()
        finally:
            loop.set_task_factory(None)


@pytest.mark.behaviour("B7", "B19", "B26")
@pytest.mark.parametrize("of", ["a refusal", "waits"])
async def test_each_of_several_who_wait_has_an_error_of_its_own(of: str) -> None:
    """One that is raised to all of them would show each what the others were about when they awaited."""

    def waits() -> Generator[Any, Any, None]:
        yield
        raise KeyError

    transport = Scripted(lambda name, attempt: Reply(403, {}, b"") if of == "a refusal" else running())
    async with open_scripted(transport, backoff=waits) as poller:
        futures = [poller.submit("operations/a") for _ in range(3)]
        await poller.wait_all(futures)
    errors = [future.exception() for future in futures]
    assert len({id(error) for error in errors}) == 3
    assert len({repr(error) for error in errors}) == 1
    assert len({error.__cause__ for error in errors if error is not None}) == 1


def test_a_future_that_is_made_by_mistake_says_nothing_more() -> None:
    with pytest.raises(TypeError, match="Missing required argument"):
        OperationFuture()  # type: ignore[call-arg]
    gc.collect()


@pytest.mark.behaviour("B16", "B28")
def test_a_token_that_runs_out_before_its_turn_is_no_failed_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lro_poller.turns._SHORTEST_LIFE", 0.1)  # of the tokens here: that before the turn is no flaw

    async def run() -> None:
        budget, tokens = Budget(max_in_flight=1), Tokens()
        tokens.gate.set()
        async with one_with_a_token_waits_for_room(budget, tokens, max_poll_failures=0) as (poller, future, busy):
            tokens.expiry = datetime.datetime(2020, 1, 1)  # noqa: DTZ001 - as google-auth has it
            poller._runner._sender._authorizer._fresh_until = -math.inf
            assert await busy == {}
            assert await asyncio.wait_for(future, 5) == {}
            assert tokens.refreshes == 2

    asyncio.run(run())
