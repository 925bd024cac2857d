"""What one reply means.

Decides between running, ended, try again, asked without a valid token, and give up. What
is done about it is the tracker's, the cadence's and the budget's to decide.

Sources: AIP-151 (operations), AIP-193 (errors), AIP-194 (what may be retried), RFC 9110
(status codes, Retry-After).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from .. import mending
from ..errors import PollError
from ..operation import Operation
from ..services import Dialect, Service
from ..status import Status
from ..wire import Fault, NoReply, Reply, passes

__all__ = [
    "MAX_RETRY_AFTER",
    "Ended",
    "Refused",
    "Running",
    "Setback",
    "Unauthorized",
    "Verdict",
    "acknowledge",
    "judge",
    "judge_fault",
    "retry_after",
]

MAX_RETRY_AFTER = 900.0
"""Seconds. A server that asks for more is looked at again after this long."""


class Running(msgspec.Struct, frozen=True):
    """The operation is not done; `delay` is how many seconds the server asks to be left alone."""

    operation: Operation
    delay: float


class Ended(msgspec.Struct, frozen=True):
    """The operation is done: it succeeded, or it failed."""

    operation: Operation


class Setback(msgspec.Struct, frozen=True):
    """The poll failed in a way that passes.

    `delay` is how many seconds the server asks to be left alone; `no_token` tells that the poll was not sent,
    because there is no token to be had.
    """

    error: PollError
    delay: float = 0.0
    no_token: bool = False


class Unauthorized(msgspec.Struct, frozen=True):
    """The token was not accepted; a new one may be."""

    error: PollError


class Refused(msgspec.Struct, frozen=True):
    """The poll failed for good."""

    error: PollError


Verdict: TypeAlias = Running | Ended | Setback | Unauthorized | Refused

_LONGEST_ERROR = 1 << 16  # bytes; each operation that is pending keeps what the error of its last poll said


def judge(service: Service, name: str, reply: Reply, read: Dialect, *, age: float, arrived: float) -> Verdict:
    """What `reply` says of the operation `name`. Raises nothing but what ends a program, out of `read`.

    Args:
        read: What reads the body of a success.
        age: Seconds from the submission of the operation to the poll.
        arrived: When the reply came, in seconds since 1970.
    """
    if 200 <= reply.status < 300:
        return _judge_success(service, name, reply, read, arrived)
    status = Status.read_http(reply.status, _json(reply.body))
    error = PollError(
        name,
        f"HTTP {reply.status}" + (" (redirects are not followed)" if 300 <= reply.status < 400 else ""),
        reply.status,
        status,
        service.scopes if reply.status == 403 else (),
    )
    if reply.status == 401:
        return Unauthorized(error)
    if passes(reply.status) or (reply.status == 404 and age < service.not_found_grace):
        asked = max(retry_after(reply.headers, arrived), _bounded(status.retry_delay))
        return Setback(error, asked)
    return Refused(error)


def judge_fault(name: str, no_reply: NoReply, *, reached: bool, configured: bool) -> Verdict:
    """What it means that there was no reply. Never raises.

    A host that does not exist or shows a certificate nobody trusts is a mistake of whoever
    configured it, as long as it was never otherwise; after that it is an accident, and passes.

    Args:
        reached: Whether this origin has ever answered.
        configured: Whether a caller named the origin; the services' own hosts do exist.
    """
    error = PollError(name, no_reply.reason)
    error.__cause__ = no_reply.__cause__
    mistake = no_reply.fault is Fault.UNTRUSTED or (no_reply.fault is Fault.UNKNOWN_HOST and configured)
    return Refused(error) if mistake and not reached else Setback(error, no_token=no_reply.fault is Fault.UNAUTHORIZED)


def retry_after(headers: Mapping[str, str], arrived: float) -> float:
    """Seconds that Retry-After asks for, between 0 and `MAX_RETRY_AFTER`; 0 where it says nothing usable.

    A date is held against the reply's own Date, so that no clock of ours has to be right; only where there
    is none against when the reply `arrived`, in seconds since 1970 (RFC 9110, sections 6.6.1 and 10.2.3).
    """
    value = headers.get("Retry-After")
    if value is None:
        return 0.0
    if re.fullmatch(r"\d+", value, re.ASCII):
        return _bounded(float(value))
    until, since = _date(value), _date(headers.get("Date"))
    return 0.0 if until is None else _bounded(until - (arrived if since is None else since))


def acknowledge(name: str, _: bytes) -> Operation:
    """Reads the reply to a request whose answer says nothing: that it was accepted is all."""
    return Operation(name, done=True, error=None, raw=b"{}")


def _judge_success(service: Service, name: str, reply: Reply, read: Dialect, arrived: float) -> Verdict:
    try:
        operation = read(name, reply.body)
    except ValueError as error:
        return Setback(PollError(name, str(error), reply.status))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a dialect of the caller's own, with a bug
        refusal = PollError(name, f"{type(error).__name__} in the dialect of {service.id}", reply.status)
        refusal.__cause__ = error
        return Refused(refusal)
    if not isinstance(operation, Operation):
        returned = f"the dialect of {service.id} returned a {type(operation).__name__}, not an Operation"
        return Refused(PollError(name, returned, reply.status))
    return Ended(operation) if operation.done else Running(operation, retry_after(reply.headers, arrived))


def _bounded(seconds: float | None) -> float:
    return 0.0 if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _date(value: str | None) -> float | None:
    """Seconds since 1970 of an HTTP date; None where it is none."""
    if value is None:
        return None
    from email.utils import mktime_tz, parsedate_tz  # few services write dates, and it takes milliseconds to import

    parsed = parsedate_tz(value)
    try:
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


def _json(body: bytes) -> Any:
    """The JSON of an error's body; None where it is none (an HTML page, nothing at all), or too long to be an error's."""
    try:
        return mending.json_values(body) if len(body) <= _LONGEST_ERROR else None
    except (ValueError, RecursionError):
        return None
