"""What every test stands on.

Async tests run on a loop whose clock jumps to the next timer as soon as nothing else can
happen: hours of polling over real sockets take milliseconds, and no test sleeps. A module
that waits for threads overrides `anyio_backend`, because a jumping clock outruns them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import google.auth.transport.requests  # noqa: F401 - a refresh would load it in its thread, where warnings are errors
import looptime
import pytest
from blockbuster import blockbuster_ctx
from google.auth.credentials import AnonymousCredentials

from lro_poller import OperationPoller
from lro_poller.testing import Emulator


def pytest_collection_finish() -> None:
    """What is loaded by now stays: leaving it out makes each collection of the tests' own garbage ten times faster."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": new_jumping_loop}


def new_jumping_loop() -> asyncio.AbstractEventLoop:
    """A loop whose clock jumps. At its end it waits for the threads of its executor, without the time limit
    that came with Python 3.12: the clock would jump there before any thread can end."""
    loop: Any = looptime.new_event_loop()
    shut_down = loop.shutdown_default_executor
    loop.shutdown_default_executor = lambda timeout=None: shut_down()
    return loop  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call inside a loop raises BlockingError."""
    with blockbuster_ctx():
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Objects that complain when they are collected do so in the test that made them."""
    yield
    if "anyio_backend" in request.fixturenames:
        gc.collect()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """The emulated service, in the loop of the test."""
    async with Emulator() as running:
        yield running


@pytest.fixture
async def open_poller(emulator: Emulator) -> AsyncIterator[Callable[..., Any]]:
    """Opens pollers of the emulator; closes them, and checks that nothing of them is left."""
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(**options: Any) -> OperationPoller:
            return await stack.enter_async_context(make_poller(emulator.origin, **options))

        yield open_one
    left = [task for task in asyncio.all_tasks() - before if "lro-poller" in task.get_name()]
    assert not left


@pytest.fixture
async def poller(open_poller: Callable[..., Any]) -> OperationPoller:
    """A poller of the emulator."""
    opened: OperationPoller = await open_poller()
    return opened


def make_poller(origin: str, **options: Any) -> OperationPoller:
    """A poller without a token, whose waits are exactly what its backoff says."""
    options.setdefault("credentials", AnonymousCredentials())
    options.setdefault("random", lambda: 0.5)
    return OperationPoller(endpoint=origin, **options)
