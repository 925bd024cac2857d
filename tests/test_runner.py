"""What the clock, the timer and the workers cost and keep, with many operations and with few."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import functools
import gc
import logging
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import backoff
import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import TransportError

from lro_poller import Budget, History, OperationPoller, PollTimeout
from lro_poller.testing import Emulator, HttpError, RawReply
from lro_poller.wire import Reply

from .conftest import make_poller
from .scripted import Scripted, done, open_scripted, running

MANY = 100_000
MEASURED = 5_000  # tracing makes everything slow
HOUR = 3600.0
EVERY_HOUR = functools.partial(backoff.constant, interval=3600)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "120s"}


def timers(package: str = "") -> int:
    """How many timers the loop has, whose callback is of that package."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    ours = [timer for timer in scheduled if str(getattr(timer._callback, "__module__", "")).startswith(package)]
    return sum(not timer.cancelled() for timer in ours)


@pytest.mark.behaviour("B24")
async def test_a_hundred_thousand_pending_operations_cost_memory_and_one_timer_but_no_task(emulator: Emulator) -> None:
    tasks, before = len(asyncio.all_tasks()), timers()
    poller = await make_poller(emulator.origin, backoff=EVERY_HOUR).__aenter__()
    gc.collect()
    tracemalloc.start()
    try:
        futures = [poller.submit({"name": f"operations/{number}"}, deadline=2 * HOUR) for number in range(MEASURED)]
        each = tracemalloc.get_traced_memory()[0] / MEASURED
    finally:
        tracemalloc.stop()
    futures += [poller.submit({"name": f"operations/{number}"}, deadline=2 * HOUR) for number in range(MEASURED, MANY)]
    await asyncio.sleep(10)
    assert len(asyncio.all_tasks()) == tasks
    assert timers() <= before + 1
    assert timers("lro_poller") == 1
    assert each < 2500  # bytes, with a deadline and a future each
    began = time.process_time()
    await asyncio.sleep(HOUR / 2)
    assert time.process_time() - began < 0.2  # half an hour in which nothing falls due
    assert not emulator.requests
    assert not any(future.done() for future in futures)
    await poller.__aexit__(None, None, None)
    assert all(future.done() for future in futures)
    assert (len(asyncio.all_tasks()), timers()) == (tasks, before)


@pytest.mark.behaviour("B24")
async def test_an_idle_poller_has_no_timer_and_no_task(emulator: Emulator, poller: OperationPoller) -> None:
    tasks = len(asyncio.all_tasks())
    await poller.submit(emulator.add_operation())
    began = time.process_time()
    await asyncio.sleep(HOUR)
    assert time.process_time() - began < 0.1
    assert len(asyncio.all_tasks()) <= tasks + 1  # the emulator's, for the connection
    assert timers("lro_poller") == 0


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "fault, least",
    [
        (HttpError(503, retry_after=120), 120.0),
        (HttpError(503, details=[RETRY_INFO]), 120.0),
        (RawReply(b"{}", 200, {"Retry-After": "120"}), 120.0),
        (HttpError(503, retry_after=31_536_000), 900.0),
        (HttpError(503, retry_after=-5), 0.0),
        (HttpError(503, retry_after="soon"), 0.0),
    ],
    ids=["Retry-After", "RetryInfo", "of a success", "a year", "negative", "nonsense"],
)
async def test_what_a_server_asks_for_pushes_the_next_poll_back_within_bounds(
    emulator: Emulator, poller: OperationPoller, fault: Any, least: float
) -> None:
    name = emulator.add_operation(faults=[fault])
    await poller.submit(name)
    first, second = (request.time for request in emulator.requests)
    assert least <= second - first + 0.01 <= least + 60.0


@pytest.mark.behaviour("B14")
async def test_a_date_to_come_back_at_counts_whatever_the_transport_and_without_a_date_beside_it() -> None:
    until = email.utils.formatdate(time.time() + 300, usegmt=True)
    transport = Scripted(lambda _, attempt: done() if attempt == 2 else Reply(503, {"Retry-After": until}, b""))
    async with open_scripted(transport) as poller:
        await poller.submit("operations/a")
    first, second = transport.times("operations/a")
    assert 295.0 < second - first <= 360.0


@pytest.mark.behaviour("B14", "B10")
async def test_what_a_server_asks_for_never_pushes_a_poll_past_the_deadline(
    emulator: Emulator, poller: OperationPoller
) -> None:
    name = emulator.add_operation(faults=[HttpError(503, retry_after=600)], response={"n": 1})
    future = poller.submit(name, deadline=30.0)
    assert await future == {"n": 1}
    assert future.elapsed < 30.0


@pytest.mark.behaviour("B13")
async def test_operations_that_start_together_drift_apart(emulator: Emulator) -> None:
    every_minute = functools.partial(backoff.constant, interval=60)
    names = [emulator.add_operation(f"operations/{number}", duration=200.0) for number in range(60)]
    async with OperationPoller(
        endpoint=emulator.origin, credentials=AnonymousCredentials(), backoff=every_minute, max_in_flight=60
    ) as poller:
        began = asyncio.get_running_loop().time()
        await poller.wait_all(names)
    times = [[request.time - began for request in emulator.requests if request.path.endswith(name)] for name in names]
    seconds = [time[1] for time in times]
    assert 50.0 < min(seconds) < 57.0
    assert 63.0 < max(seconds) < 70.0


@pytest.mark.behaviour("B15", "B23")
async def test_looking_now_polls_at_once_and_keeps_the_rate(
    emulator: Emulator, open_poller: Callable[..., Any]
) -> None:
    poller = await open_poller(backoff=EVERY_HOUR, max_rate=2)
    futures = [poller.submit({"name": emulator.add_operation(response={})}) for _ in range(4)]
    await asyncio.sleep(10)
    assert not emulator.requests
    began = asyncio.get_running_loop().time()
    for future in futures:
        future.poll_now()
        future.poll_now()
    await asyncio.gather(*futures)
    assert [request.time - began for request in emulator.requests] == pytest.approx([0, 0.5, 1.0, 1.5], abs=0.05)


async def test_the_log_says_when_the_next_poll_is_a_last_one_included(
    emulator: Emulator, open_poller: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lro_poller")
    poller = await open_poller(backoff=EVERY_HOUR)
    name = emulator.add_operation("operations/a", duration=None)
    with pytest.raises(PollTimeout):
        await poller.submit(name, deadline=10)
    first, *_ = [message for message in caplog.messages if "poll 1" in message]
    assert first == "operations/a: poll 1: still running; the next in 9.0 s"


@pytest.mark.behaviour("B19", "B28")
async def test_a_dead_token_server_halts_its_own_poller_and_no_other_of_the_budget(emulator: Emulator) -> None:
    class Dead(Credentials):
        def refresh(self, request: Any) -> None:
            raise TransportError("no token server")

    budget = Budget(8)
    async with (
        OperationPoller(endpoint=emulator.origin, credentials=Dead(), budget=budget) as tokenless,  # type: ignore[no-untyped-call]
        make_poller(emulator.origin, budget=budget) as healthy,
    ):
        waits = [tokenless.submit(emulator.add_operation(response={})) for _ in range(8)]
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await healthy.wait_all([emulator.add_operation(response={}) for _ in range(20)])
        assert asyncio.get_running_loop().time() - began < 1
        assert not any(future.done() for future in waits)


async def test_looking_once_teaches_nothing_of_durations(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(duration=None, metadata={"@type": "x.Making"})
    for _ in range(30):
        await poller.get(name)
    kind = poller.history._kind("workspaceevents:v1beta Making")
    assert not kind.durations._running


@pytest.mark.behaviour("B21")
async def test_a_history_that_outlives_its_poller_follows_nothing_of_it(emulator: Emulator) -> None:
    history = History()
    async with make_poller(emulator.origin, history=history) as poller:
        for _ in range(20):
            poller.submit(emulator.add_operation(duration=None, metadata={"@type": "x.Making"}))
        await asyncio.sleep(5)
        assert len(history._kind("workspaceevents:v1beta Making").durations._running) == 20
    assert not history._kind("workspaceevents:v1beta Making").durations._running


@pytest.mark.behaviour("B15")
async def test_looking_now_is_tried_again_soon_when_the_look_fails(
    emulator: Emulator, open_poller: Callable[..., Any]
) -> None:
    poller = await open_poller(backoff=functools.partial(backoff.constant, interval=1000))
    future = poller.submit(emulator.add_operation(duration=10, response={}, faults=[None, HttpError(503)]))
    await asyncio.sleep(11)
    future.poll_now()
    assert await future == {}
    assert future.elapsed == pytest.approx(12, abs=0.2)


@pytest.mark.behaviour("B13", "B24")
@pytest.mark.parametrize("sooner", [9.9, 9.0, 1.0])
async def test_what_is_due_a_little_sooner_than_all_others_is_polled_in_time(sooner: float) -> None:
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport) as poller:
        seen = [
            poller.submit({"name": name}, backoff=functools.partial(backoff.constant, interval=[wait]))
            for name, wait in (("operations/a", 10.0), ("operations/b", sooner))
        ]
        await poller.wait_all(seen)
    assert [future.elapsed for future in seen] == pytest.approx([10.0, sooner], abs=1e-3)


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize(
    "first, second",
    [
        ({}, {"expected": 20}),
        ({"kind": "k"}, {"expected": 20}),
        ({"kind": "k"}, {"progress": lambda operation: datetime.timedelta(seconds=2)}),
        ({"progress": lambda operation: None}, {"expected": 20}),
        ({"expected": 20}, {"kind": "k", "expected": 3000}),
    ],
)
async def test_a_later_caller_adds_the_hints_that_the_first_did_not_give(first: Any, second: Any) -> None:
    began = asyncio.get_running_loop().time()

    def answer(name: str, attempt: int) -> Reply:
        return done() if asyncio.get_running_loop().time() >= began + 20 else running()

    transport = Scripted(answer)
    async with open_scripted(transport) as poller:
        futures = [poller.submit("operations/a", **hints) for hints in (first, second)]
        await poller.wait_all(futures)
    assert futures[0].elapsed < 25
    assert futures[0].polls < 12


@pytest.mark.behaviour("B13")
async def test_an_expectation_that_comes_later_does_not_displace_what_progress_has_told() -> None:
    transport = Scripted(lambda name, attempt: running())
    async with open_scripted(transport) as poller:
        first = poller.submit("operations/a", progress=lambda operation: datetime.timedelta(seconds=3000))
        await asyncio.sleep(1)
        told = first._tracker.forecast
        poller.submit("operations/a", expected=5)
        assert first._tracker.forecast is told


@pytest.mark.behaviour("B7")
async def test_who_waits_hears_soon_of_an_operation_that_somebody_submits_as_done() -> None:
    seldom = functools.partial(backoff.constant, interval=1000)
    async with open_scripted(
        Scripted(lambda name, attempt: running() if attempt == 1 else done()), backoff=seldom
    ) as poller:
        waiting = poller.submit("operations/a")
        await asyncio.sleep(5)
        assert await poller.submit({"name": "operations/a", "done": True, "response": {"of": "the caller"}}) == {
            "of": "the caller"
        }
        assert await waiting == {}
        assert waiting.elapsed < 6


@pytest.mark.behaviour("B21", "B22")
async def test_closing_takes_no_notice_of_a_look_that_was_just_cancelled() -> None:
    transport = Scripted(lambda name, attempt: asyncio.sleep(999, running()))
    async with open_scripted(transport) as poller:
        looking = asyncio.ensure_future(poller.get("operations/a"))
        await asyncio.sleep(1)
        looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert transport.closed


@pytest.mark.behaviour("B24")
async def test_a_look_that_is_over_is_not_kept() -> None:
    async with open_scripted(Scripted(lambda name, attempt: done())) as poller:
        for _ in range(3):
            await poller.get("operations/a")
        assert not poller._runner.errands.under_way  # type: ignore[union-attr]


@pytest.mark.behaviour("B24")
async def test_a_worker_that_has_ended_is_not_kept() -> None:
    async with open_scripted(Scripted(lambda name, attempt: done())) as poller:
        for _ in range(3):
            await poller.submit("operations/a")
            await asyncio.sleep(1)
        assert not poller._runner._pump._workers  # type: ignore[union-attr]
