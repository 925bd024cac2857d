"""The clients that are compared, each a function that polls until it is closed.

A contender opens itself on a scene, keeps `in_flight` polls under way of operations that
never end, and yields a function that says how many it has made. All send a token, read
the JSON of every reply, and check its `done`. Each imports what it needs inside itself,
so that a process holds one of them and nothing of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from .limit import open_protocol
from .scene import BATCH_PATH, TOKEN, Scene

__all__ = ["CONTENDERS", "HEADERS", "Contender"]

Count: TypeAlias = Callable[[], int]
_BATCHES = 4  # under way at once
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True)
class Contender:
    """How a client is opened, and where it can be compared.

    Attributes:
        label: What tables and plots call it.
        needs_tls: Whether it speaks TLS only.
        loads: Whether it is compared with 1 and 8 polls in flight too, and not only with 64.
        needs: A module without which it cannot be compared.
    """

    open: Callable[[Scene], AbstractAsyncContextManager[Count]]
    label: str
    needs_tls: bool = False
    loads: bool = False
    needs: str = "aiohttp"

    @property
    def available(self) -> bool:
        try:
            return importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False


@contextlib.asynccontextmanager
async def open_poller(scene: Scene, transport: Any = None, in_flight: int | None = None) -> AsyncIterator[Count]:
    """The poller with its deadline, its checks and a token; every operation is always due."""
    import backoff
    from google.oauth2.credentials import Credentials

    from lro_poller import OperationPoller

    async with OperationPoller(
        endpoint=scene.origin,
        credentials=Credentials(TOKEN),
        transport=transport,
        backoff=functools.partial(backoff.constant, interval=0),
        deadline=3600,
        max_in_flight=in_flight or scene.in_flight,
    ) as poller:
        futures = [poller.submit(f"operations/{number}") for number in range(in_flight or scene.in_flight)]
        yield lambda: sum(future.polls for future in futures)


def open_http2(scene: Scene) -> AbstractAsyncContextManager[Count]:
    """The poller over one HTTP/2 connection."""
    transport = importlib.import_module("lro_poller.transports.http2").Http2Transport(scene.origin)
    return open_poller(scene, transport)


def open_batch(scene: Scene) -> AbstractAsyncContextManager[Count]:
    """The poller with batches of a hundred polls; so many more than the others have in flight, in few requests."""
    from lro_poller.transports.aiohttp import AiohttpTransport

    batches = importlib.import_module("lro_poller.transports.batch").BatchTransport
    return open_poller(scene, batches(AiohttpTransport(scene.origin), BATCH_PATH), 100 * _BATCHES)


@contextlib.asynccontextmanager
async def open_aiohttp(scene: Scene) -> AsyncIterator[Count]:
    """The plainest loop: `session.get` and `json.loads`."""
    import aiohttp

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def poll(url: str) -> None:
            async with session.get(url) as response:
                assert not json.loads(await response.read())["done"]

        async with _repeating(poll, scene) as count:
            yield count


@contextlib.asynccontextmanager
async def open_coroutines(scene: Scene) -> AsyncIterator[Count]:
    """What users write: a coroutine per operation, with `backoff` and aiohttp."""
    import aiohttp
    import backoff

    polls = 0
    async with aiohttp.ClientSession(headers=HEADERS) as session:

        @backoff.on_predicate(
            backoff.constant, lambda operation: not operation.get("done"), interval=0, jitter=None, max_time=3600
        )
        async def wait(url: str) -> Any:
            nonlocal polls
            polls += 1
            async with session.get(url) as response:
                response.raise_for_status()
                return await response.json()

        async with _together([wait(scene.url(name)) for name in scene.names]):
            yield lambda: polls


@contextlib.asynccontextmanager
async def open_google(scene: Scene) -> AsyncIterator[Count]:
    """google-api-core's future over its async REST client; it speaks TLS only."""
    from google.api_core import operation_async, retry_async
    from google.api_core.operations_v1 import AsyncOperationsRestClient
    from google.api_core.operations_v1.transports.rest_asyncio import AsyncOperationsRestTransport
    from google.auth.aio.credentials import StaticCredentials
    from google.longrunning import operations_pb2
    from google.protobuf import duration_pb2

    transport = AsyncOperationsRestTransport(
        host=scene.origin.removeprefix("https://"),
        credentials=StaticCredentials(TOKEN),
        http_options={
            "google.longrunning.Operations.GetOperation": [{"method": "get", "uri": "/v1beta/{name=operations/*}"}]
        },
    )
    client = AsyncOperationsRestClient(transport=transport)
    polls = 0

    async def refresh(name: str, retry: object) -> Any:
        nonlocal polls
        polls += 1
        return await client.get_operation(name)

    # Its own waits would be what is measured: the least that it allows is none.
    at_once = retry_async.AsyncRetry(
        predicate=retry_async.if_exception_type(*_not_done()), initial=0, maximum=0, timeout=3600
    )

    def wait(name: str) -> Awaitable[Any]:
        operation = operations_pb2.Operation(name=name)
        future = operation_async.AsyncOperation(
            operation, functools.partial(refresh, name), None, duration_pb2.Duration, retry=at_once
        )
        return future.result()

    try:
        async with _together([wait(name) for name in scene.names]):
            yield lambda: polls
    finally:
        await transport._session.close()  # transport.close() raises NotImplementedError


def _not_done() -> tuple[type[Exception], ...]:
    from google.api_core.future.async_future import _OperationNotComplete

    return (_OperationNotComplete,)


@contextlib.asynccontextmanager
async def open_httpx(scene: Scene) -> AsyncIterator[Count]:
    """httpx, which many projects have at hand."""
    import httpx

    limits = httpx.Limits(max_connections=scene.in_flight, max_keepalive_connections=scene.in_flight)
    async with httpx.AsyncClient(headers=HEADERS, limits=limits) as client:

        async def poll(url: str) -> None:
            assert not (await client.get(url)).json()["done"]

        async with _repeating(poll, scene) as count:
            yield count


@contextlib.asynccontextmanager
async def _repeating(poll: Callable[[str], Awaitable[None]], scene: Scene) -> AsyncIterator[Count]:
    """Polls every operation of the scene over and over, each in a task of its own."""
    polls = 0

    async def repeat(url: str) -> None:
        nonlocal polls
        while True:
            await poll(url)
            polls += 1

    async with _together([repeat(scene.url(name)) for name in scene.names]):
        yield lambda: polls


@contextlib.asynccontextmanager
async def _together(coroutines: list[Any]) -> AsyncIterator[None]:
    """Runs them while the block lasts. None of them ends by itself: the error of one that does is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        yield
        for task in tasks:
            if task.done():
                raise RuntimeError(f"a client stopped polling: {task!r}") from task.exception()
    finally:
        await _cancel(tasks)


async def _cancel(tasks: list[asyncio.Future[Any]]) -> None:
    """Until they are done: before Python 3.12, asyncio.wait_for inside a client may swallow a cancellation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)


CONTENDERS: dict[str, Contender] = {
    "protocol": Contender(open_protocol, "asyncio.Protocol by hand: the limit", loads=True),
    "lro_poller": Contender(open_poller, "lro_poller", loads=True),
    "http2": Contender(open_http2, "lro_poller, HTTP/2", needs_tls=True, needs="lro_poller.transports.http2"),
    "batch": Contender(open_batch, "lro_poller, batches of 100", needs="lro_poller.transports.batch"),
    "aiohttp": Contender(open_aiohttp, "aiohttp, a plain loop", loads=True),
    "coroutines": Contender(open_coroutines, "backoff.on_predicate, a coroutine each"),
    "google": Contender(open_google, "google-api-core", needs_tls=True, needs="google.api_core.operations_v1"),
    "httpx": Contender(open_httpx, "httpx, a plain loop", needs="httpx"),
}
"""Who is compared. A transport of the poller joins as one function and one entry."""
