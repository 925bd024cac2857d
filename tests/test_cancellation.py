"""Cancelling each public coroutine at each of its suspensions, one at a time.

A coroutine is driven step by step, and its task cancelled when it suspends for the first
time, in another run the second, and so on until it is through: as it begins to wait, and
just as what it waits for has come. What goes on behind it is met at each turn of the loop:
the first, in another run the second, and so on. After every run the poller must still work,
others must have their outcomes, and once all is closed there may be no task, timer,
connection or descriptor left, and nothing reported to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import threading
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import looptime
import pytest

from lro_poller import WORKSPACE_EVENTS, Operation, OperationFuture, OperationPoller, PollerClosed, Updates
from lro_poller.testing import Emulator, Fault, Hang, HttpError

from .conftest import make_poller
from .test_auth import Tokens

CANCELLABLE = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
METADATA = [{"step": step} for step in range(5)]

Coro: TypeAlias = Coroutine[Any, Any, Any]


class Cut:
    """Cancels the current task at one moment in the run of one coroutine.

    Attributes:
        at: Which suspension, or which turn of the loop.
        when: `waiting`, as it begins to wait; `woken`, as what it waits for has come; `turn`, at a turn of the loop.
        reached: Whether the coroutine got as far as that.
    """

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.reached = False

    async def __call__(self, coro: Coro) -> Any:
        """Awaits `coro`; its result, or None when it was cancelled."""
        task = asyncio.current_task()
        assert task is not None
        turns = asyncio.ensure_future(self._count_turns(task)) if self.when == "turn" else None
        try:
            result = await self._drive(coro, task)
        except asyncio.CancelledError:
            assert self.reached
            task.uncancel()
            result = None
        finally:
            if turns is not None:
                turns.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(
                0
            )  # this step of the task holds the CancelledError, and that the frames it came through
        if task.cancelling():  # the coroutine was through before the cancellation arrived
            task.uncancel()
        return result

    async def _count_turns(self, task: asyncio.Task[Any]) -> None:
        for _ in range(self.at):
            await asyncio.sleep(0)
        self.reached = True
        task.cancel()

    @types.coroutine
    def _drive(self, coro: Coro, task: asyncio.Task[Any]) -> Generator[Any, Any, Any]:
        sent: Any = None
        thrown: BaseException | None = None
        suspensions = 0
        while True:
            try:
                waited = coro.send(sent) if thrown is None else coro.throw(thrown)
            except StopIteration as stop:
                return stop.value
            finally:
                sent = thrown = None  # or this frame would keep the coroutine's alive
            suspensions += 1
            if suspensions == self.at and self.when != "turn":
                self.reached = True
                self._cancel(task, waited)
            try:
                sent = yield waited
            except BaseException as error:  # cancellation too is the coroutine's to see
                thrown = error

    def _cancel(self, task: asyncio.Task[Any], waited: Any) -> None:
        if self.when == "waiting":
            task.cancel()
        elif waited is None:
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            waited.add_done_callback(lambda _: task.cancel())


def cuts() -> Iterator[Cut]:
    """One for each suspension and each turn of the loop, until one is not reached any more."""
    for when, most in (("waiting", 60), ("woken", 60), ("turn", 40)):
        for at in range(1, most):
            cut = Cut(at, when)
            yield cut
            if not cut.reached:
                assert at > 1, "the coroutine never suspends: there is nothing to cancel"
                break
        else:
            assert when == "turn", f"more than {most} suspensions"


def sweep(
    scenario: Callable[[Cut], Coro], loop_factory: Callable[[], asyncio.AbstractEventLoop] = looptime.new_event_loop
) -> None:
    """Runs `scenario` once for each cut, each in a loop of its own, and looks for what is left."""
    gc.collect()
    gc.freeze()  # so that the many collections to come look at what the scenarios make alone
    try:
        for cut in cuts():
            run_one(scenario(cut), loop_factory)
    finally:
        gc.unfreeze()


def run_one(scenario: Coro, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    before = descriptors()
    reports: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(lambda _, report: reports.append(report))
        runner.run(scenario)
        runner.run(nothing_is_left())
        gc.collect()
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(5)
    assert not reports
    assert descriptors() == before


async def nothing_is_left() -> None:
    """No task, no timer and no connection, once what was cancelled has had a turn to end."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert not timers
    assert not dict(loop._transports)  # type: ignore[attr-defined]


def descriptors() -> int:
    """How many files and sockets this process has open."""
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


def held(kind: type) -> int:
    """How many objects of that kind somebody still holds."""
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@contextlib.asynccontextmanager
async def service(**options: Any) -> AsyncIterator[tuple[Emulator, OperationPoller]]:
    """A poller with a bystander, which must have its outcome in the end, as must one that comes later."""
    async with (
        Emulator(cancellable=True) as emulator,
        make_poller(emulator.origin, service=CANCELLABLE, **options) as poller,
    ):
        bystander = poller.submit(emulator.add_operation(duration=90.0, response={"n": 1}))
        yield emulator, poller
        assert await bystander == {"n": 1}
        assert await poller.submit(emulator.add_operation(response={"n": 2})) == {"n": 2}
        assert (await poller.get(emulator.add_operation())).done


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failed polls are warned of; that is no matter here."""
    caplog.set_level("ERROR")


pytestmark = pytest.mark.behaviour("B22")


def test_get() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            name = emulator.add_operation()
            operation = await cut(poller.get(name))
            assert operation is None or operation.done
            await asyncio.sleep(60)
            at_once = (cut.when, cut.at) == ("waiting", 1)
            assert emulator.polls(name) <= (0 if at_once else 1)  # nothing is asked for whoever has left

    sweep(scenario)


def test_get_of_an_operation_that_others_wait_for() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            name = emulator.add_operation(duration=30.0, response={"n": 3})
            future = poller.submit(name)
            await cut(poller.get(name))
            assert await future == {"n": 3}

    sweep(scenario)


def test_cancel() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            name = emulator.add_operation(duration=30.0, response={"n": 3})
            future = poller.submit(name)
            await cut(poller.cancel(name))
            assert await asyncio.gather(future, return_exceptions=True)  # cancelled or not, it has an outcome

    sweep(scenario)


def test_wait_all_abandons_what_it_submitted_and_nothing_else() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            names = [emulator.add_operation(duration=duration, response={}) for duration in (0.0, 20.0, 40.0)]
            given = poller.submit(names[1])
            futures = await cut(poller.wait_all([names[0], given, names[2]]))
            if futures is None:
                await asyncio.sleep(1)  # what was sent already may arrive
                before = emulator.polls(names[2])
                await asyncio.sleep(500)
                assert emulator.polls(names[2]) == before
            assert await given == {}

    sweep(scenario)


def test_as_completed_leaves_what_is_pending_to_others() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            futures = [poller.submit(emulator.add_operation(duration=d, response={})) for d in (0.0, 20.0, 40.0)]

            async def consume() -> int:
                return len([await future async for future in poller.as_completed(futures)])

            assert await cut(consume()) in (None, 3)
            assert [await future for future in futures] == [{}, {}, {}]

    sweep(scenario)


def test_drain() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            future = poller.submit(emulator.add_operation(duration=20.0, response={}))
            await cut(poller.drain())
            assert await future == {}

    sweep(scenario)


def test_awaiting_a_future() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            future = poller.submit(emulator.add_operation(duration=20.0, response={"n": 3}))

            async def wait() -> Any:
                return await future

            other = asyncio.ensure_future(wait())
            await asyncio.sleep(0.5)  # a time in which no poll is under way, whose futures would be counted
            before = held(asyncio.Future)
            assert await cut(wait()) in (None, {"n": 3})
            cut_off = cut.reached and cut.when == "waiting"  # else a poll has just ended, whose futures are there yet
            assert not cut_off or held(asyncio.Future) <= before
            assert not future.cancelled()
            assert await other == {"n": 3}

    sweep(scenario)


def test_a_stream_of_updates() -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            name = emulator.add_operation(duration=None, polls=5, metadata=METADATA, response={})
            future = poller.submit(name)

            async def follow() -> list[Operation]:
                async with future.updates() as stream:
                    return [operation async for operation in stream]

            await cut(follow())
            assert held(Updates) == 0
            async with future.updates() as rest:
                last = [operation.metadata async for operation in rest][-1]
            assert last == METADATA[-1]
            assert await future == {}

    sweep(scenario)


@pytest.mark.parametrize("wait", ["wait_all", "as_completed", "drain"])
def test_what_waits_for_several_leaves_nothing_on_their_futures(wait: str) -> None:
    async def scenario(cut: Cut) -> None:
        async with service() as (emulator, poller):
            future = poller.submit(emulator.add_operation(duration=20.0, response={}))

            async def consume() -> None:
                async for _ in poller.as_completed([future]):
                    pass

            waiting = {"wait_all": lambda: poller.wait_all([future]), "as_completed": consume, "drain": poller.drain}
            before = held(asyncio.Queue)
            await cut(waiting[wait]())
            assert held(asyncio.Queue) == before
            assert await future == {}

    sweep(scenario)


@pytest.mark.parametrize("given", [True, False], ids=["given credentials", "default credentials"])
def test_entering(given: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    user = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    file.write_text(json.dumps(user))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")

    async def scenario(cut: Cut) -> None:
        options = {"credentials": Tokens()} if given else {}
        poller = OperationPoller(endpoint="http://127.0.0.1:1", **options)  # type: ignore[arg-type]
        entered = await cut(poller.__aenter__())
        if entered is not None:
            await poller.__aexit__(None, None, None)
        else:
            with pytest.raises(RuntimeError, match="not open"):
                poller.submit("operations/a")
        async with poller if entered is None else contextlib.nullcontext():
            pass  # cancelled, it can be entered all the same

    if given:
        cut = Cut(1, "waiting")
        with asyncio.Runner() as runner:
            runner.run(scenario(cut))
        assert not cut.reached  # it does not wait at all
    else:
        sweep(scenario, asyncio.new_event_loop)


@pytest.mark.parametrize("situation", ["parked", "in flight", "retrying", "looking", "cancelling"])
def test_leaving(situation: str) -> None:
    async def scenario(cut: Cut) -> None:
        async with Emulator(cancellable=True) as emulator:
            poller = await make_poller(emulator.origin, service=CANCELLABLE).__aenter__()
            faults: dict[str, list[Fault]] = {
                "in flight": [Hang()],
                "retrying": [HttpError(503)] * 50,
                "looking": [Hang(), Hang()],
            }
            name = emulator.add_operation(duration=None, faults=faults.get(situation, []))
            futures = [
                poller.submit(
                    name, deadline=5.0, at_deadline="cancel_and_wait" if situation == "cancelling" else "leave"
                ),
                poller.submit(emulator.add_operation(response={})),
            ]
            look = asyncio.ensure_future(poller.get(name)) if situation == "looking" else None
            while not futures[1].done() or not emulator.operations[name].polls:
                await asyncio.sleep(0.1)
            if situation == "cancelling":
                await asyncio.sleep(5.0 - futures[0].elapsed)
            began = asyncio.get_running_loop().time()
            await cut(poller.__aexit__(None, None, None))
            assert asyncio.get_running_loop().time() - began < (11.0 if situation == "cancelling" else 1.0)
            assert isinstance(futures[0].exception(), Exception)
            assert futures[1].result() == {}
            if look is not None:
                with pytest.raises(PollerClosed):
                    await look
            with pytest.raises(RuntimeError, match="closed"):
                poller.submit(name)

    sweep(scenario)


def test_a_poll_that_waits_for_a_token() -> None:
    async def scenario(cut: Cut) -> None:
        tokens = Tokens(held=True)
        async with (
            Emulator() as emulator,
            OperationPoller(endpoint=emulator.origin, credentials=tokens, random=lambda: 0.5) as poller,
        ):
            name = emulator.add_operation(response={})
            others: list[OperationFuture[Any]] = []
            asyncio.get_running_loop().call_later(0.02, tokens.gate.set)
            asyncio.get_running_loop().call_soon(lambda: others.append(poller.submit(name)))
            await cut(poller.get(name))  # its poll is the one that fetches the token
            assert await others[0] == {}
            assert tokens.refreshes == 1

    sweep(scenario, asyncio.new_event_loop)


def test_entering_and_leaving_the_emulator() -> None:
    async def enter(cut: Cut) -> None:
        emulator = Emulator()
        if await cut(emulator.__aenter__()) is not None:
            await emulator.__aexit__(None, None, None)

    async def leave(cut: Cut) -> None:
        emulator = await Emulator().__aenter__()
        async with make_poller(emulator.origin) as poller:
            await poller.submit(emulator.add_operation())
            await cut(emulator.__aexit__(None, None, None))

    sweep(enter)
    sweep(leave)
