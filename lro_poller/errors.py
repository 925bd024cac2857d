"""What can go wrong, each in a class of its own.

    LroError
    ├── OperationError            the operation failed: the service says so
    │   ├── Cancelled … Unauthenticated       one class for each google.rpc.Code
    ├── PollError                 looking failed for good: nothing is known of the operation
    ├── PollTimeout               time ran out: the operation may still be running (a TimeoutError)
    ├── PollerClosed              the poller was closed first
    ├── DecodeError               the operation succeeded, its response could not be decoded
    ├── BackoffError              the caller's backoff generator misbehaved
    ├── CredentialsError          there are no credentials; once polling, the cause of a PollError where they do not work
    └── InvalidOperationName      nothing was sent (a ValueError)

No text of these holds a token or a body; what a service says is quoted in one line of bounded
length. Every error about an operation has its `name`.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from .counting import counted
from .operation import Operation
from .status import Code, Status

__all__ = [
    "Aborted",
    "AlreadyExists",
    "BackoffError",
    "Cancelled",
    "CredentialsError",
    "DataLoss",
    "DeadlineExceeded",
    "DecodeError",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "InvalidOperationName",
    "LroError",
    "NotFound",
    "OperationError",
    "OutOfRange",
    "PermissionDenied",
    "PollError",
    "PollTimeout",
    "PollerClosed",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
]


class LroError(Exception):
    """The base of every error of this library."""


E = TypeVar("E", bound=LroError)


def twin(error: E) -> E:
    """Another of the same, for one of several who wait: raised to all of them, it would show each the others' frames."""
    made = type(error)(*error.args)
    if error.__cause__ is not None:  # or its context would be hidden
        made.__cause__ = error.__cause__
    return made


class InvalidOperationName(LroError, ValueError):
    """The name cannot be the name of an operation; nothing was sent.

    Attributes:
        name: The name that was given; None if it was not a str, and may hold anything.
    """

    def __init__(self, name: object, reason: str) -> None:
        self.name = name if isinstance(name, str) else None
        self.reason = reason
        super().__init__(self.name, reason)

    def __str__(self) -> str:
        text = "what was given" if self.name is None else repr(self.name)
        return f"{text if len(text) <= 100 else text[:97] + '...'} is not an operation's name: {self.reason}"


class CredentialsError(LroError):
    """Credentials are missing, or they do not work.

    Raised where a poller is opened. Credentials that fail later, by a refresh that is refused for good, end
    each wait with a `PollError` of which this is the `__cause__`: nothing is known of the operation.
    """


class OperationError(LroError):
    """The operation ended with an error. Raised as the subclass of its google.rpc.Code.

    A code outside 1 to 16 is raised as `Unknown`, with its number in `code`.

    Attributes:
        name: The operation's name.
        operation: The operation as last read; `operation.raw` is the resource as it came.
        status: The google.rpc.Status.
    """

    rpc_code: ClassVar[Code] = Code.UNKNOWN
    """What the class stands for."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self.operation = operation
        self.status = operation.error if operation.error is not None else Status(self.rpc_code)

    @classmethod
    def of(cls, operation: Operation) -> OperationError:
        """The error of the class that stands for `operation.error.code`."""
        code = Code.UNKNOWN if operation.error is None else operation.error.code
        return _CLASS_OF_CODE.get(code, Unknown)(operation)

    @property
    def name(self) -> str:
        return self.operation.name

    @property
    def code(self) -> Code | int:
        """A `Code`, or the number as it came where the service made one up."""
        return self.status.code

    @property
    def message(self) -> str:
        return self.status.message

    @property
    def details(self) -> tuple[Any, ...]:
        """Each of them typed (`ErrorInfo`, `RetryInfo`, …), or the JSON value as it came."""
        return self.status.details

    @property
    def metadata(self) -> Any:
        """The operation's last metadata as JSON values; None where there is none."""
        return self.operation.metadata

    def __str__(self) -> str:
        return f"{self.name}: the operation failed: {_text(self.status)}"


class Cancelled(OperationError):
    rpc_code: ClassVar[Code] = Code.CANCELLED


class Unknown(OperationError):
    rpc_code: ClassVar[Code] = Code.UNKNOWN


class InvalidArgument(OperationError):
    rpc_code: ClassVar[Code] = Code.INVALID_ARGUMENT


class DeadlineExceeded(OperationError):
    """The service's own deadline; a caller's is `PollTimeout`."""

    rpc_code: ClassVar[Code] = Code.DEADLINE_EXCEEDED


class NotFound(OperationError):
    """The operation failed with NOT_FOUND. That there is no such operation, HTTP 404, is a `PollError`."""

    rpc_code: ClassVar[Code] = Code.NOT_FOUND


class AlreadyExists(OperationError):
    rpc_code: ClassVar[Code] = Code.ALREADY_EXISTS


class PermissionDenied(OperationError):
    rpc_code: ClassVar[Code] = Code.PERMISSION_DENIED


class ResourceExhausted(OperationError):
    rpc_code: ClassVar[Code] = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(OperationError):
    rpc_code: ClassVar[Code] = Code.FAILED_PRECONDITION


class Aborted(OperationError):
    rpc_code: ClassVar[Code] = Code.ABORTED


class OutOfRange(OperationError):
    rpc_code: ClassVar[Code] = Code.OUT_OF_RANGE


class Unimplemented(OperationError):
    rpc_code: ClassVar[Code] = Code.UNIMPLEMENTED


class Internal(OperationError):
    rpc_code: ClassVar[Code] = Code.INTERNAL


class Unavailable(OperationError):
    rpc_code: ClassVar[Code] = Code.UNAVAILABLE


class DataLoss(OperationError):
    rpc_code: ClassVar[Code] = Code.DATA_LOSS


class Unauthenticated(OperationError):
    rpc_code: ClassVar[Code] = Code.UNAUTHENTICATED


_CLASS_OF_CODE: dict[int, type[OperationError]] = {cls.rpc_code: cls for cls in OperationError.__subclasses__()}


class PollError(LroError):
    """Polling failed for good; the state of the operation is not known.

    Attributes:
        name: The operation's name.
        reason: What happened, in words.
        http_status: Of the reply; None where there was none.
        status: What the reply said, as a google.rpc.Status; None where there was no reply.
        scopes: After a 403: the OAuth scopes any one of which allows the poll.
    """

    def __init__(
        self,
        name: str,
        reason: str,
        http_status: int | None = None,
        status: Status | None = None,
        scopes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, reason, http_status, status, scopes)
        self.name = name
        self.reason = reason
        self.http_status = http_status
        self.status = status
        self.scopes = scopes

    @property
    def code(self) -> Code | int | None:
        """The `Code` of the reply; None where there was none."""
        return None if self.status is None else self.status.code

    @property
    def message(self) -> str:
        """What the service said; "" where it said nothing."""
        return "" if self.status is None else self.status.message

    @property
    def details(self) -> tuple[Any, ...]:
        return () if self.status is None else self.status.details

    def __str__(self) -> str:
        text = f"{self.name}: the poll failed: {self.reason}"
        if self.status is not None:
            text += f": {_text(self.status)}"
        if self.scopes:
            text += f" (any one of these scopes allows it: {', '.join(self.scopes)})"
        return text


class _Unfinished(LroError):
    """Waiting ended before the operation did."""

    def __init__(
        self,
        name: str,
        operation: Operation | None,
        polls: int,
        elapsed: float,
        last_poll_error: PollError | None,
        token: str,
    ) -> None:
        super().__init__(name, operation, polls, elapsed, last_poll_error, token)
        self.name = name
        self.operation = operation
        self.polls = polls
        self.elapsed = elapsed
        self.last_poll_error = last_poll_error
        self.token = token

    def _tail(self) -> str:
        text = f"after {self.elapsed:.1f} s and {counted(self.polls, 'poll')}; it may still be running"
        if self.last_poll_error is not None:
            text += f". {'The last poll failed' if self.polls else 'It was not polled'}: {self.last_poll_error.reason}"
        return text


class PollTimeout(_Unfinished, TimeoutError):
    """The deadline passed. The operation may still be running, even if it was asked to cancel.

    Never the operation's own DEADLINE_EXCEEDED, which is `DeadlineExceeded`.

    Attributes:
        name: The operation's name.
        operation: The operation as last read; None where no poll succeeded.
        polls: How many polls were made.
        elapsed: Seconds since it was submitted.
        last_poll_error: Why the last poll failed; None where it did not.
        token: What `OperationPoller.resume` takes to continue the wait, in this process or another.
    """

    def __str__(self) -> str:
        text = f"{self.name}: not done {self._tail()}"
        if not self.polls and self.last_poll_error is None:
            text += (
                ". It was not polled: no turn came for it (max_rate, max_in_flight, a 429 to any poll, a transport "
                "that takes no more), or no token"
            )
        return text


class PollerClosed(_Unfinished):
    """The poller was closed while this operation was pending. Its attributes are those of `PollTimeout`."""

    def __str__(self) -> str:
        return f"{self.name}: the poller was closed {self._tail()}"


class DecodeError(LroError):
    """The operation succeeded, and its response could not be decoded as asked.

    Attributes:
        name: The operation's name.
        operation: The operation, whole: `operation.raw_response` holds what could not be decoded.
        reason: What did not fit and where, without a value; or the class of what a caller's function raised, which
            is the `__cause__`.
    """

    def __init__(self, operation: Operation, reason: str) -> None:
        super().__init__(operation, reason)
        self.operation = operation
        self.reason = reason

    @property
    def name(self) -> str:
        return self.operation.name

    def __str__(self) -> str:
        return f"{self.name}: the operation succeeded, but its response could not be decoded: {self.reason}"


class BackoffError(LroError):
    """The backoff generator given for this operation raised, or gave no usable wait.

    Attributes:
        name: The operation's name.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: its backoff generator {self.reason}"


_LONGEST_MESSAGE = 500


def _text(status: Status) -> str:
    """A status for people: one line, of bounded length, without what a terminal would act on."""
    shown = quoted(status.message)
    return f"{status.code_name}: {shown}" if shown else status.code_name


def quoted(text: str) -> str:
    """A text of somebody else's as it may stand in an error: in one line, of bounded length, nothing hidden in it."""
    begun = text[:_LONGEST_MESSAGE]
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in begun)
    if len(shown) <= _LONGEST_MESSAGE and begun == text:
        return shown
    return shown[: _LONGEST_MESSAGE - 1] + "…"


def summary(error: LroError) -> str:
    """An error for the log, without a word of the service's."""
    if isinstance(error, PollError) and error.status is not None:
        return f"{error.reason}: {error.status.code_name}"
    return error.reason if isinstance(error, PollError) else type(error).__name__
