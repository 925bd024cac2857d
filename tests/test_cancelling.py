"""Cancelling operations at the service, on demand and at a deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import math
from collections.abc import AsyncIterator
from typing import Any

import backoff
import pytest

from lro_poller import WORKSPACE_EVENTS, Cancelled, OperationPoller, PollTimeout
from lro_poller.testing import Emulator
from lro_poller.wire import Reply

from .conftest import make_poller
from .scripted import Scripted, done, open_scripted, running

CANCELLABLE = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)


@pytest.fixture
async def cancelling() -> AsyncIterator[tuple[Emulator, OperationPoller]]:
    async with Emulator(cancellable=True) as emulator, make_poller(emulator.origin, service=CANCELLABLE) as poller:
        yield emulator, poller


@pytest.mark.behaviour("B20")
async def test_the_wait_ends_as_the_service_says(cancelling: tuple[Emulator, OperationPoller]) -> None:
    emulator, poller = cancelling
    endless, ended = emulator.add_operation(duration=None), emulator.add_operation(response={})
    futures = poller.submit(endless), poller.submit(ended)
    for name in (endless, ended):
        await poller.cancel(name)
    with pytest.raises(Cancelled):
        await futures[0]
    assert await futures[1] == {}


@pytest.mark.behaviour("B12")
@pytest.mark.parametrize(
    "choice, error, cancelled",
    [("leave", PollTimeout, False), ("cancel", PollTimeout, True), ("cancel_and_wait", Cancelled, True)],
)
async def test_what_happens_at_the_deadline_is_the_callers_choice(
    cancelling: tuple[Emulator, OperationPoller], choice: str, error: type[Exception], cancelled: bool
) -> None:
    emulator, poller = cancelling
    name = emulator.add_operation(duration=None)
    with pytest.raises(error):
        await poller.submit(name, deadline=5, at_deadline=choice)  # type: ignore[call-overload]
    assert poller._runner is not None
    await poller._runner.aclose()  # closing lets a cancellation that was promised be sent
    asked = [request.path for request in emulator.requests if request.method == "POST"]
    assert asked == ([f"/v1beta/{name}:cancel"] if cancelled else [])


@pytest.mark.behaviour("B12")
async def test_a_service_that_cannot_cancel_says_so(poller: OperationPoller) -> None:
    with pytest.raises(ValueError, match=r"has no operations\.cancel"):
        await poller.cancel("operations/a")
    with pytest.raises(ValueError, match=r"has no operations\.cancel"):
        poller.submit("operations/a", deadline=1, at_deadline="cancel")


@pytest.mark.behaviour("B11", "B12")
async def test_a_cancellation_that_comes_to_nothing_is_asked_for_once_and_waited_for_no_longer_than_the_grace() -> None:
    transport = Scripted(lambda name, attempt: Reply(200, {}, b"{}") if name.endswith(":cancel") else running())
    async with open_scripted(transport, service=CANCELLABLE, cancel_grace=30) as poller:
        await asyncio.sleep(100)  # the loop's clock tells nothing of when it was submitted
        future = poller.submit("operations/a", deadline=10, at_deadline="cancel_and_wait")
        with pytest.raises(PollTimeout):
            await future
        assert future.deadline == pytest.approx(future.submitted + 40, abs=0.1)
        assert future.elapsed == pytest.approx(40, abs=0.1)
        assert future.at_deadline == "cancel_and_wait"  # as it was asked for
    assert transport.polls("operations/a:cancel") == 1


@pytest.mark.behaviour("B7")
async def test_whoever_waits_for_one_operation_has_it_cancelled_once(
    cancelling: tuple[Emulator, OperationPoller],
) -> None:
    emulator, poller = cancelling
    name = emulator.add_operation(duration=None)
    futures = [poller.submit(name, deadline=5, at_deadline="cancel_and_wait") for _ in range(3)]
    for future in await poller.wait_all(futures):
        assert isinstance(future.exception(), Cancelled)
    assert [request.path for request in emulator.requests if request.method == "POST"] == [f"/v1beta/{name}:cancel"]


@pytest.mark.behaviour("B12")
async def test_a_deadline_that_passes_while_closing_has_its_operation_cancelled_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(name: str, _: int) -> object:
        if name.endswith(":cancel"):
            await asyncio.sleep(3)
        return running()

    transport = Scripted(answer)
    async with open_scripted(transport, service=CANCELLABLE) as poller:
        futures = [
            poller.submit("operations/a", deadline=5, at_deadline="cancel"),
            poller.submit("operations/b", deadline=7.9, at_deadline="cancel"),
        ]
        await asyncio.sleep(5.5)
    assert [type(future.exception()) for future in futures] == [PollTimeout, PollTimeout]
    began = futures[0].submitted
    asked = [(round(when - began, 1), name) for when, name in transport.sent if name.endswith(":cancel")]
    assert asked == [(5.0, "operations/a:cancel"), (7.9, "operations/b:cancel")]
    assert "not cancelled" not in caplog.text


@pytest.mark.behaviour("B12", "B18")
async def test_a_cancellation_that_closing_gives_up_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lro_poller")
    transport = Scripted(lambda name, attempt: Reply(429, {"Retry-After": "600"}, b""))
    async with open_scripted(transport, service=CANCELLABLE) as poller:
        future = poller.submit("operations/a", deadline=5, at_deadline="cancel")
        with pytest.raises(PollTimeout):
            await future
    assert [name for _, name in transport.sent] == ["operations/a"]
    assert "operations/a: the operation was not cancelled: PollerClosed" in caplog.text


@pytest.mark.behaviour("B20")
async def test_who_waits_hears_soon_that_it_was_cancelled() -> None:
    def answer(name: str, attempt: int) -> Reply:
        if name.endswith(":cancel"):
            return Reply(200, {}, b"{}")
        return running() if attempt == 1 else done(error={"code": 1, "message": "cancelled"})

    seldom = functools.partial(backoff.constant, interval=1000)
    async with open_scripted(Scripted(answer), backoff=seldom, service=CANCELLABLE) as poller:
        waiting = poller.submit("operations/a")
        await asyncio.sleep(5)
        await poller.cancel("operations/a")
        with pytest.raises(Cancelled):
            await waiting
        assert waiting.elapsed < 6


@pytest.mark.behaviour("B12", "B21")
@pytest.mark.parametrize("deadline", [12 - 1e-6, 12.0])
async def test_closing_leaves_no_cancellation_behind_that_falls_due_at_the_last_moment(deadline: float) -> None:
    async def answer(name: str, _: int) -> Any:
        if name.endswith(":cancel"):
            await asyncio.sleep(math.inf)
        return running()

    before = asyncio.all_tasks()
    async with open_scripted(Scripted(answer), service=CANCELLABLE) as poller:
        futures = [
            poller.submit("operations/a", deadline=1, at_deadline="cancel"),
            poller.submit("operations/b", deadline=deadline, at_deadline="cancel"),
        ]
        await asyncio.sleep(2)
    assert [type(future.exception()) for future in futures] == [PollTimeout, PollTimeout]
    assert asyncio.all_tasks() == before
