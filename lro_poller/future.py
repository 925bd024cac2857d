"""What a caller awaits.

A future knows how its operation ended and who wants to hear of it. It behaves as
asyncio's futures do where they have a habit for it, and is not bound to one awaiter:
each `await` is a waiter of its own, so cancelling one cancels nothing else.
It decides nothing; its `host`, the runner, tells it what happened.

A future is a record of msgspec's, of which the garbage collector hears only when a field is set to something that
the collector knows. As long as it is pending and nobody waits in it, its fields hold texts, numbers and records that
are none of the collector's: a full collection passes over a hundred thousand of them. From its end on, when it may
hold a traceback that leads back to it, or whatever a decoder made, it is seen as any other object is.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, Protocol, Self, TypeAlias, TypeVar, cast

import msgspec

from .checks import check_function
from .counting import counted
from .decoding import Decoder, decode_response
from .engine.tracker import Tracker
from .errors import DecodeError, LroError, OperationError, PollerClosed, PollError, PollTimeout
from .operation import Operation
from .terms import AtDeadline

__all__ = ["OperationFuture", "Updates", "check_loop"]

T_co = TypeVar("T_co", covariant=True)

_State: TypeAlias = Literal["pending", "succeeded", "failed", "failed and heard of", "cancelled"]


class Host(Protocol):
    """What a future needs of the runner that it belongs to."""

    loop: asyncio.AbstractEventLoop

    def abandon(self, future: OperationFuture[Any]) -> None:
        """This future waits no more."""

    def wake(self, tracker: Tracker) -> None:
        """Poll this operation now."""

    def token(self, tracker: Tracker) -> str:
        """What resumes the wait."""
        ...


class _Callback(msgspec.Struct, eq=False):
    function: Callable[..., object]
    context: contextvars.Context


_Listener: TypeAlias = "asyncio.Future[None] | _Callback | Updates"


class OperationFuture(msgspec.Struct, Generic[T_co], eq=False, weakref=True):
    """The outcome of one operation. `OperationPoller.submit` makes it; it is not for others to make.

    `await future` gives the response, or raises: an `OperationError` of the operation's own
    code, `PollError`, `PollTimeout`, `DecodeError`, `BackoffError`, `PollerClosed`, or
    `asyncio.CancelledError` after `cancel()`. Any number of tasks may await it, any number
    of times. Not safe to use from another thread than its loop's.
    """

    _tracker: Tracker
    _decoder: Decoder | None
    _submitted: float
    _span: float | None = None  # seconds from submission to deadline; futures of the same terms share the number
    _at_deadline: AtDeadline = "leave"
    _ended: float | None = None
    _state: _State = "pending"
    _came_to_deadline: bool = False  # what is done about its operation then is done once; it may wait on for that
    _ended_host: Host | None = None  # while it is pending its tracker leads there, out of the collector's sight
    _result: Any = None
    _listeners: dict[_Listener, None] | None = None  # in the order in which they came

    def __repr__(self) -> str:
        state = _how_it_failed(self._result) if self._failed else self._state
        return f"<OperationFuture {self.name} {state}, {counted(self.polls, 'poll')}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """No more than that to rich, which would go through the fields."""
        return [("name", self.name), ("done", self.done()), ("polls", self.polls)]

    def __reduce__(self) -> NoReturn:
        """A copy would never end.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"cannot copy or pickle {self!r}: its loop resolves it alone; OperationPoller.resume takes its `token` elsewhere"
        )

    __copy__ = __reduce__

    def __replace__(self, /, **changes: object) -> NoReturn:
        self.__reduce__()

    # What is known of the operation.

    @property
    def name(self) -> str:
        """The operation's name."""
        return self._tracker.name

    @property
    def operation(self) -> Operation | None:
        """The operation as last read; None before the first reply."""
        return self._tracker.operation

    @property
    def metadata(self) -> Any:
        """The operation's last metadata as JSON values; None where there is none."""
        operation = self._tracker.operation
        return None if operation is None else operation.metadata

    @property
    def polls(self) -> int:
        """How many polls were sent for this operation."""
        return self._tracker.polls

    @property
    def last_poll_error(self) -> PollError | None:
        """Why the last poll failed; None when it did not."""
        outcome = self._result if self._failed else None
        if isinstance(outcome, PollError):
            return outcome
        return getattr(outcome, "last_poll_error", self._tracker.error)

    @property
    def submitted(self) -> float:
        """When it was submitted, in seconds of the loop's clock."""
        return self._submitted

    @property
    def deadline(self) -> float | None:
        """When waiting ends, in seconds of the loop's clock; None for never."""
        return None if self._span is None else self._submitted + self._span

    @property
    def at_deadline(self) -> AtDeadline:
        """What becomes of the operation at its deadline."""
        return self._at_deadline

    @property
    def ended(self) -> float | None:
        """When its outcome was known, in seconds of the loop's clock; None before."""
        return self._ended

    @property
    def elapsed(self) -> float:
        """Seconds from the submission to the end, or to now."""
        return (self._host.loop.time() if self._ended is None else self._ended) - self._submitted

    @property
    def token(self) -> str:
        """What `OperationPoller.resume` takes to go on waiting for this operation elsewhere."""
        return self._host.token(self._tracker)

    # What asyncio's futures have.

    def done(self) -> bool:
        """Whether there is an outcome; cancelled counts."""
        return self._state != "pending"

    def cancelled(self) -> bool:
        """Whether `cancel()` ended it. An operation that was cancelled at the service raises `Cancelled`."""
        return self._state == "cancelled"

    def result(self) -> T_co:
        """The response, or raises what the operation came to.

        Raises:
            asyncio.InvalidStateError: there is no outcome yet.
            asyncio.CancelledError: the future was cancelled.
        """
        error = self.exception()
        if error is not None:
            raise error.with_traceback(None)  # or it would grow with every call
        return cast(T_co, self._result)

    def exception(self) -> LroError | None:
        """What awaiting would raise; None after a success.

        Raises:
            asyncio.InvalidStateError: there is no outcome yet.
            asyncio.CancelledError: the future was cancelled.
        """
        if self._state == "pending":
            raise asyncio.InvalidStateError(f"{self.name}: no outcome yet")
        if self._state == "cancelled":
            raise asyncio.CancelledError
        if self._state == "succeeded":
            return None
        self._state = "failed and heard of"
        return cast(LroError, self._result)

    def cancel(self, msg: object = None) -> bool:
        """Stops waiting. The operation itself goes on at the service. False when there is an outcome already.

        Args:
            msg: Taken because asyncio's futures take one; it goes nowhere.
        """
        if self.done():
            return False
        self._check_loop()
        self._host.abandon(self)
        self._end("cancelled", None, self._host.loop.time())
        return True

    def add_done_callback(
        self, callback: Callable[[OperationFuture[T_co]], object], *, context: contextvars.Context | None = None
    ) -> None:
        """Has the loop call `callback(future)` once there is an outcome, soon if there is one already.

        Args:
            callback: A plain function: nobody would await a coroutine.
            context: What it runs in; that of the caller unless given.

        Raises:
            TypeError: it is no plain function.
        """
        self._check_loop()
        check_function("a callback", callback)
        entry = _Callback(callback, contextvars.copy_context() if context is None else context)
        if self.done():
            self._call_soon(entry)
        else:
            self._add_listener(entry)

    def remove_done_callback(self, callback: Callable[[OperationFuture[T_co]], object]) -> int:
        """Removes every `callback` that was added; returns how many there were."""
        listeners = self._listeners or {}
        gone = [one for one in listeners if isinstance(one, _Callback) and one.function == callback]
        for one in gone:
            del listeners[one]
        return len(gone)

    def __await__(self) -> Generator[Any, None, T_co]:
        if not self.done():
            yield from self._wait().__await__()
        return self.result()

    async def _wait(self) -> None:
        """Returns once there is an outcome, and raises nothing of it."""
        loop = self._host.loop
        if asyncio.get_running_loop() is not loop:
            raise RuntimeError(f"{self!r} is awaited in another event loop than its poller's")
        waiter = loop.create_future()
        self._add_listener(waiter)
        try:
            await waiter
        finally:
            self._remove_listener(waiter)

    # What only operations have.

    def poll_now(self) -> None:
        """Makes the next poll as soon as the rate and Retry-After allow: an event says that the operation has moved.

        Where polls are scarce it goes before others, but not again until they may all have had a turn.
        """
        if not self.done():
            self._check_loop()
            self._host.wake(self._tracker)

    def updates(self) -> Updates:
        """The operation's progress: `async with future.updates() as stream: async for operation in stream`."""
        return Updates(self)

    # What the runner says.

    def _finish(self, operation: Operation, now: float) -> None:
        """The operation is done. Should the decoder of another one who waited for it have cancelled this, it stays so."""
        if operation.error is not None:
            self._fail(OperationError.of(operation), now)
            return
        try:
            value = decode_response(operation, self._decoder)
        except DecodeError as error:
            self._fail(error, now)
            return
        if not self.done():  # a decoder is the caller's code: it may have cancelled this very future
            self._end("succeeded", value, now)

    def _fail(self, error: LroError, now: float) -> None:
        """Waiting ended with `error`."""
        if self.done():
            return
        # Nobody has to look at what closing did: it is what the caller asked for.
        self._end("failed and heard of" if isinstance(error, PollerClosed) else "failed", error, now)

    def _postpone(self, until: float) -> None:
        """Waiting ends later."""
        self._span = until - self._submitted

    def _see(self, operation: Operation) -> None:
        """A poll found the operation running."""
        for one in self._listeners or ():
            if isinstance(one, Updates):
                one._show(operation)

    def _end(self, state: _State, result: Any, now: float) -> None:
        self._state, self._result, self._ended = state, result, now
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.empty()
        listeners, self._listeners = self._listeners, None
        for one in listeners or ():
            match one:
                case _Callback():
                    self._call_soon(one)
                case Updates():
                    self._tracker.streams -= 1
                    one._finish(self._tracker.operation)
                case _ if not one.done():
                    one.set_result(None)

    def _add_listener(self, one: _Listener) -> None:
        """`one` hears of the end too, in turn."""
        if self._listeners is None:
            self._listeners = {one: None}
        else:
            self._listeners[one] = None

    def _remove_listener(self, one: _Listener) -> bool:
        """`one` hears of nothing any more; False where it did not anyway."""
        return self._listeners is not None and self._listeners.pop(one, one) is None

    @property
    def _failed(self) -> bool:
        return self._state in ("failed", "failed and heard of")

    @property
    def _host(self) -> Host:
        host: Host = self._tracker.owner if self._ended_host is None else self._ended_host
        return host

    def _check_loop(self) -> None:
        if self._host.loop.is_running():
            check_loop(self._host.loop, self)

    def _call_soon(self, entry: _Callback) -> None:
        self._host.loop.call_soon(_call, entry.function, self, context=entry.context)

    def __del__(self) -> None:
        if getattr(self, "_state", None) == "failed" and not self._host.loop.is_closed():
            self._host.loop.call_exception_handler(
                {"message": f"the outcome of {self.name} was never retrieved", "exception": self._result}
            )


def _how_it_failed(error: LroError) -> str:
    """In the words of `docs/behaviours.md`: three endings, and what is none of them."""
    match error:
        case OperationError():
            return "failed"
        case PollTimeout():
            return "timed out"
        case PollError():
            return "poll failed"
        case PollerClosed():
            return "poller closed"
    return type(error).__name__


def check_loop(loop: asyncio.AbstractEventLoop, used: object) -> None:
    """Checks that what is `used` belongs to the loop that runs in this thread.

    What is not safe must not seem to work: a loop that waits is not woken from another thread.

    Raises:
        RuntimeError: it belongs to another, `loop`; or that one is closed.
    """
    if loop.is_closed():
        raise RuntimeError(f"{used!r} belongs to an event loop that is closed; open a poller in each asyncio.run")
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        return
    way = "each loop needs a poller of its own; a test and its fixtures need the same loop scope"
    if here is None and not loop.is_running():
        way = "call it in an 'async def' that this loop runs"
    elif loop.is_running():
        way = (
            "from another thread, hand a function to loop.call_soon_threadsafe, "
            "or a coroutine to asyncio.run_coroutine_threadsafe"
        )
    raise RuntimeError(f"{used!r} is used outside its event loop; {way}")


def _call(callback: Callable[..., object], future: OperationFuture[Any]) -> None:
    """Stands before a callback: a loop in debug mode refuses what looks like a coroutine, when that comes too late."""
    callback(future)


class Updates:
    """The states of an operation, one after the other: the one that is known, then each whose metadata differs.

    A slow reader sees the newest, never a backlog, and everybody the last. The stream ends when the future has an
    outcome, which `await future` gives.
    """

    __slots__ = ("_entered", "_fresh", "_future", "_last", "_over", "_waiter")

    def __init__(self, future: OperationFuture[Any]) -> None:
        self._future = future
        self._entered = False
        self._fresh: Operation | None = None
        self._last: Operation | None = None
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Updates of {self._future.name}, {'over' if self._over else 'open' if self._entered else 'new'}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream of updates is entered once; call future.updates() again")
        future = self._future
        check_loop(future._host.loop, future)
        self._entered = True
        if future.operation is not None:
            self._show(future.operation)
        if future.done():
            self._over = True
        else:
            future._add_listener(self)
            future._tracker.streams += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over = True
        self._wake()  # a reader in another task
        future = self._future
        if future._remove_listener(self):
            future._tracker.streams -= 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Operation:
        if not self._entered:
            raise RuntimeError("read updates inside 'async with future.updates() as stream'")
        while self._fresh is None:
            if self._over:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError(
                    "one task reads a stream of updates at a time; call future.updates() for each reader"
                )
            self._waiter = self._future._host.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        operation, self._fresh = self._fresh, None
        return operation

    def _show(self, operation: Operation) -> None:
        last = self._last
        if last is None or operation.done or last.raw_metadata != operation.raw_metadata:
            self._last = self._fresh = operation
            self._wake()

    def _finish(self, operation: Operation | None) -> None:
        self._over = True
        if operation is not None and operation is not self._last:
            self._show(operation)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
