"""The poller as its callers meet it, over real sockets, against the emulator."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import backoff
import pytest

import lro_poller
from lro_poller import Code, InvalidOperationName, Operation, OperationPoller, PollerClosed, PollError, PollTimeout
from lro_poller.testing import Emulator, Hang, HttpError, WrongName
from lro_poller.wire import Reply

from .conftest import make_poller
from .scripted import Scripted, done, open_scripted, running

EVERY_SECOND = functools.partial(backoff.constant, interval=1)


@pytest.mark.behaviour("B2")
async def test_a_name_is_polled_until_its_operation_is_done(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(polls=2, response={"answer": 42})
    future = poller.submit(name)
    assert await future == {"answer": 42}
    assert await future == {"answer": 42}
    assert emulator.polls(name) == future.polls == 3


@pytest.mark.behaviour("B1", "B3", "B4")
@pytest.mark.parametrize(
    "ending, outcome",
    [
        ({"response": {"answer": 42}}, {"answer": 42}),
        ({}, None),
        ({"error": {"code": 5, "message": "gone"}}, lro_poller.NotFound),
    ],
)
async def test_an_operation_that_is_done_costs_no_poll(
    emulator: Emulator, poller: OperationPoller, ending: dict[str, Any], outcome: Any
) -> None:
    future = poller.submit({"name": "operations/abc", "done": True, **ending})
    assert future.done()
    if isinstance(outcome, type):
        with pytest.raises(outcome, match="gone"):
            await future
    else:
        assert await future == outcome
    assert emulator.requests == []


@pytest.mark.behaviour("B5")
async def test_an_operation_just_seen_running_is_not_polled_at_once(
    emulator: Emulator, open_poller: Callable[..., Any]
) -> None:
    poller = await open_poller(backoff=EVERY_SECOND)
    began = asyncio.get_running_loop().time()
    name = emulator.add_operation()
    await poller.submit({"name": name, "metadata": {"@type": "x"}})
    assert [request.time - began for request in emulator.requests] == pytest.approx([1], abs=0.01)


@pytest.mark.behaviour("B5")
async def test_the_name_submitted_is_the_name_polled(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(polls=3, faults=[WrongName(), WrongName()])
    future = poller.submit(name)
    await future
    assert {request.path for request in emulator.requests} == {f"/v1beta/{name}"}
    assert future.operation is not None
    assert future.operation.name == name


async def test_wait_all_keeps_order_and_loses_nothing(emulator: Emulator, poller: OperationPoller) -> None:
    names = [
        emulator.add_operation(duration=5, response={"n": 0}),
        emulator.add_operation(duration=1, error=Code.ABORTED),
        emulator.add_operation(duration=None),
        emulator.add_operation(duration=2, response={"n": 3}),
        "operations/unknown",
    ]
    futures = await poller.wait_all(names, deadline=10)
    assert [future.name for future in futures] == names
    assert [type(future.exception()) for future in futures] == [
        type(None),
        lro_poller.Aborted,
        PollTimeout,
        type(None),
        PollError,
    ]
    assert [futures[n].result() for n in (0, 3)] == [{"n": 0}, {"n": 3}]


async def test_a_wrong_name_among_many_leaves_nothing_being_polled(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(duration=None)
    with pytest.raises(InvalidOperationName):
        await poller.wait_all([name, "../etc"])
    await poller.drain()
    assert emulator.requests == []


async def test_wait_all_takes_futures_and_abandons_only_its_own(emulator: Emulator, poller: OperationPoller) -> None:
    mine = poller.submit(emulator.add_operation(duration=30, response={}))
    other = emulator.add_operation(duration=None)
    waiting = asyncio.ensure_future(poller.wait_all([mine, other]))
    await asyncio.sleep(5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    polls = emulator.polls(other)
    assert await mine == {}
    assert emulator.polls(other) == polls


async def test_as_completed_yields_each_when_it_ends(emulator: Emulator, poller: OperationPoller) -> None:
    names = [emulator.add_operation(duration=seconds, response={}) for seconds in (20, 3, 9)]
    ended = [future.name async for future in poller.as_completed(names)]
    assert ended == [names[1], names[2], names[0]]


async def test_as_completed_yields_a_future_as_often_as_it_was_given(
    emulator: Emulator, poller: OperationPoller
) -> None:
    one, other = poller.submit(emulator.add_operation(duration=9)), poller.submit(emulator.add_operation(duration=3))
    ended = [future async for future in poller.as_completed([one, other, one])]
    assert ended == [other, one, one]


@pytest.mark.behaviour("B22")
async def test_as_completed_leaves_nothing_on_a_future_that_is_waited_for_again_and_again(
    emulator: Emulator, poller: OperationPoller
) -> None:
    future = poller.submit(emulator.add_operation(duration=None))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(poller.as_completed([future])), 1)
    gc.collect()
    assert len(future._listeners or {}) <= 1  # a task holds what last cancelled it, and the frames of that


async def test_as_completed_is_no_plain_iterator(poller: OperationPoller) -> None:
    with pytest.raises(TypeError, match="use 'async for', not 'for'"):
        list(poller.as_completed([]))  # type: ignore[call-overload]


@pytest.mark.behaviour("B20")
async def test_what_an_await_that_was_cancelled_leaves_pending_can_be_found_and_cancelled(
    emulator: Emulator, poller: OperationPoller
) -> None:
    endless, kept = emulator.add_operation(duration=None), emulator.add_operation(duration=None)
    future = poller.submit(kept)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(poller.submit(endless), 1)
    assert [one.name for one in poller.pending()] == [kept, endless]
    assert poller.pending()[0] is future
    for one in poller.pending():
        one.cancel()
    assert poller.pending() == []
    await poller.drain()


@pytest.mark.behaviour("B21")
@pytest.mark.parametrize("by_task", [True, False])
async def test_drain_waits_for_what_is_submitted_meanwhile(
    emulator: Emulator, poller: OperationPoller, by_task: bool
) -> None:
    late: list[Any] = []

    def submit_another(future: Any) -> None:
        late.append(poller.submit(emulator.add_operation(duration=10)))

    async def wait_and_submit_another(future: Any) -> None:
        submit_another(await future)

    future = poller.submit(emulator.add_operation(duration=3))
    draining = asyncio.ensure_future(poller.drain())
    await asyncio.sleep(0)  # it waits already: whoever comes now hears of the end after it
    if by_task:
        task = asyncio.ensure_future(wait_and_submit_another(future))
    else:
        future.add_done_callback(submit_another)
    await draining
    assert late[0].done()
    assert not by_task or task.done()


async def test_get_is_one_request(emulator: Emulator, poller: OperationPoller) -> None:
    running = emulator.add_operation(duration=None, metadata={"progress": 3})
    failed = emulator.add_operation(error=Code.DATA_LOSS)
    first, second = await poller.get(running), await poller.get(failed)
    assert (first.done, first.metadata) == (False, {"progress": 3})
    assert second.error is not None
    assert second.error.code is not None
    assert second.error.code_name == "DATA_LOSS"
    assert len(emulator.requests) == 2


async def test_get_has_no_part_in_the_cadence(emulator: Emulator) -> None:
    def draw() -> float:
        raise AssertionError("nothing is waited for")

    async with emulator.poller(random=draw) as poller:
        assert not (await poller.get(emulator.add_operation(duration=None))).done
        assert repr(poller.history) == "<History of 0 kinds>"


async def test_get_tries_once(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(faults=[HttpError(503)])
    with pytest.raises(PollError, match="HTTP 503"):
        await poller.get(name)
    assert emulator.polls(name) == 1


@pytest.mark.behaviour("B7")
async def test_two_submissions_share_the_polls_and_keep_their_own_terms(
    emulator: Emulator, poller: OperationPoller
) -> None:
    name = emulator.add_operation(duration=8, response={"answer": 42})
    patient, hasty = poller.submit(name), poller.submit(name, deadline=3, decode=len)
    with pytest.raises(PollTimeout) as caught:
        await hasty
    assert caught.value.elapsed == pytest.approx(3, abs=0.001)
    assert await poller.submit(name, decode=lambda value: value["answer"]) == 42
    assert await patient == {"answer": 42}
    assert emulator.polls(name) == patient.polls


@pytest.mark.behaviour("B7")
async def test_whoever_joins_tells_what_the_first_did_not_know() -> None:
    transport = Scripted(lambda _, attempt: running(share=attempt / 10) if attempt < 5 else done())
    asked: list[float] = []

    def progress(operation: Operation) -> float:
        asked.append(operation.metadata["share"])
        return asked[-1]

    async with open_scripted(transport) as poller:
        first = poller.submit("operations/a")
        assert first.metadata is None
        joined = poller.submit({"name": "operations/a", "metadata": {"share": 0.05}}, progress=progress)
        assert first.metadata == joined.metadata == {"share": 0.05}
        poller.submit("operations/a", progress=lambda _: pytest.fail("the first decides"))
        await joined
    assert asked == [0.1, 0.2, 0.3, 0.4]


async def test_a_backoff_that_is_given_late_begins_at_its_beginning() -> None:
    transport = Scripted(lambda _, attempt: running() if attempt < 9 else done())
    async with open_scripted(transport) as poller:
        first = poller.submit("operations/a")
        while first.polls < 6:
            await asyncio.sleep(0.5)
        poller.submit("operations/a", backoff=backoff.expo)
        await first
    times = transport.times("operations/a")[-3:]
    assert [round(later - earlier, 1) for earlier, later in itertools.pairwise(times)] == [1, 2]


async def test_the_first_backoff_that_is_given_decides() -> None:
    transport = Scripted(lambda _, attempt: running() if attempt < 4 else done())
    async with open_scripted(transport) as poller:
        poller.submit("operations/a")
        poller.submit("operations/a", backoff=functools.partial(backoff.constant, interval=7))
        await poller.submit("operations/a", backoff=functools.partial(backoff.constant, interval=1))
    times = transport.times("operations/a")
    assert [round(later - earlier, 1) for earlier, later in itertools.pairwise(times)] == [7, 7, 7]


@pytest.mark.behaviour("B23")
async def test_polls_in_flight_are_capped(emulator: Emulator, open_poller: Callable[..., Any]) -> None:
    poller = await open_poller(max_in_flight=3, poll_timeout=100)
    names = [emulator.add_operation(faults=[Hang()]) for _ in range(10)]
    futures = [poller.submit(name, deadline=50) for name in names]
    await asyncio.sleep(10)
    assert len(emulator.requests) == 3
    ended = await poller.wait_all(futures)
    assert {type(future.exception()) for future in ended} == {PollTimeout}


@pytest.mark.behaviour("B23")
async def test_max_rate_spaces_the_polls(emulator: Emulator, open_poller: Callable[..., Any]) -> None:
    poller = await open_poller(max_rate=4)
    await poller.wait_all([emulator.add_operation(polls=1) for _ in range(20)])
    times = [request.time for request in emulator.requests]
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.249


async def test_the_known_quota_is_the_default_rate_at_the_services_own_origin_only() -> None:
    assert OperationPoller().budget.max_rate == pytest.approx(600 / 60 * 0.95)
    assert OperationPoller(endpoint="https://workspaceevents.googleapis.com:443/").budget.max_rate == pytest.approx(9.5)
    assert OperationPoller(max_rate=math.inf).budget.max_rate == math.inf
    assert make_poller("http://127.0.0.1:1").budget.max_rate == math.inf
    unknown = dataclasses.replace(lro_poller.WORKSPACE_EVENTS, quota=None)
    assert OperationPoller(unknown).budget.max_rate == math.inf


@pytest.mark.parametrize(
    "of, what",
    [
        ("poller", "budget"),
        ("poller", "history"),
        ("budget", "max_rate"),
        ("budget", "max_in_flight"),
        ("budget", "in_flight"),
        ("budget", "throttled_polls"),
        ("future", "submitted"),
        ("future", "deadline"),
        ("future", "at_deadline"),
        ("future", "ended"),
    ],
)
@pytest.mark.behaviour("B10", "B19", "B23")
async def test_what_the_schedule_goes_by_cannot_be_set_from_outside(
    poller: OperationPoller, of: str, what: str
) -> None:
    held = {"poller": poller, "budget": poller.budget, "future": poller.submit("operations/abc", deadline=60)}
    with pytest.raises(AttributeError, match="no setter"):
        setattr(held[of], what, 0)


@pytest.mark.parametrize("given", [{"done": False}, {"done": True}, {"metadata": {"@type": "x.Making"}}])
async def test_one_poll_or_a_cancellation_is_asked_for_as_a_wait_is(
    emulator: Emulator, open_poller: Callable[..., Any], given: dict[str, Any]
) -> None:
    poller = await open_poller(service=dataclasses.replace(lro_poller.WORKSPACE_EVENTS, cancellable=True))
    name = emulator.add_operation(duration=None)
    seen = await poller.get({"name": name} | given)
    assert (seen.name, seen.done) == (name, False)
    with pytest.raises(PollError, match=r"HTTP (404|405|501)"):
        await poller.cancel(seen)
    assert [request.path for request in emulator.requests] == [f"/v1beta/{name}", f"/v1beta/{name}:cancel"]
    with pytest.raises(TypeError, match="not as int"):
        await poller.get(5)


async def test_what_a_caller_may_print_says_which_it_is(poller: OperationPoller) -> None:
    stream = poller.submit("operations/abc").updates()
    assert repr(stream) == "<Updates of operations/abc, new>"
    async with stream:
        assert repr(stream) == "<Updates of operations/abc, open>"
    assert repr(stream) == "<Updates of operations/abc, over>"
    shown = "<Service workspaceevents:v1beta at https://workspaceevents.googleapis.com>"
    assert repr(lro_poller.WORKSPACE_EVENTS) == shown


@pytest.mark.behaviour("B25")
async def test_a_transport_that_is_empty_is_used_all_the_same() -> None:
    class Recorder(list[str]):
        library = "rest/recorder"

        async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
            self.append(path)
            return Reply(200, {}, b'{"done": true}')

        async def aclose(self) -> None:
            pass

    transport = Recorder()
    async with open_scripted(transport) as poller:
        await poller.submit("operations/abc")
    assert transport == ["/v1beta/operations/abc"]


def test_a_budget_shows_its_limits_and_how_it_stands_and_nothing_else() -> None:
    shown = {name for name in dir(lro_poller.Budget) if not name.startswith("_")}
    assert shown == {"in_flight", "max_in_flight", "max_rate", "throttled_polls"}


@pytest.mark.behaviour("B22")
async def test_a_wait_for_all_that_is_cancelled_ends_all_that_it_began_though_one_was_cancelled_before(
    poller: OperationPoller,
) -> None:
    waiting = asyncio.ensure_future(poller.wait_all(["operations/a", "operations/b"]))
    await asyncio.sleep(0)
    poller.pending()[0].cancel()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert poller.pending() == []


@pytest.mark.behaviour("B11")
async def test_resume_goes_on_where_the_backoff_stood(emulator: Emulator, open_poller: Callable[..., Any]) -> None:
    name = emulator.add_operation(duration=100, response={})
    options = {"backoff": functools.partial(backoff.constant, interval=[1, 2, 4, 30])}
    first, second = await open_poller(**options), await open_poller(**options)
    with pytest.raises(PollTimeout) as caught:
        await first.submit(name, deadline=4)
    future = second.resume(caught.value.token)
    assert json.loads(future.token)["age"] == pytest.approx(4.0, abs=0.01)
    await future
    gaps = _gaps(emulator)
    assert gaps[-3:] == pytest.approx([30, 30, 30], abs=0.1)


async def test_a_token_of_another_service_is_refused(emulator: Emulator, open_poller: Callable[..., Any]) -> None:
    poller = await open_poller()
    other = await open_poller(service="workspaceevents:v1")
    token = poller.submit(emulator.add_operation()).token
    with pytest.raises(ValueError, match="is for workspaceevents:v1beta"):
        other.resume(token)
    for nonsense in ("", "operations/abc", '{"lro_poller":2}', token.replace("name", "nam")):
        with pytest.raises(ValueError, match="not a token"):
            poller.resume(nonsense)
    await poller.drain()


@pytest.mark.behaviour("B21")
async def test_leaving_ends_what_is_pending_with_a_token(emulator: Emulator) -> None:
    name = emulator.add_operation(duration=None)
    async with make_poller(emulator.origin) as poller:
        future = poller.submit(name)
        await asyncio.sleep(5)
    with pytest.raises(PollerClosed, match="may still be running") as caught:
        await future
    assert caught.value.token == future.token
    assert caught.value.polls == emulator.polls(name)


@pytest.mark.behaviour("B21")
async def test_an_exception_inside_the_block_is_not_masked(emulator: Emulator) -> None:
    with pytest.raises(ZeroDivisionError):
        async with make_poller(emulator.origin) as poller:
            poller.submit(emulator.add_operation(duration=None))
            raise ZeroDivisionError


@pytest.mark.behaviour("B15")
async def test_looking_now(emulator: Emulator, open_poller: Callable[..., Any]) -> None:
    poller = await open_poller(backoff=functools.partial(backoff.constant, interval=1000))
    name = emulator.add_operation(duration=10, response={})
    future = poller.submit(name)
    await asyncio.sleep(11)
    future.poll_now()
    await future
    assert future.elapsed == pytest.approx(11, abs=0.1)


# What callers get wrong.


def test_an_unopened_poller_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        make_poller("http://127.0.0.1:1").submit("operations/abc")


async def test_a_closed_poller_says_so(emulator: Emulator) -> None:
    async with make_poller(emulator.origin) as poller:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        poller.submit("operations/abc")
    with pytest.raises(RuntimeError, match="entered before"):
        await poller.__aenter__()


@pytest.mark.parametrize("deadline", [0, -1, math.nan, "5m", True])
async def test_a_deadline_that_is_none(poller: OperationPoller, deadline: Any) -> None:
    with pytest.raises(ValueError, match="deadline must be a number of seconds above 0"):
        poller.submit("operations/abc", deadline=deadline)
    with pytest.raises(ValueError, match="deadline"):
        make_poller("http://127.0.0.1:1", deadline=deadline)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": 1.5}, "max_in_flight"),
        ({"max_rate": 0}, "max_rate"),
        ({"max_rate": math.nan}, "max_rate"),
        ({"poll_timeout": -1}, "poll_timeout"),
        ({"max_poll_failures": -1}, "max_poll_failures"),
        ({"service": "nope:v1"}, "unknown service 'nope:v1'; known by name are 'workspaceevents:v1beta'"),
        ({"scopes": ["https://www.googleapis.com/auth/calendar"]}, "does not allow operations.get"),
        ({"scopes": []}, "allow"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_poller("http://127.0.0.1:1", **options)


@pytest.mark.parametrize("given", [backoff.expo(), 3, "expo"])
def test_a_backoff_that_is_no_generator_function(given: Any) -> None:
    with pytest.raises(TypeError, match=r"functools\.partial"):
        make_poller("http://127.0.0.1:1", backoff=given)


async def test_one_name_where_several_belong(poller: OperationPoller) -> None:
    with pytest.raises(TypeError, match="several"):
        await poller.wait_all("operations/abc")


def _gaps(emulator: Emulator) -> list[float]:
    times = [request.time for request in emulator.requests]
    return [later - earlier for earlier, later in itertools.pairwise(times)]
