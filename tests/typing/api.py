"""How users annotate every public name: read by mypy and by pyright, strict, and never run."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, TypeVar, Unpack, assert_type

import backoff
import msgspec
import pydantic
from google.auth.credentials import AnonymousCredentials

import lro_poller
from lro_poller import (
    WORKSPACE_EVENTS,
    WORKSPACE_EVENTS_V1,
    AtDeadline,
    BackoffError,
    BackoffFactory,
    BadRequest,
    Budget,
    Code,
    CredentialsError,
    DebugInfo,
    Decode,
    DecodeError,
    Dialect,
    ErrorInfo,
    FieldViolation,
    Help,
    HelpLink,
    History,
    InvalidOperationName,
    LocalizedMessage,
    LroError,
    NamePattern,
    Operation,
    OperationError,
    OperationFuture,
    OperationPoller,
    PollerClosed,
    PollError,
    PollTimeout,
    PreconditionFailure,
    PreconditionViolation,
    Progress,
    Quota,
    QuotaFailure,
    QuotaViolation,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
    Service,
    Stats,
    Status,
    Submittable,
    Transport,
    Updates,
    WaitOptions,
)
from lro_poller.testing import Delay, Emulator, Hang, HttpError, RecordedRequest, Script

T = TypeVar("T")


class Subscription(msgspec.Struct):
    """What a user decodes into."""

    name: str


def count(response: Any) -> int:
    return len(response)


def waits() -> Iterator[float]:
    yield 2.0


async def poll() -> None:
    async with OperationPoller() as poller:
        assert_type(poller, OperationPoller)
        assert_type(await poller.submit("operations/a"), Any)
        assert_type(poller.submit({"name": "operations/a"}, deadline=5), OperationFuture[Any])
        assert_type(poller.submit("operations/a", decode=Subscription), OperationFuture[Subscription])
        assert_type(await poller.submit("operations/a", decode=Subscription), Subscription)
        assert_type(await poller.submit("operations/a", decode=count), int)
        assert_type(await poller.submit("operations/a", decode=pydantic.TypeAdapter(list[int])), list[int])
        assert_type(await poller.get("operations/a"), Operation)
        assert_type(await poller.get({"name": "operations/a"}), Operation)
        assert_type(poller.resume("{}"), OperationFuture[Any])
        assert_type(poller.resume("{}", deadline=5, decode=Subscription), OperationFuture[Subscription])
        assert_type(await poller.wait_all(["operations/a", {"name": "operations/b"}]), list[OperationFuture[Any]])
        assert_type(poller.as_completed(["operations/a"]), AsyncIterator[OperationFuture[Any]])
        async for future in poller.as_completed(["operations/a"], at_deadline="leave"):
            assert_type(future, OperationFuture[Any])
        await poller.cancel("operations/a")
        await poller.drain()
        assert_type(poller.stats(), Stats)
        assert_type(poller.stats().lateness, float)
        assert_type(poller.history.save(), str)
        assert_type(poller.budget, Budget)


class Created(msgspec.Struct):
    """What a client library returns, by the attribute that counts."""

    name: str


def mistakes(poller: OperationPoller) -> None:
    poller.submit(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    poller.submit(None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    poller.submit(["operations/a"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    poller.budget.max_rate = 5.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with poller:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
        pass


async def decode(poller: OperationPoller, names: list[str], google: Created) -> None:
    assert_type(poller.submit("operations/a", decode=Subscription, deadline=5), OperationFuture[Subscription])
    assert_type(poller.submit(google, decode=dict[str, int]), OperationFuture[dict[str, int]])
    assert_type(poller.resume("{}", decode=count), OperationFuture[int])
    assert_type(await poller.wait_all(names, decode=Subscription), list[OperationFuture[Subscription]])
    assert_type(await poller.wait_all([google], kind="creation", decode=count), list[OperationFuture[int]])
    assert_type(poller.as_completed(names, decode=Subscription), AsyncIterator[OperationFuture[Subscription]])
    async for future in poller.as_completed(names, decode=count, deadline=5):
        assert_type(await future, int)
    typed = [poller.submit(name, decode=Subscription) for name in names]
    assert_type(await poller.wait_all(typed), list[OperationFuture[Subscription]])
    assert_type(poller.as_completed(typed), AsyncIterator[OperationFuture[Subscription]])
    assert_type(await poller.wait_all([*typed, "operations/b"]), list[OperationFuture[Any]])
    mixed = list[OperationFuture[Subscription] | OperationFuture[int]]()
    assert_type(await poller.wait_all(mixed), list[OperationFuture[Subscription] | OperationFuture[int]])
    poller.submit("operations/a", backoff=waits)


def submit_as(
    poller: OperationPoller, name: str, decode: Decode[T], **options: Unpack[WaitOptions]
) -> OperationFuture[T]:
    """What a wrapper of `submit` looks like."""
    return poller.submit(name, decode=decode, **options)


def half_done(operation: Operation) -> float | None:
    share = operation.metadata.get("share")
    return share if isinstance(share, float) else None


async def share() -> None:
    budget, history = Budget(max_in_flight=8, max_rate=5.0, burst=2), History()
    history.add("workspaceevents:v1beta", "CreateSubscriptionMetadata", 12.5)
    history.add(WORKSPACE_EVENTS, "CreateSubscriptionMetadata", 12.5)
    history.load(history.save())
    async with (
        OperationPoller(budget=budget, history=history, progress=half_done) as first,
        OperationPoller("workspaceevents:v1", budget=budget) as second,
    ):
        assert_type(await first.submit("operations/a", kind="creation", expected=30), Any)
        assert_type(second.submit("operations/b", progress=lambda operation: None), OperationFuture[Any])


def configure() -> OperationPoller:
    service = Service("run", "v2", "https://run.googleapis.com", quota=Quota(polls=60, seconds=60), cancellable=True)
    assert_type(service.id, str)
    assert_type(service.scopes, tuple[str, ...])
    assert_type(service.quota, Quota | None)
    assert_type(WORKSPACE_EVENTS, Service)
    assert_type(WORKSPACE_EVENTS_V1, Service)
    assert_type(lro_poller.__version__, str)
    OperationPoller("workspaceevents:v1")
    return OperationPoller(
        service,
        endpoint="http://127.0.0.1:8901",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call, unused-ignore]
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        backoff=functools.partial(backoff.expo, max_value=60),
        deadline=300,
        poll_timeout=10,
        max_in_flight=8,
        max_rate=2.5,
        max_poll_failures=None,
        cancel_grace=5,
        allow_http=True,
    )


async def look(future: OperationFuture[Subscription]) -> None:
    assert_type(await future, Subscription)
    assert_type(future.result(), Subscription)
    assert_type(future.exception(), LroError | None)
    assert_type(future.done(), bool)
    assert_type(future.cancelled(), bool)
    assert_type(future.cancel(), bool)
    assert_type(future.name, str)
    assert_type(future.operation, Operation | None)
    assert_type(future.metadata, Any)
    assert_type(future.polls, int)
    assert_type(future.last_poll_error, PollError | None)
    assert_type(future.elapsed, float)
    assert_type(future.token, str)
    future.add_done_callback(lambda done: assert_type(done.result(), Subscription))
    future.poll_now()
    wider: OperationFuture[Subscription | None] = future  # covariant
    assert_type(wider.updates(), Updates)
    async with future.updates() as stream:
        async for operation in stream:
            assert_type(operation, Operation)


def read(operation: Operation) -> None:
    assert_type(operation.name, str)
    assert_type(operation.done, bool)
    assert_type(operation.error, Status | None)
    assert_type(operation.raw, bytes)
    assert_type(operation.raw_metadata, bytes | None)
    assert_type(operation.raw_response, bytes | None)
    assert_type(operation.response, Any)
    assert_type(Code.NOT_FOUND, Literal[Code.NOT_FOUND])
    if operation.error is not None:
        assert_type(operation.error.code, Code | int)
        assert_type(operation.error.code_name, str)
        assert_type(operation.error.details, tuple[Any, ...])
        assert_type(operation.error.retry_delay, float | None)


def tell(error: LroError) -> None:
    match error:
        case lro_poller.PermissionDenied():
            assert_type(error.operation, Operation)
        case OperationError():
            assert_type(error.code, Code | int)
            assert_type(error.message, str)
            assert_type(error.status, Status)
        case PollError():
            assert_type(error.code, Code | int | None)
            assert_type(error.http_status, int | None)
            assert_type(error.scopes, tuple[str, ...])
        case PollTimeout() | PollerClosed():
            assert_type(error.token, str)
            assert_type(error.elapsed, float)
            assert_type(error.polls, int)
            assert_type(error.last_poll_error, PollError | None)
        case DecodeError():
            assert_type(error.operation, Operation)
        case BackoffError():
            assert_type(error.name, str)
        case InvalidOperationName() | CredentialsError():
            assert_type(str(error), str)
        case _:
            pass


BY_CODE: dict[Code, type[OperationError]] = {
    Code.CANCELLED: lro_poller.Cancelled,
    Code.UNKNOWN: lro_poller.Unknown,
    Code.INVALID_ARGUMENT: lro_poller.InvalidArgument,
    Code.DEADLINE_EXCEEDED: lro_poller.DeadlineExceeded,
    Code.NOT_FOUND: lro_poller.NotFound,
    Code.ALREADY_EXISTS: lro_poller.AlreadyExists,
    Code.RESOURCE_EXHAUSTED: lro_poller.ResourceExhausted,
    Code.FAILED_PRECONDITION: lro_poller.FailedPrecondition,
    Code.ABORTED: lro_poller.Aborted,
    Code.OUT_OF_RANGE: lro_poller.OutOfRange,
    Code.UNIMPLEMENTED: lro_poller.Unimplemented,
    Code.INTERNAL: lro_poller.Internal,
    Code.UNAVAILABLE: lro_poller.Unavailable,
    Code.DATA_LOSS: lro_poller.DataLoss,
    Code.UNAUTHENTICATED: lro_poller.Unauthenticated,
}


async def emulate() -> None:
    async with Emulator(port=0, seed=1, duration=2, error_rate=0.1) as emulator:
        assert_type(emulator.origin, str)
        assert_type(emulator.add_operation(error=Code.ABORTED, faults=[HttpError(503), Hang(), None]), str)
        emulator.plan(Script(duration=1, faults=[Delay(0.5)]))
        assert_type(emulator.polls("operations/a"), int)
    with Emulator(keep_requests=100) as other:
        assert_type(other, Emulator)
        assert_type(other.requests, list[RecordedRequest])
        assert_type(other.request_count, int)


def details(status: Status) -> None:
    assert_type(status.detail(ErrorInfo), ErrorInfo | None)
    assert_type(status.detail(RetryInfo), RetryInfo | None)
    kinds = (
        BadRequest,
        DebugInfo,
        Help,
        LocalizedMessage,
        PreconditionFailure,
        QuotaFailure,
        RequestInfo,
        ResourceInfo,
    )
    assert all(status.detail(kind) is None for kind in kinds)
    assert_type(BadRequest().field_violations, tuple[FieldViolation, ...])
    assert_type(Help().links, tuple[HelpLink, ...])
    assert_type(PreconditionFailure().violations, tuple[PreconditionViolation, ...])
    assert_type(QuotaFailure().violations, tuple[QuotaViolation, ...])
    assert_type(NamePattern("projects/*/operations/*").check("projects/p/operations/o"), str)


def wrapped(poller: OperationPoller, given: Submittable, **options: Unpack[WaitOptions]) -> OperationFuture[Any]:
    """What a caller's own function around `submit` is typed with."""
    assert_type(poller.pending(), list[OperationFuture[Any]])
    return poller.submit(given, **options)


def built(transport: Transport | None, backoff: BackoffFactory | None, progress: Progress | None) -> OperationPoller:
    return OperationPoller(transport=transport, backoff=backoff, progress=progress)


def dialect(name: str, body: bytes) -> Operation:
    return Operation.from_json(name, body)


READ: Dialect = dialect
LEFT: AtDeadline = "leave"
