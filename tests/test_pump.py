"""The timer and the workers: whatever a transport does, turns are given back and everybody's turn comes."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import logging
import random
import socket
import sys
import threading
import time
from collections import Counter
from typing import Any

import backoff
import pytest
from google.auth.credentials import AnonymousCredentials, Credentials, TokenState

from lro_poller import WORKSPACE_EVENTS, Budget, History, OperationPoller, PollerClosed, PollError, PollTimeout
from lro_poller.wire import Reply

from .conftest import new_jumping_loop
from .scripted import Scripted, done, open_scripted, running
from .simulation.clock import SimulatedLoop

EVERY_SECOND = functools.partial(backoff.constant, interval=1)


async def after(seconds: float, reply: Reply) -> Reply:
    await asyncio.sleep(seconds)
    return reply


async def hang(*_: Any) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def stand_still(seconds: float) -> None:
    """As code does that holds the loop up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@pytest.mark.behaviour("B10")
def test_all_that_is_here_when_the_loop_goes_on_was_in_time() -> None:
    """More than are dealt with in one turn of the loop, which stands still for less than has it read once more first."""

    async def run() -> bool:
        """Whether this machine was fast enough to answer before the deadline."""
        gate = asyncio.Event()

        async def answer(name: str, attempt: int) -> Reply:
            await gate.wait()
            return done()

        async with open_scripted(Scripted(answer), max_in_flight=100) as poller:
            futures = [poller.submit(f"operations/{number}", deadline=0.3) for number in range(60)]
            await asyncio.sleep(0.25)
            gate.set()
            await asyncio.sleep(0)
            elapsed = futures[0].elapsed
            stand_still(0.33 - elapsed)
            await poller.wait_all(futures)
            in_time = elapsed < 0.29
            assert not in_time or [future.exception() for future in futures] == [None] * 60
            for future in futures:
                future.exception()
            return in_time

    assert any(asyncio.run(run()) for _ in range(50))


@pytest.mark.behaviour("B10")
def test_a_deadline_passes_though_the_loop_stood_still_while_a_poll_hangs() -> None:
    async def run() -> None:
        async with open_scripted(Scripted(hang)) as poller:
            future = poller.submit("operations/a", deadline=0.2)
            await asyncio.sleep(0.1)
            stand_still(0.4)
            with pytest.raises(PollTimeout):
                await future

    asyncio.run(run())


@pytest.mark.behaviour("B21")
async def test_closing_starts_no_poll() -> None:
    gate = asyncio.Event()

    async def answer(name: str, attempt: int) -> Reply:
        await gate.wait()
        return running()

    transport = Scripted(answer)
    async with open_scripted(transport, backoff=EVERY_SECOND) as poller:
        futures = [poller.submit(f"operations/{number}") for number in range(2_000)]
        for future in futures[-100:]:  # closing ends futures some hundreds at a time: these are among the last
            future.poll_now()
        await asyncio.sleep(1)
        sent = len(transport.sent)
        assert sent == 32
        gate.set()
        await asyncio.sleep(0)  # the replies are here
    assert len(transport.sent) == sent


# Transports.


class OddError(BaseException):
    """No Exception: what pytest.fail raises is none either."""


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("fields", [None, 3, "x", ("200", {}, b""), (200, {}, None), (200, None, b"{}")])
async def test_a_transport_that_returns_garbage_is_heard_of_at_once(fields: Any) -> None:
    garbage = Reply(*fields) if isinstance(fields, tuple) else fields
    transport = Scripted(lambda name, attempt: garbage if name == "operations/a" else done())
    async with open_scripted(transport, max_in_flight=1) as poller:
        broken, fine = poller.submit("operations/a", deadline=100), poller.submit("operations/b")
        assert await fine == {}
        with pytest.raises(PollError):
            await broken
        assert broken.elapsed < 1


@pytest.mark.behaviour("B19", "B22")
@pytest.mark.parametrize("error", [asyncio.CancelledError, OddError])
async def test_an_operation_outlives_a_poll_that_raises_what_no_transport_should(error: type[BaseException]) -> None:
    def answer(name: str, attempt: int) -> Reply:
        if attempt < 3:
            raise error
        return done()

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    async with open_scripted(Scripted(answer), max_in_flight=1) as poller:
        assert await poller.submit("operations/a", deadline=100) == {}
    assert {type(one) for one in reported} <= {error}


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize(
    "error, why", [(asyncio.CancelledError, "was cancelled from outside"), (OddError, "was ended by OddError")]
)
async def test_what_has_ended_a_poll_is_told_of_its_operation(error: type[BaseException], why: str) -> None:
    def answer(name: str, attempt: int) -> Reply:
        raise error

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with open_scripted(Scripted(answer), max_poll_failures=0) as poller:
        with pytest.raises(PollError, match=f"^operations/a: the poll failed: the poll {why}"):
            await poller.submit("operations/a")


@pytest.mark.behaviour("B21", "B22")
async def test_a_poller_goes_on_after_somebody_has_cancelled_every_task() -> None:
    transport = Scripted(lambda name, attempt: hang() if attempt == 1 else done())
    async with open_scripted(transport, max_in_flight=2) as poller:
        futures = [poller.submit(f"operations/{number}", deadline=100) for number in range(4)]
        await asyncio.sleep(1)
        for task in asyncio.all_tasks():
            if "lro-poller" in task.get_name():
                task.cancel()
        assert list(await asyncio.gather(*futures)) == [{}] * 4
        assert poller.budget.in_flight == 0


@pytest.mark.behaviour("B19", "B22")
@pytest.mark.parametrize("turns", range(7))
async def test_a_poll_whose_task_was_cancelled_is_made_again(turns: int) -> None:
    """At whatever turn of the loop: before the task began, while it polls, with its reply not dealt with yet."""
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport) as poller:
        future = poller.submit("operations/a", deadline=1000)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if task.get_name() == "lro-poller worker":
                task.cancel()
        assert await future == {}
        assert future.elapsed < 5
        assert poller.budget.in_flight == 0


@pytest.mark.behaviour("B19", "B22")
async def test_replies_that_wait_to_be_dealt_with_count_though_their_tasks_are_cancelled() -> None:
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport, max_in_flight=64) as poller:
        futures = [poller.submit(f"operations/{number}", deadline=1000) for number in range(64)]
        while not transport.sent:
            await asyncio.sleep(0)
        assert not any(future.done() for future in futures)
        for task in asyncio.all_tasks():
            if task.get_name() == "lro-poller worker":
                task.cancel()
        assert list(await asyncio.gather(*futures)) == [{}] * 64
        assert len(transport.sent) == 64


@pytest.mark.behaviour("B10", "B23")
async def test_a_late_reply_of_a_poll_that_was_cut_does_not_count_as_that_of_the_next() -> None:
    async def deaf(name: str, attempt: int) -> Reply:
        """Swallows its cancellation, and answers when the next poll is under way."""
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(4)
        return done({"n": attempt})

    transport = Scripted(lambda name, attempt: deaf(name, attempt) if attempt == 1 else after(10, done({"n": attempt})))
    async with open_scripted(transport, poll_timeout=20) as poller:
        future = poller.submit("operations/a", deadline=200)
        await asyncio.sleep(26)
        assert poller.budget.in_flight == poller.stats().in_flight == 1
        assert await future == {"n": 2}
    assert transport.polls("operations/a") == 2


@pytest.mark.behaviour("B21")
async def test_closing_does_not_wait_for_ever_for_a_transport_that_swallows_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def deaf() -> Reply:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return running()

    with caplog.at_level(logging.WARNING, "lro_poller"):
        poller = open_scripted(Scripted(lambda name, attempt: deaf()))
        await poller.__aenter__()
        with pytest.raises(PollTimeout):
            await poller.submit("operations/a", deadline=10)
        closing = asyncio.ensure_future(poller.__aexit__(None, None, None))
        await asyncio.wait([closing], timeout=20)
        closed_in_time = closing.done()
        release.set()
        await closing
    assert closed_in_time
    assert "left behind: 1" in caplog.text


@pytest.mark.behaviour("B21")
async def test_closing_waits_for_a_transport_that_takes_a_while_to_end_a_poll(caplog: pytest.LogCaptureFixture) -> None:
    async def slow(name: str, attempt: int) -> Reply:
        try:
            return await hang()
        finally:
            await asyncio.sleep(5)

    transport = Scripted(slow)
    with caplog.at_level(logging.WARNING, "lro_poller"):
        async with open_scripted(transport) as poller:
            poller.submit("operations/a")
            await asyncio.sleep(1)
    assert transport.in_flight == 0
    assert "left behind" not in caplog.text


@pytest.mark.behaviour("B21")
async def test_closing_does_not_wait_for_ever_for_a_transport_that_does_not_close() -> None:
    class Stuck(Scripted):
        async def aclose(self) -> None:
            await hang()

    loop = asyncio.get_running_loop()
    async with open_scripted(Stuck(lambda name, attempt: done())) as poller:
        assert await poller.submit("operations/a") == {}
        began = loop.time()
    assert loop.time() - began < 20


@pytest.mark.behaviour("B10", "B19")
async def test_a_transport_that_never_waits_leaves_the_loop_to_others() -> None:
    transport = Scripted(lambda name, attempt: running())
    async with open_scripted(transport, backoff=functools.partial(backoff.constant, interval=0)) as poller:
        future = poller.submit("operations/a")
        for _ in range(100):
            await asyncio.sleep(0)
        assert not future.done()
        assert 0 < transport.polls("operations/a") < 10_000


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.behaviour("B19", "B20")
async def test_workers_may_start_eagerly() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    futures: dict[str, Any] = {}

    def answer(name: str, attempt: int) -> Reply:
        if name == "operations/cancelled":
            futures[name].cancel()
        if name == "operations/odd" and attempt == 1:
            raise asyncio.CancelledError
        return done()

    async with open_scripted(Scripted(answer), max_in_flight=1) as poller:
        for name in ("operations/cancelled", "operations/odd", "operations/fine"):
            futures[name] = poller.submit(name, deadline=100)
        assert await futures["operations/fine"] == await futures["operations/odd"] == {}
        assert futures["operations/cancelled"].cancelled()
        assert poller.budget.in_flight == 0
    loop.set_task_factory(None)


@pytest.mark.behaviour("B20")
async def test_a_transport_may_cancel_what_it_polls() -> None:
    futures: dict[str, Any] = {}

    def answer(name: str, attempt: int) -> Reply:
        futures[name].cancel()
        return done()

    async with open_scripted(Scripted(answer), max_in_flight=1) as poller:
        for number in range(5):
            futures[f"operations/{number}"] = poller.submit(f"operations/{number}")
        await poller.drain()
        await asyncio.sleep(1)
        assert all(future.cancelled() for future in futures.values())
        assert poller.budget.in_flight == 0


# What has arrived is dealt with in the next turn of the loop.


@pytest.mark.behaviour("B12")
async def test_an_outcome_that_arrives_as_its_deadline_passes_was_in_time() -> None:
    loop, late = asyncio.get_running_loop(), 0.0
    keep_time = loop.time
    loop.time = lambda: keep_time() + late  # type: ignore[method-assign]
    reply: asyncio.Future[Reply] = loop.create_future()
    async with open_scripted(Scripted(lambda name, attempt: reply), poll_timeout=1000) as poller:
        future = poller.submit("operations/a", deadline=50)
        await asyncio.sleep(1)
        reply.set_result(done())
        late = 100.0  # the timer for the deadline rings in the very turn in which the poll ends
        assert await future == {}


@pytest.mark.behaviour("B21")
@pytest.mark.parametrize("turns", range(8))
async def test_an_outcome_that_arrives_as_the_poller_closes_is_not_lost(turns: int) -> None:
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport) as poller:
        future = poller.submit("operations/a")
        for _ in range(turns):
            await asyncio.sleep(0)
        answered = bool(transport.sent)
    if answered:
        assert await future == {}
    else:
        with pytest.raises(PollerClosed):
            await future


@pytest.mark.behaviour("B19")
def test_what_ends_the_program_takes_no_other_outcome_along(caplog: pytest.LogCaptureFixture) -> None:
    def ends() -> Any:
        raise SystemExit

    loop = new_jumping_loop()
    transport = Scripted(lambda name, attempt: running() if name == "operations/a" else done())

    async def start() -> tuple[Any, Any]:
        poller = await open_scripted(transport).__aenter__()
        poller.submit("operations/a", backoff=ends)
        return poller, [poller.submit(f"operations/{number}") for number in range(3)]

    poller, futures = loop.run_until_complete(start())
    with pytest.raises(SystemExit):
        loop.run_until_complete(asyncio.sleep(1))
    assert loop.run_until_complete(asyncio.sleep(1, [future.done() for future in futures])) == [False] * 3
    assert [future.result() for future in futures] == [{}] * 3
    assert poller.budget.in_flight == 0
    loop.run_until_complete(poller.__aexit__(None, None, None))
    assert "left behind" not in caplog.text
    loop.close()


class Interrupting(Credentials):
    """A token that is always fresh; who asks for its state is interrupted when `armed` says so."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.token = "token"
        self.armed = False

    @property
    def token_state(self) -> TokenState:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
        return TokenState.FRESH

    def refresh(self, request: Any) -> None: ...


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("dealing", [False, True])
def test_an_interruption_in_the_credentials_loses_no_operation(dealing: bool, caplog: pytest.LogCaptureFixture) -> None:
    """As a worker starts, or as one that is there is given its next poll."""
    loop = new_jumping_loop()
    credentials = Interrupting()

    async def answer(name: str, attempt: int) -> Reply:
        await asyncio.sleep(2)  # a fresh token is not looked at for a second
        if dealing and name == "operations/0":
            credentials.armed = True
        return done()

    async def wait(poller: Any) -> list[Any]:
        credentials.armed = not dealing
        futures = [poller.submit(f"operations/{number}") for number in range(6)]
        await asyncio.sleep(100)
        return futures

    poller = loop.run_until_complete(
        open_scripted(Scripted(answer), credentials=credentials, max_in_flight=2).__aenter__()
    )
    waiting, interrupts = loop.create_task(wait(poller)), 0
    while not waiting.done():
        try:
            loop.run_until_complete(waiting)
        except KeyboardInterrupt:
            interrupts += 1
    assert interrupts == 1
    assert [future.done() for future in waiting.result()] == [True] * 6
    assert poller.budget.in_flight == 0
    loop.run_until_complete(poller.__aexit__(None, None, None))
    assert "left behind" not in caplog.text
    loop.close()


@pytest.mark.behaviour("B23")
async def test_when_polls_are_short_whoever_is_worth_most_goes_first() -> None:
    """Sixty that end at any time are always due; one that ends after ten seconds is looked at then."""
    loop, history, dice = asyncio.get_running_loop(), History(), random.Random(0)
    for _ in range(200):
        history.add(WORKSPACE_EVENTS, "steep", dice.uniform(9.5, 10.5))
        history.add(WORKSPACE_EVENTS, "broad", dice.lognormvariate(4, 1.5))
    began = loop.time()
    transport = Scripted(
        lambda name, attempt: done() if name == "operations/steep" and loop.time() > began + 10.5 else running()
    )
    async with open_scripted(transport, history=history, max_rate=1.0) as poller:
        for number in range(60):
            poller.submit({"name": f"operations/{number}"}, kind="broad")
        assert await poller.submit({"name": "operations/steep"}, kind="steep") == {}
        assert loop.time() - began < 20
        assert poller.stats().overdue > 30


@pytest.mark.behaviour("B23")
async def test_by_which_order_polls_go_is_told_by_those_that_found_no_end_as_well() -> None:
    async with open_scripted(Scripted(lambda name, attempt: running()), max_rate=1.0) as poller:
        for number in range(20):
            poller.submit(f"operations/{number}")
        await asyncio.sleep(20)
        assert poller._runner is not None
        orders = poller._runner._queue._orders
        assert (sum(orders._polls) > 10, sum(orders._ends)) == (True, 0)


# Pollers that share a budget.


@pytest.mark.behaviour("B23")
async def test_a_poller_gets_the_room_that_another_one_leaves() -> None:
    budget = Budget(1)
    first = Scripted(lambda name, attempt: after(5, done()))
    second = Scripted(lambda name, attempt: done())
    async with open_scripted(first, budget=budget) as one, open_scripted(second, budget=budget) as other:
        holding = one.submit("operations/a")
        await asyncio.sleep(1)
        waiting = other.submit("operations/b", deadline=100)
        assert await waiting == await holding == {}
        assert waiting.elapsed == pytest.approx(4, abs=0.1)


@pytest.mark.behaviour("B23")
async def test_a_poller_that_needs_its_place_in_line_no_more_holds_nobody_up() -> None:
    budget = Budget(1)
    slow = Scripted(lambda name, attempt: after(5, done()))
    async with open_scripted(slow, budget=budget) as one, open_scripted(slow, budget=budget) as other:
        futures = [one.submit(f"operations/{number}", deadline=100) for number in range(3)]
        await asyncio.sleep(1)
        waiting = other.submit("operations/b")
        await asyncio.sleep(1)
        waiting.cancel()
        assert list(await asyncio.gather(*futures)) == [{}] * 3
        assert futures[-1].elapsed == pytest.approx(15, abs=0.1)


@pytest.mark.behaviour("B21", "B23")
async def test_a_poller_that_closes_leaves_its_room_and_its_place_to_others() -> None:
    budget = Budget(1)
    stuck, fine = Scripted(hang), Scripted(lambda name, attempt: done())
    async with open_scripted(fine, budget=budget) as one:
        async with open_scripted(stuck, budget=budget) as other:
            other.submit("operations/a")
            other.submit("operations/b")
            await asyncio.sleep(1)
            waiting = one.submit("operations/c", deadline=100)
            await asyncio.sleep(1)
        assert await waiting == {}
    assert budget.in_flight == 0


@pytest.mark.behaviour("B23")
async def test_pollers_that_share_a_rate_take_turns() -> None:
    budget = Budget(32, 1.0)
    transports = [Scripted(lambda name, attempt: running()) for _ in range(2)]
    async with (
        open_scripted(transports[0], budget=budget, backoff=EVERY_SECOND) as one,
        open_scripted(transports[1], budget=budget, backoff=EVERY_SECOND) as other,
    ):
        for number in range(5):
            one.submit(f"operations/{number}")
        other.submit("operations/a")
        await asyncio.sleep(40)
    times = sorted(when for transport in transports for when, _ in transport.sent)
    assert len(times) == pytest.approx(40, abs=2)
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.999
    assert len(transports[1].sent) >= 15


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("limits", [(1,), (32, 20.0)], ids=["cap", "rate"])
def test_a_budget_outlives_a_loop_in_which_a_poller_stood_in_line(limits: tuple[Any, ...]) -> None:
    budget = Budget(*limits)

    async def leave() -> None:
        for _ in range(3):
            poller = await open_scripted(Scripted(hang), budget=budget).__aenter__()
            for name in ("operations/a", "operations/b"):
                poller.submit(name)
            await asyncio.sleep(0.01)

    async def poll() -> Any:
        async with open_scripted(Scripted(lambda name, attempt: done()), budget=budget) as poller:
            futures = [poller.submit(f"operations/{number}", deadline=5) for number in range(3)]
            return list(await asyncio.gather(*futures))

    asyncio.run(leave())
    gc.collect()
    assert asyncio.run(poll()) == [{}] * 3


@pytest.mark.behaviour("B23")
async def test_what_arrives_together_is_dealt_with_by_the_handful() -> None:
    """Sixteen replies in a row: fewer are dearer, and more have the garbage collector look at all of them."""
    loop, gate, dealt, turn = asyncio.get_running_loop(), asyncio.Event(), list[int](), 0

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        if len(dealt) < 64:
            loop.call_soon(count_turns)

    async def wait_for_all() -> Reply:
        await gate.wait()
        return done()

    async with open_scripted(Scripted(lambda name, attempt: wait_for_all()), max_in_flight=64) as poller:
        futures = [poller.submit(f"operations/{number}", decode=lambda _: dealt.append(turn)) for number in range(64)]
        await asyncio.sleep(1)
        gate.set()
        count_turns()
        await asyncio.gather(*futures)
    assert set(Counter(dealt).values()) == {16}


class RoundingLoop(SimulatedLoop):
    """A loop that waits in whole milliseconds and rounds to the nearest, as uvloop does."""

    def __init__(self) -> None:
        super().__init__()
        self.timers_set = 0

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:  # type: ignore[override]
        self.timers_set += 1
        rounded = self.time() + round((when - self.time()) * 1000) / 1000
        return super().call_at(rounded, callback, *args, context=context)


@pytest.mark.behaviour("B23")
def test_a_loop_that_rounds_its_timers_down_is_not_made_to_spin() -> None:
    waits = functools.partial(backoff.constant, interval=[1.0004])

    async def poll() -> int:
        async with open_scripted(Scripted(lambda name, attempt: running()), backoff=waits, deadline=100) as poller:
            futures = await poller.wait_all(f"operations/{number}" for number in range(5))
            return sum(future.polls for future in futures if isinstance(future.exception(), PollTimeout))

    loop = RoundingLoop()
    try:
        polls = loop.run_until_complete(poll())
    finally:
        loop.close()
    assert 400 < polls < 520
    assert loop.timers_set < 4 * polls


class Narrow(Scripted):
    """A transport that carries two requests at once, or says nonsense of it."""

    says: Any = 2

    def capacity(self) -> Any:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("shared", [False, True])
async def test_no_more_is_sent_at_once_than_the_transport_carries(*, shared: bool) -> None:
    transport = Narrow(lambda name, attempt: after(1, done()))
    budget = Budget(max_in_flight=8)
    async with open_scripted(transport, budget=budget) as poller:
        others = Scripted(lambda name, attempt: after(0.5, done()))
        async with open_scripted(others, budget=budget if shared else None) as other:
            began = asyncio.get_running_loop().time()
            theirs = [other.submit(f"operations/{number}") for number in range(60)]
            await poller.wait_all([f"operations/{number}" for number in range(10)])
            assert asyncio.get_running_loop().time() - began < 6
            await other.wait_all(theirs)
    assert transport.most_in_flight == 2
    assert others.most_in_flight in ((6, 7, 8) if shared else (32,))


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("before", [0, 1])
async def test_a_transport_that_takes_more_later_is_asked_again(before: int) -> None:
    transport = Narrow(lambda name, attempt: after(20 if name == "operations/0" else 1, done()))
    transport.says = before
    async with open_scripted(transport) as poller:
        futures = [poller.submit(f"operations/{number}") for number in range(6)]
        await asyncio.sleep(3)
        assert transport.most_in_flight == 1
        transport.says = 10
        await asyncio.sleep(2)
        assert [future.done() for future in futures] == [False, True, True, True, True, True]
        await futures[0]


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("says", [RuntimeError("no idea"), "many", None])
async def test_a_transport_that_does_not_know_what_it_carries_is_not_limited(says: Any) -> None:
    transport = Narrow(lambda name, attempt: after(1, done()))
    transport.says = says
    async with open_scripted(transport) as poller:
        await poller.wait_all([f"operations/{number}" for number in range(10)])
    assert transport.most_in_flight == 10


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the real clock, which goes on while the loop stands still
@pytest.mark.parametrize("limit", ["deadline", "poll_timeout"])
async def test_what_came_while_the_program_stood_still_was_in_time(limit: str) -> None:
    """As when a machine is suspended: the reply is in the socket, and the timer rings before it is read."""

    def serve() -> None:
        connection = listener.accept()[0]
        with connection:
            connection.recv(4096)
            answered.wait(10)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"done": true}')

    def stand_still() -> None:
        answered.set()
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass

    answered = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options: dict[str, Any] = {"poll_timeout": 0.2, "max_poll_failures": 0} if limit == "poll_timeout" else {}
        async with OperationPoller(endpoint=origin, credentials=AnonymousCredentials(), **options) as poller:
            future = poller.submit("operations/a", deadline=0.2 if limit == "deadline" else 60)
            asyncio.get_running_loop().call_later(0.1, stand_still)
            assert await future is None
            assert future.polls == 1
