"""What a caller awaits.

A future knows how its operation ended and who wants to hear of it. It behaves as
asyncio's futures do where they have a habit for it, and is not bound to one awaiter:
each `await` is a waiter of its own, so cancelling one cancels nothing else.
It decides nothing; its `host`, the runner, tells it what happened.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import math
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar, cast

from .checks import check_function
from .counting import counted
from .decoding import Decoder, decode_response
from .engine.tracker import Tracker
from .errors import DecodeError, LroError, OperationError, PollerClosed, PollError, PollTimeout
from .operation import Operation
from .terms import AtDeadline

__all__ = ["OperationFuture", "Updates", "check_loop"]

T_co = TypeVar("T_co", covariant=True)


_Callback: TypeAlias = tuple[Callable[..., object], contextvars.Context]


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


class _State(enum.IntEnum):
    PENDING = 0
    SUCCEEDED = 1
    FAILED = 2  # its error has not been looked at
    FAILED_AND_SEEN = 3
    CANCELLED = 4


class OperationFuture(Generic[T_co]):
    """The outcome of one operation, made by `OperationPoller.submit`.

    `await future` gives the response, or raises: an `OperationError` of the operation's own
    code, `PollError`, `PollTimeout`, `DecodeError`, `BackoffError`, `PollerClosed`, or
    `asyncio.CancelledError` after `cancel()`. Any number of tasks may await it, any number
    of times. Not safe to use from another thread than its loop's.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_decoder",
        "_host",
        "_result",
        "_scheduled",
        "_state",
        "_tracker",
        "_waiters",
        "_watchers",
        "at_deadline",
        "deadline",
        "ended",
        "submitted",
    )

    def __init__(
        self,
        host: Host,
        tracker: Tracker,
        decoder: Decoder | None,
        *,
        submitted: float,
        deadline: float | None = None,
        at_deadline: AtDeadline = AtDeadline.LEAVE,
    ) -> None:
        self._host = host
        self._tracker = tracker
        self._decoder = decoder
        self._state = _State.PENDING
        self._result: Any = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._callbacks: list[_Callback] | None = None
        self._watchers: list[Updates] | None = None
        self.submitted = submitted
        """When it was submitted, in seconds of the loop's clock."""
        self.ended: float | None = None
        """When its outcome was known, in seconds of the loop's clock; None before."""
        self.deadline = deadline
        """When waiting ends, in seconds of the loop's clock; None for never."""
        self.at_deadline = at_deadline
        """What becomes of the operation then."""
        self._scheduled = math.inf

    def __repr__(self) -> str:
        failed = self._state in (_State.FAILED, _State.FAILED_AND_SEEN)
        state = _how_it_failed(self._result) if failed else self._state.name.lower()
        return f"<OperationFuture {self.name} {state}, {counted(self.polls, 'poll')}>"

    # What is known of the operation.

    @property
    def name(self) -> str:
        """The operation."""
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
        """How many polls were started for this operation."""
        return self._tracker.polls

    @property
    def last_poll_error(self) -> PollError | None:
        """Why the last poll failed; None when it did not."""
        outcome = self._result if self._state in (_State.FAILED, _State.FAILED_AND_SEEN) else None
        if isinstance(outcome, PollError):
            return outcome
        return getattr(outcome, "last_poll_error", self._tracker.error)

    @property
    def elapsed(self) -> float:
        """Seconds from the submission to the end, or to now."""
        return (self._host.loop.time() if self.ended is None else self.ended) - self.submitted

    @property
    def token(self) -> str:
        """What `OperationPoller.resume` takes to go on waiting for this operation elsewhere."""
        return self._host.token(self._tracker)

    # What asyncio's futures have.

    def done(self) -> bool:
        """Whether there is an outcome; cancelled counts."""
        return self._state is not _State.PENDING

    def cancelled(self) -> bool:
        """Whether `cancel()` ended it. An operation that was cancelled at the service raises `Cancelled`."""
        return self._state is _State.CANCELLED

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
        if self._state is _State.PENDING:
            raise asyncio.InvalidStateError(f"{self.name}: no outcome yet")
        if self._state is _State.CANCELLED:
            raise asyncio.CancelledError
        if self._state is _State.SUCCEEDED:
            return None
        self._state = _State.FAILED_AND_SEEN
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
        self._end(_State.CANCELLED, None, self._host.loop.time())
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
        entry = (check_function("a callback", callback), contextvars.copy_context() if context is None else context)
        if self.done():
            self._call_soon(entry)
        elif self._callbacks is None:
            self._callbacks = [entry]
        else:
            self._callbacks.append(entry)

    def remove_done_callback(self, callback: Callable[[OperationFuture[T_co]], object]) -> int:
        """Removes every `callback` that was added; returns how many there were."""
        before = self._callbacks or []
        self._callbacks = [entry for entry in before if entry[0] != callback] or None
        return len(before) - len(self._callbacks or ())

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
        self._waiters = self._waiters or []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if self._waiters is not None:
                self._waiters.remove(waiter)

    # What only operations have.

    def poll_now(self) -> None:
        """Has the next poll made at once, within the rate limit: something said that the operation has moved."""
        if not self.done():
            self._check_loop()
            self._host.wake(self._tracker)

    def updates(self) -> Updates:
        """The operation's progress: `async with future.updates() as stream: async for operation in stream`."""
        return Updates(self)

    # What the runner says.

    def _finish(self, operation: Operation, now: float) -> None:
        """The operation is done."""
        if self.done():
            return  # the decoder of another one who waited for it has cancelled this
        if operation.error is not None:
            self._end(_State.FAILED, OperationError.of(operation), now)
            return
        state, result = _State.SUCCEEDED, None
        try:
            result = decode_response(operation, self._decoder)
        except DecodeError as error:
            state, result = _State.FAILED, error
        if not self.done():  # a decoder is the caller's code: it may have cancelled this very future
            self._end(state, result, now)

    def _fail(self, error: LroError, now: float) -> None:
        """Waiting ended with `error`."""
        if self.done():
            return
        # Nobody has to look at what closing did: it is what the caller asked for.
        self._end(_State.FAILED_AND_SEEN if isinstance(error, PollerClosed) else _State.FAILED, error, now)

    def _see(self, operation: Operation) -> None:
        """A poll found the operation running."""
        for watcher in self._watchers or ():
            watcher._show(operation)

    def _end(self, state: _State, result: Any, now: float) -> None:
        self._state, self._result, self.ended = state, result, now
        waiters, self._waiters = self._waiters, None
        callbacks, self._callbacks = self._callbacks, None
        watchers, self._watchers = self._watchers, None
        self._tracker.watchers -= len(watchers or ())
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        for watcher in watchers or ():
            watcher._finish(self._tracker.operation)
        for entry in callbacks or ():
            self._call_soon(entry)

    def _check_loop(self) -> None:
        if self._host.loop.is_running():
            check_loop(self._host.loop, self)

    def _call_soon(self, entry: _Callback) -> None:
        callback, context = entry
        self._host.loop.call_soon(_call, callback, self, context=context)

    def __del__(self) -> None:
        if getattr(self, "_state", None) is _State.FAILED and not self._host.loop.is_closed():
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
        RuntimeError: it belongs to another, `loop`.
    """
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is not loop:
        raise RuntimeError(
            f"{used!r} is used outside its event loop; from another thread, hand a function to "
            "loop.call_soon_threadsafe, or a coroutine to asyncio.run_coroutine_threadsafe"
        )


def _call(callback: Callable[..., object], future: OperationFuture[Any]) -> None:
    """Stands before a callback: a loop in debug mode refuses what looks like a coroutine, when that comes too late."""
    callback(future)


class Updates:
    """A stream of an operation's readings: what is known first, then each that differs in its metadata, to the last.

    A reader that is slow sees the newest, never a backlog. The stream ends when the future
    has its outcome, which `await future` tells.
    """

    __slots__ = ("_entered", "_fresh", "_future", "_last", "_over", "_waiter")

    def __init__(self, future: OperationFuture[Any]) -> None:
        self._future = future
        self._entered = False
        self._fresh: Operation | None = None
        self._last: Operation | None = None
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a stream of updates is entered once; open another")
        future = self._future
        check_loop(future._host.loop, future)
        self._entered = True
        if future.operation is not None:
            self._show(future.operation)
        if future.done():
            self._over = True
        else:
            future._watchers = [*(future._watchers or ()), self]
            future._tracker.watchers += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over = True
        self._wake()  # a reader in another task
        future = self._future
        if self in (future._watchers or ()):
            future._watchers = [watcher for watcher in future._watchers or () if watcher is not self] or None
            future._tracker.watchers -= 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Operation:
        if not self._entered:
            raise RuntimeError("read updates inside 'async with future.updates() as stream'")
        while self._fresh is None:
            if self._over:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("one task reads a stream of updates at a time; open another for another reader")
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
