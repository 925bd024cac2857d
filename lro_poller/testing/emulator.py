"""An HTTP server that behaves as Google Workspace Events does, on loopback.

For tests, demonstrations and benchmarks: the real paths, of v1 and v1beta, which Google's
own clients can drive, with operations that take their time and polls that go wrong as they
are scripted or drawn. Of any other service it has the operations. It needs no credentials, and keeps
what it has for tests to look at until it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import functools
import heapq
import itertools
import json
import logging
import random
import ssl
import urllib.parse
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import backoff
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from google.auth.credentials import AnonymousCredentials

from ..checks import check_function, check_part, check_whole
from ..counting import counted
from ..operation import Operation
from ..poller import OperationPoller
from ..services import WORKSPACE_EVENTS, Quota, Service
from ..status import Code
from .batch import BATCH_PATH, answer_batch
from .faults import Fault, error_body
from .operations import Chance, Script, ScriptedOperation, make_name
from .subscriptions import ApiError, Subscriptions

__all__ = ["Emulator", "RecordedRequest"]

logger = logging.getLogger("lro_poller")

Json = dict[str, Any]

_VERY_OFTEN = functools.partial(backoff.constant, interval=[0.05])

_QUOTA_FAILURE: Json = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"subject": "project:demo", "description": "Read requests per minute"}],
}

_HTTP_OF_CODE = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
}


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it came: `path` is percent-encoded and without the query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    time: float


class Emulator:
    """The emulated service.

        async with Emulator() as emulator:          # in the loop that is running
            name = emulator.add_operation(duration=2)

        with Emulator() as emulator:                # in a thread of its own, for code that blocks
            ...

    Args:
        service: Whose operations it has. Of Workspace Events it has the subscriptions too, in both versions.
        port: To listen on, at 127.0.0.1; 0 for a free one.
        seed: What is drawn at random is the same for the same seed.
        duration, error_rate: How operations go that no script is given for; see `Chance`.
        fault_rate: Likelihood of a fault at each poll of any operation, after the faults of its script.
        cancellable: Whether it has operations.cancel; as the service has, unless given.
        quota: How many polls it answers in a sliding window of time; what comes beyond is answered with 429,
            and does not count. None for any number.
        keep_requests: How many of the requests that came last are kept in `requests`; None for all.
        ssl_context: To serve HTTPS.
        render: What the service makes of an operation that AIP-151 describes, both as JSON: the other way round of
            its `dialect`, and needed where it has one.

    Raises:
        ValueError: an argument is out of its range, or the service has a dialect and there is no `render`.
    """

    def __init__(
        self,
        service: Service = WORKSPACE_EVENTS,
        *,
        port: int = 0,
        seed: int = 0,
        duration: float = 0.0,
        error_rate: float = 0.0,
        fault_rate: float = 0.0,
        cancellable: bool | None = None,
        quota: Quota | None = None,
        keep_requests: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        render: Callable[[Json], Json] | None = None,
    ) -> None:
        if quota is not None and not isinstance(quota, Quota):
            raise TypeError(f"quota must be a Quota, such as Quota(600, 60), not {quota!r}")
        self._port = check_whole("port", port, 0, 65535)
        check_part("service", service, Service)
        self._service = service if cancellable is None else dataclasses.replace(service, cancellable=cancellable)
        if render is None and service.dialect != Operation.from_json:
            raise ValueError(f"{service.id} has a dialect: pass render=, which makes of an operation what that reads")
        self._render = check_function("render", render) if render is not None else None
        self._quota = quota
        self._counted: deque[float] = deque()  # when the polls that count came
        self._keep_requests = None if keep_requests is None else check_whole("keep_requests", keep_requests, 0)
        if ssl_context is not None:
            check_part("ssl_context", ssl_context, ssl.SSLContext)
        self._ssl = ssl_context
        self._seed = seed
        self._dice = random.Random(seed)
        self._chance = Chance(duration, error_rate, fault_rate)
        self._scripts: list[Script] = []
        self._ends: list[tuple[float, int, ScriptedOperation]] = []  # a heap
        self._count = itertools.count()
        self._stack = contextlib.AsyncExitStack()
        self._thread = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening = False
        self.operations: dict[str, ScriptedOperation] = {}
        """Every operation there is, by name."""
        self.subscriptions = Subscriptions(self._dice)
        """Every subscription there is."""
        self.requests: list[RecordedRequest] = []
        """The requests that came, oldest first: all of them, or the last `keep_requests`."""
        self.request_count = 0
        """How many requests came."""

    def __repr__(self) -> str:
        where = self.origin if self._listening else "not listening"
        return f"<Emulator {where}, {counted(len(self.operations), 'operation')}>"

    @property
    def origin(self) -> str:
        """Where it listens: `http://127.0.0.1:8901`."""
        if not self._listening:
            raise RuntimeError("the emulator is not listening: use it inside 'with' or 'async with'")
        return f"{'http' if self._ssl is None else 'https'}://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        """Listens. Raises OSError when the port is taken, and RuntimeError when it listens already."""
        self._check_silent()
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._app(), shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._ssl)
        listening = self._loop.create_task(site.start())
        try:
            await asyncio.shield(listening)
        except BaseException:
            # asyncio loses a server whose start is cancelled: it is let start, and then stopped.
            await asyncio.wait([listening])
            await self._stack.aclose()
            raise
        self._port = runner.addresses[0][1]
        self._listening = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening = False
        await self._stack.aclose()  # which answers what is still asked
        self._loop = None

    def __enter__(self) -> Self:
        self._check_silent()
        portal = self._thread.enter_context(start_blocking_portal())
        try:
            self._thread.enter_context(portal.wrap_async_context_manager(self))
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.close()

    def _check_silent(self) -> None:
        if self._listening:
            raise RuntimeError(f"the emulator is listening already, at {self.origin}")

    def poller(self, **options: Any) -> OperationPoller:
        """A poller for tests, to be entered: without credentials, and it looks every twentieth of a second.

        Polls that fail are tried again after a second or more, as ever. Over HTTPS it needs a `transport=` that trusts
        the certificate.

        Args:
            options: Of `OperationPoller`, to have it otherwise.
        """
        usual = {"endpoint": self.origin, "credentials": AnonymousCredentials(), "backoff": _VERY_OFTEN}
        return OperationPoller(self._service, **{**usual, **options})

    # Scripting.

    def add_operation(
        self,
        name: str | None = None,
        *,
        duration: float | None = 0.0,
        polls: int | None = None,
        response: Json | None = None,
        error: Json | Code | None = None,
        metadata: Json | Sequence[Json] | None = None,
        faults: Sequence[Fault | None] = (),
    ) -> str:
        """Adds an operation that nothing was requested by; returns its name. The rest is as in `Script`.

        Raises:
            InvalidOperationName: no poller of the service could ask for it.
        """
        script = Script(duration, polls, response, error, metadata, faults)
        if name is not None:
            self._service.names.check(name)
        return self._begin(script, name, response=response, metadata={}).name

    def plan(self, *scripts: Script) -> None:
        """How the operations of the next requests go, one script for each."""
        self._scripts.extend([check_part("a script", script, Script) for script in scripts])

    def polls(self, name: str) -> int:
        """How many polls of an operation came."""
        return self.operations[name].polls

    # The service.

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._middleware])
        app.router.add_post(self._service.batch_path or BATCH_PATH, answer_batch)
        has_subscriptions = self._service.name == WORKSPACE_EVENTS.name
        for version in {"v1", "v1beta", self._service.version} if has_subscriptions else {self._service.version}:
            if has_subscriptions:
                self._add_subscriptions(app.router, version)
            operation = f"/{version}/{{name:{self._service.names.regex}}}"
            app.router.add_get(operation, self._get_operation)
            if self._service.cancellable:
                app.router.add_post(f"{operation}:cancel", self._cancel_operation)
        return app

    def _add_subscriptions(self, router: web.UrlDispatcher, version: str) -> None:
        router.add_post(f"/{version}/subscriptions", self._create)
        router.add_get(f"/{version}/subscriptions", self._list)
        router.add_get(f"/{version}/subscriptions/{{id:[^/]+}}", self._get)
        router.add_patch(f"/{version}/subscriptions/{{id:[^/]+}}", self._patch)
        router.add_delete(f"/{version}/subscriptions/{{id:[^/]+}}", self._delete)
        router.add_post(f"/{version}/subscriptions/{{id:[^/:]+}}:reactivate", self._reactivate)

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._record(request)
        while self._ends and self._ends[0][0] <= self._now():
            heapq.heappop(self._ends)[2].end()
        try:
            return await handler(request)
        except ApiError as error:
            return _error(_HTTP_OF_CODE[error.code], error.code, error.message, error.details)
        except web.HTTPMethodNotAllowed:
            return _error(404, Code.NOT_FOUND, f"{request.method} {request.path} not found")
        except web.HTTPNotFound:
            return _error(404, Code.NOT_FOUND, f"{request.path} not found")

    def _record(self, request: web.Request) -> None:
        url = urllib.parse.urlsplit(request.raw_path)
        self.requests.append(RecordedRequest(request.method, url.path, url.query, request.headers, self._now()))
        self.request_count += 1
        logger.debug("%s %s", request.method, url.path)
        if self._keep_requests is not None:
            del self.requests[: max(0, len(self.requests) - self._keep_requests)]

    async def _create(self, request: web.Request) -> web.Response:
        subscription = self.subscriptions.prepare(await _body(request), _wall())
        if _flag(request, "validateOnly"):
            self.subscriptions.forget(subscription)
            return self._ended(request, "Create", subscription)
        return self._start(
            request,
            "Create",
            lambda: self.subscriptions.commit(subscription),
            on_failure=lambda: self.subscriptions.forget(subscription),
        )

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(self.subscriptions.list(request.query))

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self.subscriptions.get(_name(request)))

    async def _patch(self, request: web.Request) -> web.Response:
        body = {**await _body(request), "name": _name(request)}
        changed = self.subscriptions.changed(body, request.query.get("updateMask"), _wall())
        if _flag(request, "validateOnly"):
            return self._ended(request, "Update", changed)
        return self._start(request, "Update", lambda: self.subscriptions.replace(changed))

    async def _delete(self, request: web.Request) -> web.Response:
        name = _name(request)
        try:
            self.subscriptions.get(name, request.query.get("etag"))
        except ApiError as error:
            if error.code is not Code.NOT_FOUND or not _flag(request, "allowMissing"):
                raise
        if _flag(request, "validateOnly"):
            return self._ended(request, "Delete", None)
        return self._start(request, "Delete", lambda: self.subscriptions.delete(name))

    async def _reactivate(self, request: web.Request) -> web.Response:
        changed = self.subscriptions.reactivated(_name(request), _wall())
        return self._start(request, "Reactivate", lambda: self.subscriptions.replace(changed))

    async def _get_operation(self, request: web.Request) -> web.StreamResponse:
        self._count_poll(self._now())
        operation = self._named(request)
        fault = operation.next_fault()
        if fault is not None:
            return await fault.answer(request, self._written(operation.read(self._now())))
        return web.Response(body=self._written(operation.poll(self._now())), content_type="application/json")

    def _written(self, operation: Json) -> bytes:
        """An operation as a reply to a poll has it."""
        return json.dumps(operation if self._render is None else self._render(operation)).encode()

    def _count_poll(self, now: float) -> None:
        """Refuses a poll that the quota has no room for."""
        if self._quota is None:
            return
        while self._counted and self._counted[0] <= now - self._quota.seconds:
            self._counted.popleft()
        if len(self._counted) >= self._quota.polls:
            window = f"{counted(self._quota.polls, 'read')} in {self._quota.seconds:g} s"
            raise ApiError(Code.RESOURCE_EXHAUSTED, f"Quota exceeded: {window}", [_QUOTA_FAILURE])
        self._counted.append(now)

    async def _cancel_operation(self, request: web.Request) -> web.Response:
        self._named(request).cancel(self._now())
        return web.json_response({})

    def _named(self, request: web.Request) -> ScriptedOperation:
        name = request.match_info["name"]
        if name not in self.operations:
            raise ApiError(Code.NOT_FOUND, f"Operation {name} not found")
        return self.operations[name]

    # Operations.

    def _start(
        self,
        request: web.Request,
        verb: str,
        effect: Callable[[], Json | None],
        on_failure: Callable[[], None] | None = None,
    ) -> web.Response:
        """Answers a request with the operation that carries it out."""
        package = _package(request)
        script = self._scripts.pop(0) if self._scripts else None
        operation = self._begin(
            script,
            None,
            metadata={"@type": f"{package}.{verb}SubscriptionMetadata"},
            on_end=lambda: _as_any(package, effect()),
            on_failure=on_failure,
        )
        return web.json_response(operation.read(self._now()))

    def _ended(self, request: web.Request, verb: str, result: Json | None) -> web.Response:
        """Answers with an operation that is done: the request was only to be validated."""
        package = _package(request)
        metadata = {"@type": f"{package}.{verb}SubscriptionMetadata"}
        return web.json_response(
            self._begin(Script(), None, response=_as_any(package, result), metadata=metadata).read(self._now())
        )

    def _begin(
        self,
        script: Script | None,
        name: str | None,
        *,
        metadata: Json,
        response: Json | None = None,
        on_end: Callable[[], Json | None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> ScriptedOperation:
        name = make_name(self._service.names.template, self._dice) if name is None else name
        if name in self.operations:
            raise ValueError(f"there is an operation {name} already")
        # Its own dice: what it draws depends on its name and the seed, not on who polls first.
        dice = random.Random(f"{self._seed} {name}")
        operation = ScriptedOperation(
            name,
            self._chance.draw(dice) if script is None else script,
            self._now(),
            response=response,
            metadata=metadata,
            on_end=on_end,
            on_failure=on_failure,
            chance=self._chance,
            dice=dice,
        )
        self.operations[name] = operation
        if operation.ends is not None:
            heapq.heappush(self._ends, (operation.ends, next(self._count), operation))
        return operation

    def _now(self) -> float:
        if self._loop is None:
            raise RuntimeError("the emulator is not listening: use it inside 'with' or 'async with'")
        return self._loop.time()


def _wall() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(request: web.Request) -> str:
    return f"subscriptions/{request.match_info['id']}"


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() == "true"


def _package(request: web.Request) -> str:
    version = request.path.split("/")[1]
    return f"type.googleapis.com/google.apps.events.subscriptions.{version}"


def _as_any(package: str, result: Json | None) -> Json:
    if result is None:
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}
    return {"@type": f"{package}.Subscription", **result}


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ApiError(Code.INVALID_ARGUMENT, "The body is no JSON object")
    return body


def _error(status: int, code: Code, message: str, details: Sequence[Json] = ()) -> web.Response:
    return web.json_response(error_body(status, code, message, details), status=status)
