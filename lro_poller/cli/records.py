"""How an outcome is told: as a record for programs, as a line for people."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from ..counting import counted
from ..errors import DecodeError, LroError, OperationError, PollError, PollTimeout
from ..future import OperationFuture
from ..operation import Operation
from .exits import Exit
from .output import escape_controls

__all__ = ["Record", "record_of", "record_of_error", "record_of_interrupted", "record_of_operation"]

_EXIT_OF = {
    "succeeded": Exit.SUCCEEDED,
    "running": Exit.SUCCEEDED,
    "failed": Exit.FAILED,
    "timed_out": Exit.TIMED_OUT,
    "poll_failed": Exit.POLL_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one operation. `error_details`, `response` and `metadata` are JSON as it came."""

    name: str
    outcome: str
    code: str | None = None
    message: str | None = None
    http_status: int | None = None
    error_details: bytes | None = None
    response: bytes | None = None
    metadata: bytes | None = None
    polls: int
    elapsed: float

    @property
    def exit(self) -> Exit:
        """What it adds to the exit status."""
        return _EXIT_OF[self.outcome]

    def json(self) -> str:
        """As one JSON object on one line."""
        fields = {
            "name": _dump(self.name),
            "outcome": _dump(self.outcome),
            "code": _dump(self.code),
            "message": _dump(self.message),
            "http_status": _dump(self.http_status),
            "details": _compact(self.error_details),
            "response": _compact(self.response),
            "metadata": _compact(self.metadata),
            "polls": _dump(self.polls),
            "elapsed": _dump(round(self.elapsed, 6)),
        }
        return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"

    def text(self) -> str:
        """As one line."""
        told = self.code and self.message and self.code in self.message
        why = ": ".join(part for part in (None if told else self.code, self.message) if part)
        parts = [self.name, self.outcome.replace("_", " "), counted(self.polls, "poll"), f"{self.elapsed:.1f} s", why]
        return escape_controls("  ".join(part for part in parts if part))

    def whole_text(self) -> str:
        """As that line, and below it the metadata and the response, indented."""
        shown = {"metadata": self.metadata, "response": self.response}
        return "\n".join([self.text(), *(f"{name}: {_indent(raw)}" for name, raw in shown.items() if raw is not None)])


def record_of(future: OperationFuture[Any]) -> Record:
    """The record of a future that is done and was not cancelled."""
    error = future.exception()
    if error is not None and not isinstance(error, DecodeError):
        return record_of_error(future.name, error, future.operation, future.polls, future.elapsed)
    return record_of_operation(_known(future.operation), future.polls, future.elapsed)


def record_of_interrupted(future: OperationFuture[Any]) -> Record:
    """The record of a future that is waited for no more: what became of it, if that is known."""
    if future.done():
        return record_of(future)
    operation = future.operation
    return Record(
        name=future.name,
        outcome="interrupted",
        message="it may still be running",
        metadata=None if operation is None else operation.raw_metadata,
        polls=future.polls,
        elapsed=future.elapsed,
    )


def record_of_operation(operation: Operation, polls: int, elapsed: float) -> Record:
    """The record of an operation as it was read, done or not."""
    if operation.error is not None:
        return record_of_error(operation.name, OperationError.of(operation), operation, polls, elapsed)
    return Record(
        name=operation.name,
        outcome="succeeded" if operation.done else "running",
        response=_response(operation),
        metadata=operation.raw_metadata,
        polls=polls,
        elapsed=elapsed,
    )


def record_of_error(name: str, error: LroError, operation: Operation | None, polls: int, elapsed: float) -> Record:
    """The record of an operation that failed, or of which nothing is known."""
    outcome, code, message = _describe(error)
    return Record(
        name=name,
        outcome=outcome,
        code=code,
        message=message,
        http_status=error.http_status if isinstance(error, PollError) else None,
        error_details=_error_details(operation) if isinstance(error, OperationError) else None,
        metadata=None if operation is None else operation.raw_metadata,
        polls=polls,
        elapsed=elapsed,
    )


def _describe(error: LroError) -> tuple[str, str | None, str]:
    """The outcome, the name of its code and its message, which does not say the name again."""
    match error:
        case OperationError():
            return "failed", error.status.code_name, error.message
        case PollTimeout():
            return "timed_out", None, str(error).removeprefix(f"{error.name}: ")
        case PollError():
            code = None if error.status is None else error.status.code_name
            return "poll_failed", code, str(error).removeprefix(f"{error.name}: the poll failed: ")
    return "poll_failed", None, str(error)


def _known(operation: Operation | None) -> Operation:
    assert operation is not None  # it is done, so it was read
    return operation


class _Error(msgspec.Struct):
    details: msgspec.Raw = msgspec.Raw(b"null")


class _Failed(msgspec.Struct):
    error: _Error


def _error_details(operation: Operation | None) -> bytes | None:
    """The details of an operation's error, as they came; None where there are none."""
    try:
        return None if operation is None else bytes(msgspec.json.decode(operation.raw, type=_Failed).error.details)
    except (ValueError, RecursionError):
        return None


def _response(operation: Operation) -> bytes | None:
    try:
        return b"{}" if operation.response == {} else operation.raw_response  # google.protobuf.Empty has a type only
    except ValueError:
        return operation.raw_response  # no valid text, which is written all the same, escaped


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _compact(raw: bytes | None) -> str:
    return "null" if raw is None else _format(raw, -1).replace("\r", "").replace("\n", "")


def _indent(raw: bytes) -> str:
    return "\n".join(map(escape_controls, _format(raw, 2).split("\n")))


def _format(raw: bytes, indent: int) -> str:
    """The same JSON with other white space. Bytes that are no UTF-8 become surrogates, which output escapes."""
    with contextlib.suppress(RecursionError):  # nested deeply, it is JSON as it stands
        raw = msgspec.json.format(raw, indent=indent)
    return raw.decode(errors="surrogateescape")
