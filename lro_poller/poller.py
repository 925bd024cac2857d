"""The poller that callers hold.

Checks what it is given, puts the parts together, and hands the work to a runner, which
lives from entering to leaving the `async with` block. It decides nothing about polling.
"""

from __future__ import annotations

import asyncio
import math
import random as _random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    NoReturn,
    Protocol,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
    runtime_checkable,
)

from . import services
from .checks import check_credentials, check_function, check_part, check_seconds, check_whole
from .collecting import Completions, all_done
from .engine.budget import MAX_IN_FLIGHT, Budget
from .engine.cadence import BackoffFactory
from .engine.history import History
from .future import OperationFuture, check_loop
from .operation import Operation
from .origin import check_origin
from .resume import Token
from .services import WORKSPACE_EVENTS, Service
from .stats import Stats
from .submission import Submission, Submittable, read_submission
from .terms import AtDeadline, Progress, Terms, make_terms
from .transports import Transport, check_home, check_transport

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from .runner import Runner

__all__ = ["Decode", "OperationPoller", "WaitOptions"]

T = TypeVar("T")
F = TypeVar("F", bound=OperationFuture[Any])

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable  # for whoever checks the types of arguments by `Decode`
class _Adapter(Protocol[T_co]):
    """A TypeAdapter of pydantic's."""

    def validate_json(self, data: bytes, /) -> T_co: ...


Decode: TypeAlias = type[T] | Callable[[Any], T] | _Adapter[T]
"""What `decode=` takes, for a value of type T."""


class WaitOptions(TypedDict, total=False):
    """What `OperationPoller.submit` takes besides the operation and `decode`, which types the future; see there."""

    deadline: float | None
    backoff: BackoffFactory | None
    at_deadline: AtDeadline
    kind: str | None
    expected: float | None
    progress: Progress | None


_OPTIONS = {*WaitOptions.__annotations__, "decode"}


QUOTA_SHARE = 0.95
"""How much of a service's known quota a poller takes by default: the rest is room for clocks that differ."""


class OperationPoller:
    """Waits for any number of one service's long-running operations at once.

        async with OperationPoller() as poller:
            response = await poller.submit("operations/abc", deadline=300)

    Args:
        service: A `Service`, or its text, such as `"workspaceevents:v1"`.
        endpoint: Another origin than the service's own, such as `"http://127.0.0.1:8901"`.
        credentials: Any google-auth credentials. None for application default credentials;
            `google.auth.credentials.AnonymousCredentials()` for no token.
        scopes: OAuth scopes to ask for, out of `service.scopes`, which is the default.
        transport: What sends the polls, to the same origin; aiohttp unless given. It is closed with the poller.
        backoff: How long to wait after a poll that found an operation running: a wait generator function of
            `backoff`, such as `functools.partial(backoff.expo, max_value=60)`, or any that yields seconds. Spread by
            10% to either side. It decides alone: `expected`, `progress` and what was learned count for nothing beside
            it. None lets the durations of earlier operations decide. After a poll that failed the wait is 1 s, doubled
            with each failure up to 60 s, and no shorter than the one before.
        deadline: Seconds to wait for each operation; None for as long as it takes.
        poll_timeout: Seconds that one poll may take.
        max_in_flight: How many polls may be in flight at once; 32 unless given.
        max_rate: How many polls may start a second. None for 95% of the service's known quota,
            and for no limit at an endpoint other than its own; `math.inf` for no limit. That quota is the
            project's. One user may be allowed less (100 reads a minute with Workspace Events): set it here,
            or let 429s find it. With a rate, operations are polled two to three times as often as without,
            and those whose polls are worth most first when it is short.
        budget: A `Budget` shared by pollers of one event loop, instead of the two before. It knows the limits it was
            made with, and not the service's quota.
        history: The durations learned so far, to which this poller adds; a new one unless given.
        progress: As in `submit`, for every operation.
        max_poll_failures: How many polls of one operation may fail in a row before the wait fails
            with `PollError`; None for any number. Failures that trying again cannot mend end a wait anyway.
        cancel_grace: Seconds to go on waiting for the outcome of an operation that was cancelled at its deadline.
        allow_http: Whether a plain-HTTP endpoint may be on another machine.
        random: The source of jitter, a function that returns a number in [0, 1).

    Raises:
        ValueError: an argument is out of its range, or no number where one belongs.
        TypeError: an argument is of another wrong type.
    """

    def __init__(
        self,
        service: Service | str = WORKSPACE_EVENTS,
        *,
        endpoint: str | None = None,
        credentials: Credentials | None = None,
        scopes: Iterable[str] | None = None,
        transport: Transport | None = None,
        backoff: BackoffFactory | None = None,
        deadline: float | None = None,
        poll_timeout: float = 30.0,
        max_in_flight: int | None = None,
        max_rate: float | None = None,
        budget: Budget | None = None,
        history: History | None = None,
        progress: Progress | None = None,
        max_poll_failures: int | None = None,
        cancel_grace: float = 60.0,
        allow_http: bool = False,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._service = services.find(service)
        check_part("allow_http", allow_http, bool)
        own = check_origin(self._service.origin, allow_http=allow_http)
        self._origin = own if endpoint is None else check_origin(endpoint, allow_http=allow_http)
        self._scopes = self._service.scopes if scopes is None else self._service.check_scopes(scopes)
        self._credentials = check_credentials(credentials)
        self._transport = check_transport(transport, self._origin, allow_http=allow_http)
        self._terms = make_terms(Terms(), deadline=deadline, backoff=backoff, progress=progress)
        self._poll_timeout = check_seconds("poll_timeout", poll_timeout)
        self._max_poll_failures = (
            None if max_poll_failures is None else check_whole("max_poll_failures", max_poll_failures, 0)
        )
        if budget is not None and not (max_in_flight is None and max_rate is None):
            raise ValueError("give either a budget, or max_in_flight and max_rate: a budget has its own")
        if budget is None:
            budget = Budget(
                MAX_IN_FLIGHT if max_in_flight is None else max_in_flight,
                self._default_rate() if max_rate is None else max_rate,
            )
        self._budget = check_part("budget", budget, Budget)
        self._history = History() if history is None else check_part("history", history, History)
        self._cancel_grace = check_seconds("cancel_grace", cancel_grace)
        self._random = check_function("random", random)
        self._runner: Runner | None = None

    def __repr__(self) -> str:
        state = "new" if self._runner is None else "closed" if self._runner.closed else "open"
        return f"<OperationPoller of {self._service.id} at {self._origin}, {state}>"

    @property
    def budget(self) -> Budget:
        """How many polls at once and a second."""
        return self._budget

    @property
    def history(self) -> History:
        """How long operations took, by kind."""
        return self._history

    if not TYPE_CHECKING:  # type checkers object to `with` where it is written

        def __enter__(self) -> NoReturn:
            """Says what is meant.

            Raises:
                TypeError: always.
            """
            raise TypeError("use 'async with', not 'with', inside an 'async def'; in a script, asyncio.run() runs that")

        def __exit__(self, *_: object) -> None:
            """Python asks for it before `__enter__`."""

    async def __aenter__(self) -> Self:
        """Finds the credentials and starts.

        Raises:
            CredentialsError: there are none; the message lists the ways to supply them.
            RuntimeError: the poller was entered before, there is no asyncio loop, or an open poller in another
                loop has the same budget or transport.
        """
        self._check_new()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("OperationPoller needs a running event loop of asyncio") from None
        check_home(self._transport, getattr(self._transport, "home", None))
        # What only an open poller needs is loaded here, google.auth with it: importing stays cheap.
        from .auth import Authorizer
        from .credentials import load_default, scoped
        from .runner import Runner
        from .sender import Sender

        credentials = self._credentials
        if credentials is None:
            credentials = await load_default(self._scopes)
            self._check_new()  # somebody may have entered it meanwhile
        transport = _default_transport(self._origin) if self._transport is None else self._transport
        authorizer = Authorizer(scoped(credentials, self._scopes), self._origin)
        self._runner = Runner(
            self._service,
            self._origin,
            Sender(self._service, self._origin, transport, authorizer, self._poll_timeout),
            self._budget._limiter,
            self._history,
            max_failures=self._max_poll_failures,
            cancel_grace=self._cancel_grace,
            random=self._random,
        )
        return self

    def _check_new(self) -> None:
        if self._runner is not None:
            raise RuntimeError(f"{self!r} was entered before; make another")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes: what is still pending ends with `PollerClosed`, which carries a token to resume from.

        Cancellations that a deadline has asked for have up to 10 s to be answered, and so have polls that do not end
        when they are cancelled, and the transport to close.

        Raises:
            RuntimeError: this is another event loop than its own.
        """
        if self._runner is not None:
            check_loop(self._runner.loop, self)
            await self._runner.aclose()

    @overload
    def submit(
        self, operation: Submittable, *, decode: None = ..., **options: Unpack[WaitOptions]
    ) -> OperationFuture[Any]: ...

    @overload
    def submit(
        self, operation: Submittable, *, decode: Decode[T], **options: Unpack[WaitOptions]
    ) -> OperationFuture[T]: ...

    def submit(
        self, operation: Submittable, *, decode: Any = None, **options: Unpack[WaitOptions]
    ) -> OperationFuture[Any]:
        """Starts to wait for an operation, and returns at once.

        Args:
            operation: A name such as `"operations/abc"`; an Operation as a dict or a protobuf
                message; or an object with `.name` or `.operation.name`, as Google's clients
                return. One that is given as done costs no poll; one that is given as running is
                first polled after a wait.
            deadline: Seconds to wait; None for the poller's own, `math.inf` for as long as it takes.
            backoff: As in the poller, for this operation. Callers who wait for one operation share its
                polls, and the first backoff that any of them gave applies, the poller's own included; so does
                the first `kind`, `expected` and `progress`. What a later caller is the first to give applies
                from the next poll on, and a kind only if the operation was not seen running yet.
            at_deadline: What becomes of an operation that is not done in time: `"leave"` leaves it
                alone; `"cancel"` asks the service to cancel it; `"cancel_and_wait"` also waits for its
                outcome, `cancel_grace` seconds at most. Both need a service with operations.cancel.
            decode: What to make of the response: a type that msgspec reads (Struct, dataclass,
                TypedDict), a pydantic model, dataclass or TypeAdapter, a protobuf message class, or any callable,
                which is given the JSON value. None for the JSON value itself. Where a service gives no
                response at all there is nothing to decode, and the value is None.
            kind: A name for operations that take equally long, and are learned from together. None goes by
                the type of the metadata.
            expected: Seconds that you expect it to take, where you know better than what was seen of its kind.
            progress: A function that reads from a running `Operation` how far it has come: the share that
                is done, from 0 to 1, or the time that is left as a `timedelta`, or when it will end as a
                `datetime` with a time zone, or None. It is a hint: the operation is still polled now
                and then. A function that raises has said nothing. Neither this nor `expected` is believed while what was
                learned of the kind foretells ends better.

        Raises:
            InvalidOperationName: before anything is sent; the message says what is wrong.
            ValueError: the deadline is not above 0, a dict is not an Operation, or the service cannot cancel.
            TypeError: it is no operation, or an option is unknown or of a wrong type.
            RuntimeError: the poller is not open.
        """
        runner = self._running()
        terms = self._terms if decode is None and not options else self._make_terms(decode=decode, **options)
        return runner.submit(read_submission(self._service.names, operation), terms)

    @overload
    def resume(self, token: str, *, decode: None = ..., **options: Unpack[WaitOptions]) -> OperationFuture[Any]: ...

    @overload
    def resume(self, token: str, *, decode: Decode[T], **options: Unpack[WaitOptions]) -> OperationFuture[T]: ...

    def resume(self, token: str, *, decode: Any = None, **options: Unpack[WaitOptions]) -> OperationFuture[Any]:
        """Continues a wait that another poller began, with its backoff where it had come to.

        Args:
            token: From a `PollTimeout`, a `PollerClosed` or `OperationFuture.token`.
            decode: As in `submit`.
            options: As in `submit`; a deadline counts from now.

        Raises:
            ValueError: it is no token, or of another service or endpoint.
            TypeError: it is no text, or an option is unknown or of a wrong type.
            RuntimeError: the poller is not open.
        """
        runner = self._running()
        read = Token.read(token, self._service.id, self._origin)
        name = self._service.names.check(read.name)
        submission = Submission(name, sightings=read.sightings, age=read.age, resumed=True)
        return runner.submit(submission, self._make_terms(decode=decode, **options))

    async def get(self, operation: Submittable) -> Operation:
        """Polls an operation once, in its turn within the rate limit, and returns it, done or not.

        That is a poll of its own: futures of the same operation do not hear of it. See `OperationFuture.poll_now`.

        Args:
            operation: As in `submit`; what else is known of it than its name counts for nothing.

        Raises:
            PollError: the poll failed. It is not repeated, except once after a 401.
            InvalidOperationName, ValueError, TypeError: as `submit`; nothing was sent.
            RuntimeError: the poller is not open.
            PollerClosed: the poller was closed first.
        """
        self._running()
        name = read_submission(self._service.names, operation).name  # code of the caller's, which may close the poller
        return await self._running().errands.poll(name)

    async def cancel(self, operation: Submittable) -> None:
        """Asks the service to cancel an operation. Waits for it go on, and end as the service says.

        That may be `Cancelled`, or success if it was too late to cancel (AIP-151).

        Args:
            operation: As in `submit`; what else is known of it than its name counts for nothing.

        Raises:
            ValueError: the service has no operations.cancel, as Workspace Events has not.
            PollError: the request failed. It is not repeated, except once after a 401.
            InvalidOperationName, ValueError, TypeError: as `submit`; nothing was sent.
            RuntimeError: the poller is not open.
            PollerClosed: the poller was closed first.
        """
        self._running()
        self._check_cancellable()
        name = read_submission(self._service.names, operation).name
        await self._running().errands.cancel(name)

    @overload
    async def wait_all(self, operations: Iterable[F]) -> list[F]: ...

    @overload
    async def wait_all(
        self, operations: Iterable[Submittable], *, decode: None = ..., **options: Unpack[WaitOptions]
    ) -> list[OperationFuture[Any]]: ...

    @overload
    async def wait_all(
        self, operations: Iterable[Submittable], *, decode: Decode[T], **options: Unpack[WaitOptions]
    ) -> list[OperationFuture[T]]: ...

    async def wait_all(
        self,
        operations: Iterable[Submittable | OperationFuture[Any]],
        *,
        decode: Any = None,
        **options: Unpack[WaitOptions],
    ) -> list[Any]:
        """Waits until all of them have ended, however they end; returns their futures in the order given.

        Every name is checked before the first is polled. `future.exception()` tells failures
        from successes and `future.result()` gives the response. If this call is cancelled,
        the waits that it began are cancelled; futures that were passed in are not.

        Args:
            operations: As in `submit`, or futures, if nothing else is asked: they keep what they were submitted with.
            decode: As in `submit`.
            options: As in `submit`.

        Raises:
            InvalidOperationName, ValueError, TypeError, RuntimeError: as `submit`.
        """
        futures, own = self._submit_all(operations, decode=decode, **options)
        try:
            await all_done(futures)
        except asyncio.CancelledError:
            for future in own:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # whoever cancelled this call does not want to hear of it
            raise
        return futures

    @overload
    def as_completed(self, operations: Iterable[F]) -> AsyncIterator[F]: ...

    @overload
    def as_completed(
        self, operations: Iterable[Submittable], *, decode: None = ..., **options: Unpack[WaitOptions]
    ) -> AsyncIterator[OperationFuture[Any]]: ...

    @overload
    def as_completed(
        self, operations: Iterable[Submittable], *, decode: Decode[T], **options: Unpack[WaitOptions]
    ) -> AsyncIterator[OperationFuture[T]]: ...

    def as_completed(
        self,
        operations: Iterable[Submittable | OperationFuture[Any]],
        *,
        decode: Any = None,
        **options: Unpack[WaitOptions],
    ) -> AsyncIterator[Any]:
        """Yields the futures of the operations, each when it is done: `async for future in …`.

        Operations that have not ended when you leave the loop are still polled.

        Args:
            operations: As in `submit`, or futures, if nothing else is asked: they keep what they were submitted with.
            decode: As in `submit`.
            options: As in `submit`.

        Raises:
            InvalidOperationName, ValueError, TypeError, RuntimeError: as `submit`.
        """
        return Completions(self._submit_all(operations, decode=decode, **options)[0])

    async def drain(self) -> None:
        """Waits until nothing is pending, and raises none of the outcomes.

        Operations that are submitted meanwhile are waited for too, even by a task right after it awaited the last one
        itself. A task that awaited it through `asyncio.gather` or `wait_for` goes on a turn or two of the loop later,
        which may be too late.
        """
        runner = self._running()
        while futures := runner.pending():
            await all_done(futures)
            await asyncio.sleep(0)  # whoever awaited the last of them may submit another

    def pending(self) -> list[OperationFuture[Any]]:
        """The futures that have no outcome yet, whoever holds them: also those whose await was cancelled.

        Raises:
            RuntimeError: the poller is not open.
        """
        return self._running().pending()

    def _submit_all(
        self, operations: Iterable[Submittable | OperationFuture[Any]], **options: Any
    ) -> tuple[list[OperationFuture[Any]], list[OperationFuture[Any]]]:
        """The futures of all, in order, and those among them that were made here."""
        terms = self._make_terms(**options)
        asked = [option for option, value in options.items() if value is not None]
        if isinstance(operations, str | Mapping) or not isinstance(operations, Iterable):
            raise TypeError(f"operations must be several, such as a list of names, not {type(operations).__name__}")
        runner = self._running()
        # All are read before any is submitted: a wrong one among them must not leave the others being polled.
        given = [
            _as_it_is(one, asked) if isinstance(one, OperationFuture) else read_submission(self._service.names, one)
            for one in operations
        ]
        futures = [one if isinstance(one, OperationFuture) else runner.submit(one, terms) for one in given]
        own = [future for future, one in zip(futures, given, strict=True) if future is not one]
        return futures, own

    def stats(self) -> Stats:
        """How polling goes, in figures. Cheap, but for one pass over what is due.

        Raises:
            RuntimeError: the poller is not open.
        """
        return self._running().stats()

    def _make_terms(self, **options: Any) -> Terms:
        """Checks what a caller asks of one wait."""
        for option in options.keys() - _OPTIONS:
            raise TypeError(f"there is no option {option!r}; the options are {', '.join(sorted(_OPTIONS))}")
        terms = make_terms(self._terms, **options)
        if terms.at_deadline != "leave":
            self._check_cancellable()
        return terms

    def _check_cancellable(self) -> None:
        if not self._service.cancellable:
            raise ValueError(f"{self._service.id} has no operations.cancel: its operations cannot be cancelled")

    def _running(self) -> Runner:
        runner = self._runner
        if runner is None:
            raise RuntimeError("the poller is not open: use it inside 'async with OperationPoller(...) as poller:'")
        if runner.closed:
            raise RuntimeError("the poller is closed")
        check_loop(runner.loop, self)
        return runner

    def _default_rate(self) -> float:
        quota = self._service.quota
        if quota is None or self._origin != self._service.origin:
            return math.inf
        return QUOTA_SHARE * quota.polls / quota.seconds


def _as_it_is(future: OperationFuture[T], asked: Sequence[str]) -> OperationFuture[T]:
    """A future that others are waited for with.

    Raises:
        RuntimeError: it belongs to another event loop.
        TypeError: something is `asked` of it that it cannot be given any more.
    """
    check_loop(future._host.loop, future)
    if asked:
        raise TypeError(f"{future!r} keeps what it was submitted with: pass its name, or leave out {', '.join(asked)}")
    return future


def _default_transport(origin: str) -> Transport:
    from .transports.aiohttp import AiohttpTransport  # aiohttp is loaded when a poller needs it

    return AiohttpTransport(origin)
