"""Futures: what asyncio's have, and what only operations have."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import json
import pickle
import time
from typing import Any

import pytest

from lro_poller import Code, DecodeError, NotFound, OperationFuture, OperationPoller, PollTimeout
from lro_poller.testing import Emulator, HttpError
from lro_poller.wire import Reply

from .conftest import make_poller
from .scripted import Scripted, done, open_scripted, running


@pytest.mark.behaviour("B7", "B20")
async def test_cancelling_an_await_stops_nothing_else(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(duration=30, response={})
    future = poller.submit(name)
    awaits = [asyncio.ensure_future(_outcome(future)) for _ in range(3)]
    await asyncio.sleep(5)
    awaits[0].cancel()
    assert await asyncio.gather(*awaits[1:]) == [{}, {}]
    assert awaits[0].cancelled()
    assert emulator.polls(name) == future.polls


@pytest.mark.behaviour("B20")
async def test_cancelling_the_future_stops_the_polling(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(duration=None)
    future = poller.submit(name)
    await asyncio.sleep(5)
    assert future.cancel()
    assert not future.cancel()
    polls = emulator.polls(name)
    await asyncio.sleep(100)
    assert emulator.polls(name) == polls
    with pytest.raises(asyncio.CancelledError):
        await future


@pytest.mark.behaviour("B20", "B24")
async def test_that_thousands_stop_waiting_costs_in_proportion(emulator: Emulator, poller: OperationPoller) -> None:
    future = poller.submit(emulator.add_operation(duration=None))

    async def wait() -> None:
        await future

    tasks = [asyncio.create_task(wait()) for _ in range(30_000)]
    await asyncio.sleep(1)
    before = time.thread_time()
    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)
    assert time.thread_time() - before < 4  # what is quadratic takes twice as long, and more on most machines
    assert not future.done()


@pytest.mark.behaviour("B8", "B19")
async def test_callbacks_run_once_and_one_that_raises_stops_nothing(
    emulator: Emulator, poller: OperationPoller
) -> None:
    heard: list[Any] = []
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    future = poller.submit(emulator.add_operation(error=Code.NOT_FOUND))
    future.add_done_callback(lambda done: 1 / 0)
    future.add_done_callback(heard.append)
    future.add_done_callback(reported.append)
    assert future.remove_done_callback(reported.append) == 1
    with pytest.raises(NotFound):
        await future
    await asyncio.sleep(0)
    assert heard == [future]
    assert [type(error) for error in reported] == [ZeroDivisionError]
    asyncio.get_running_loop().set_exception_handler(None)


@pytest.mark.behaviour("B8")
async def test_who_waits_and_who_is_called_hear_in_the_order_in_which_they_came(
    emulator: Emulator, poller: OperationPoller
) -> None:
    """As with asyncio's futures."""
    heard: list[int] = []

    async def wait(number: int) -> None:
        await future
        heard.append(number)

    future = poller.submit(emulator.add_operation(duration=30))
    tasks = []
    for number in range(0, 6, 2):
        future.add_done_callback(lambda _, number=number: heard.append(number))  # type: ignore[misc]
        tasks.append(asyncio.ensure_future(wait(number + 1)))
        await asyncio.sleep(1)
    await asyncio.wait(tasks)
    assert heard == [0, 1, 2, 3, 4, 5]


@pytest.mark.behaviour("B9")
async def test_updates_show_each_change_to_the_last(emulator: Emulator, poller: OperationPoller) -> None:
    steps = [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 3}]
    future = poller.submit(emulator.add_operation(polls=3, metadata=steps, response={}))
    async with future.updates() as stream:
        seen = [operation.metadata["n"] async for operation in stream]
    assert seen == [1, 2, 3]
    assert future.done()
    async with future.updates() as late:
        assert [operation.done async for operation in late] == [True]


@pytest.mark.behaviour("B9")
async def test_a_slow_reader_sees_the_newest(emulator: Emulator, poller: OperationPoller) -> None:
    steps = [{"n": number} for number in range(20)]
    future = poller.submit(emulator.add_operation(polls=19, metadata=steps, response={}))
    async with future.updates() as stream:
        await future
        assert [operation.metadata["n"] async for operation in stream] == [19]


@pytest.mark.behaviour("B9")
async def test_a_stream_that_was_not_entered_says_so(emulator: Emulator, poller: OperationPoller) -> None:
    future = poller.submit(emulator.add_operation(response={}))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(aiter(future.updates()))
    stream = future.updates()
    async with stream:
        with pytest.raises(RuntimeError, match="entered once"):
            await stream.__aenter__()
    await future


@pytest.mark.behaviour("B9")
async def test_leaving_a_stream_ends_a_reader_in_another_task(emulator: Emulator, poller: OperationPoller) -> None:
    future = poller.submit(emulator.add_operation(duration=None))
    async with future.updates() as stream:
        await asyncio.sleep(5)
        await anext(stream)
        reading = asyncio.ensure_future(_collect(stream))
        await asyncio.sleep(0)
    assert await reading == []
    future.cancel()


@pytest.mark.behaviour("B6", "B19")
async def test_a_decoder_that_raises_is_heard_of_on_its_own_future(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(response={"n": 1})
    broken, fine = poller.submit(name, decode=lambda value: 1 / value["n"][0]), poller.submit(name)
    assert await fine == {"n": 1}
    with pytest.raises(DecodeError) as caught:
        await broken
    assert caught.value.operation.response == {"n": 1}
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.behaviour("B7")
async def test_asyncios_own_tools_take_it(emulator: Emulator, poller: OperationPoller) -> None:
    first, second = (poller.submit(emulator.add_operation(duration=seconds, response={})) for seconds in (2, 500))
    done, pending = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    assert (done, pending) == ({first}, {second})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second, 10)
    assert not second.done()
    assert list(await asyncio.gather(first, second)) == [{}, {}]


async def _outcome(future: Any) -> Any:
    return await future


async def _collect(stream: Any) -> list[Any]:
    return [operation async for operation in stream]


@pytest.mark.behaviour("B2", "B11")
async def test_each_ending_has_a_word_of_its_own(emulator: Emulator) -> None:
    ends: dict[str, dict[str, Any]] = {
        "pending": {"duration": None},
        "succeeded": {"response": {"n": 1}},
        "failed": {"error": Code.NOT_FOUND},
        "poll failed": {"faults": [HttpError(403)]},
        "timed out": {"duration": 60},
        "DecodeError": {"response": {"n": "text"}},
    }
    names = {word: emulator.add_operation(**script) for word, script in ends.items()}
    async with make_poller(emulator.origin) as poller:
        futures = {
            word: poller.submit(name, deadline=5 if word == "timed out" else None, decode=dict[str, int])
            for word, name in names.items()
        }
        futures["cancelled"] = poller.submit(emulator.add_operation(duration=None))
        await asyncio.sleep(10)
        futures["cancelled"].cancel()
        for word, future in futures.items():
            assert f" {word}, " in repr(future)
            _ = word in ("pending", "cancelled") or future.exception()
    assert " poller closed, " in repr(futures["pending"])


def test_a_stream_of_updates_is_read_in_its_own_loop(lro_emulator: Emulator) -> None:
    async def open_poller() -> tuple[OperationPoller, OperationFuture[Any]]:
        poller = await make_poller(lro_emulator.origin).__aenter__()
        return poller, poller.submit(lro_emulator.add_operation(duration=None))

    async def read(future: OperationFuture[Any]) -> None:
        async with future.updates():
            raise AssertionError

    with asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        poller, future = home.run(open_poller())
        with pytest.raises(RuntimeError, match="is used outside its event loop; each loop needs a poller of its own"):
            elsewhere.run(read(future))
        home.run(poller.__aexit__(None, None, None))


def test_whoever_is_outside_the_loop_is_told_the_way_in_and_may_cancel_while_it_rests(lro_emulator: Emulator) -> None:
    poller = make_poller(lro_emulator.origin)

    async def submit() -> OperationFuture[Any]:
        await poller.__aenter__()
        return poller.submit(lro_emulator.add_operation(duration=None))

    async def read(future: OperationFuture[Any]) -> None:
        async with future.updates():
            raise AssertionError

    async def read_elsewhere(future: OperationFuture[Any]) -> None:
        await asyncio.to_thread(asyncio.run, read(future))

    with asyncio.Runner() as home:
        future = home.run(submit())
        with pytest.raises(RuntimeError, match="outside its event loop; call it in an 'async def' that this loop runs"):
            poller.submit("operations/a")
        with pytest.raises(RuntimeError, match="outside its event loop; from another thread, hand a function to"):
            home.run(read_elsewhere(future))
        assert future.cancel()
        assert future.cancelled()
        home.run(poller.__aexit__(None, None, None))


def test_after_its_loop_nothing_is_reported_of_a_failure(lro_emulator: Emulator) -> None:
    async def fail() -> OperationFuture[Any]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["message"]))
        async with make_poller(lro_emulator.origin) as poller:
            future = poller.submit(lro_emulator.add_operation(error=Code.ABORTED))
            await asyncio.wait([asyncio.ensure_future(poller.drain())])
        return future

    heard = list[str]()
    future = asyncio.run(fail())
    assert future.done()
    del future
    gc.collect()
    assert heard == []


@pytest.mark.behaviour("B22")
async def test_a_future_may_end_in_the_moment_in_which_whoever_awaits_it_is_cancelled(poller: OperationPoller) -> None:
    future = poller.submit("operations/a")
    waiting = [asyncio.ensure_future(future), asyncio.ensure_future(future)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert future.cancel()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [True, True]


@pytest.mark.behaviour("B19")
async def test_a_future_that_its_own_decoder_has_cancelled_stays_so_though_that_raises(
    emulator: Emulator, poller: OperationPoller
) -> None:
    def decode(response: object) -> None:
        future.cancel()
        raise ValueError

    future = poller.submit(emulator.add_operation(duration=5, response={"n": 1}), decode=decode)
    await asyncio.sleep(30)
    assert future.cancelled()


async def test_a_stream_that_is_left_is_shown_nothing_more(poller: OperationPoller) -> None:
    future = poller.submit("operations/a")
    async with future.updates():
        assert future._tracker.streams == 1
    assert future._tracker.streams == 0


async def test_an_operation_that_nobody_watches_any_more_is_not_shown(poller: OperationPoller) -> None:
    watched, other = poller.submit("operations/a"), poller.submit("operations/a")
    async with watched.updates() as stream:
        assert watched._tracker.streams == 1
        watched.cancel()
        assert [operation async for operation in stream] == []
    assert other._tracker.streams == 0


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps, lambda future: future.__replace__()])
async def test_a_future_is_not_copied_because_nobody_would_resolve_the_copy(
    poller: OperationPoller, duplicate: Any
) -> None:
    with pytest.raises(TypeError, match=r"cannot copy or pickle .*OperationPoller.resume takes its `token` elsewhere"):
        duplicate(poller.submit("operations/a"))


async def test_of_an_operation_that_was_done_when_it_was_submitted_the_future_is_whole(
    poller: OperationPoller,
) -> None:
    operation: dict[str, Any] = {"name": "operations/a", "done": True, "error": {"code": 5, "message": "gone"}}
    called = list[Any]()
    future = poller.submit(operation)
    future.add_done_callback(called.append)
    await asyncio.sleep(0)
    assert called == [future]
    assert json.loads(future.token)["name"] == "operations/a"
    assert future.elapsed == 0
    heard = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["message"]))
    called.clear()
    del future
    gc.collect()
    assert heard == ["the outcome of operations/a was never retrieved"]


@pytest.mark.behaviour("B9", "B16")
async def test_a_poll_that_fails_or_is_refused_once_says_nothing_to_a_stream() -> None:
    answers = [running(n=1), Reply(503, {}, b""), Reply(429, {}, b""), Reply(200, {}, b"<html>"), running(n=2), done()]
    async with open_scripted(Scripted(lambda name, attempt: answers[attempt - 1])) as poller:
        future = poller.submit("operations/a")
        async with future.updates() as stream:
            seen = [operation.metadata and operation.metadata["n"] async for operation in stream]
        assert await future == {}
    assert seen == [1, 2, None]


@pytest.mark.behaviour("B8")
async def test_a_callback_runs_in_the_context_it_is_given_and_is_removed_as_often_as_it_was_added(
    emulator: Emulator, poller: OperationPoller
) -> None:
    word = contextvars.ContextVar("word", default="none")
    context = contextvars.copy_context()
    context.run(word.set, "given")
    heard = list[str]()
    future = poller.submit(emulator.add_operation(duration=5))

    def hear(future: object) -> None:
        heard.append(word.get())

    for _ in range(3):
        future.add_done_callback(hear)
    assert (future.remove_done_callback(hear), future.remove_done_callback(hear)) == (3, 0)
    future.add_done_callback(hear, context=context)
    word.set("at the call")
    future.add_done_callback(hear)
    await future
    await asyncio.sleep(0)
    assert heard == ["given", "at the call"]


@pytest.mark.behaviour("B15")
async def test_whoever_waits_no_more_hastens_no_poll_of_those_that_do(
    emulator: Emulator, poller: OperationPoller
) -> None:
    name = emulator.add_operation(duration=None)
    gone, waiting = poller.submit(name), poller.submit(name)
    await asyncio.sleep(20)
    gone.cancel()
    polls = emulator.polls(name)
    gone.poll_now()
    await asyncio.sleep(0.1)
    assert emulator.polls(name) == polls
    waiting.poll_now()
    await asyncio.sleep(0.1)
    assert emulator.polls(name) == polls + 1


@pytest.mark.behaviour("B11")
async def test_what_is_known_of_the_last_poll_is_that_of_the_operation_until_the_future_has_ended() -> None:
    clock = asyncio.get_running_loop().time
    fails_until = clock() + 1.0
    transport = Scripted(lambda name, attempt: Reply(503, {}, b"") if clock() < fails_until else running())
    async with open_scripted(transport) as poller:
        hasty, patient = poller.submit("operations/a", deadline=0.5), poller.submit("operations/a")
        assert patient.last_poll_error is None
        with pytest.raises(PollTimeout):
            await hasty
        assert patient.last_poll_error is not None
        assert patient.last_poll_error.http_status == 503
        await asyncio.sleep(30)
        assert (patient.last_poll_error, patient.elapsed) == (None, pytest.approx(30.5, abs=1e-3))
        assert hasty.last_poll_error is not None
        assert (hasty.last_poll_error.http_status, hasty.elapsed) == (503, pytest.approx(0.5, abs=1e-3))


@pytest.mark.behaviour("B2", "B19")
async def test_a_future_without_an_outcome_says_so_and_goes_on(emulator: Emulator, poller: OperationPoller) -> None:
    future = poller.submit(emulator.add_operation(duration=5, response={}))
    for ask in (future.result, future.exception):
        with pytest.raises(asyncio.InvalidStateError, match="no outcome yet"):
            ask()
    assert not future.done()
    assert await future == {}


@pytest.mark.behaviour("B19")
def test_a_future_that_is_awaited_in_another_loop_says_so() -> None:
    async def elsewhere(future: object) -> None:
        await future  # type: ignore[misc]

    async def run() -> None:
        async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
            future = poller.submit("operations/a")
            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.wait_for(asyncio.to_thread(asyncio.run, elsewhere(future)), 5)
            future.cancel()

    asyncio.run(run())
