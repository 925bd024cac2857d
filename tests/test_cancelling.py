"""Cancelling operations at the service, on demand and at a deadline."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from lro_poller import WORKSPACE_EVENTS, Cancelled, OperationPoller, PollTimeout
from lro_poller.testing import Emulator

from .conftest import make_poller

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
