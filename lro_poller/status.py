"""google.rpc.Status as values: the code, the message and the details.

Decides how the JSON of a status becomes typed, and nothing else. Whatever has another
shape than its proto says is kept as it came: a status is read when something has
already gone wrong, and a second error must not hide the first.

Sources: google/rpc/code.proto, google/rpc/status.proto, google/rpc/error_details.proto.
"""

from __future__ import annotations

import enum
import re
from typing import Any, TypeVar

import msgspec

from .counting import counted

__all__ = [
    "BadRequest",
    "Code",
    "DebugInfo",
    "ErrorInfo",
    "FieldViolation",
    "Help",
    "HelpLink",
    "LocalizedMessage",
    "PreconditionFailure",
    "PreconditionViolation",
    "QuotaFailure",
    "QuotaViolation",
    "RequestInfo",
    "ResourceInfo",
    "RetryInfo",
    "Status",
]

D = TypeVar("D")


class Code(enum.IntEnum):
    """google.rpc.Code, with the numbers of the proto."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def from_http(cls, status: int) -> Code:
        """The code that stands for an HTTP status which came without one of its own."""
        return _CODE_OF_HTTP.get(status, cls.UNKNOWN)


# The mapping is the comment above each code in google/rpc/code.proto, read backwards; where several codes share an
# HTTP status it is one that fits any cause of it.
_CODE_OF_HTTP = {
    200: Code.OK,
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    """A message of google/rpc/error_details.proto; a field that is absent has its proto default."""


class ErrorInfo(_Detail, frozen=True):
    """Why a request failed, for programs: `reason` is unique within `domain`."""

    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = {}


class RetryInfo(_Detail, frozen=True):
    """How long to wait, in seconds, before the request is worth repeating."""

    retry_delay: float = 0.0


class QuotaViolation(_Detail, frozen=True):
    """One quota check that failed."""

    subject: str = ""
    description: str = ""


class QuotaFailure(_Detail, frozen=True):
    """Which quota checks failed."""

    violations: tuple[QuotaViolation, ...] = ()


class PreconditionViolation(_Detail, frozen=True):
    """One precondition that did not hold."""

    type: str = ""
    subject: str = ""
    description: str = ""


class PreconditionFailure(_Detail, frozen=True):
    """Which preconditions did not hold."""

    violations: tuple[PreconditionViolation, ...] = ()


class FieldViolation(_Detail, frozen=True):
    """One field of a request that was wrong."""

    field: str = ""
    description: str = ""
    reason: str = ""


class BadRequest(_Detail, frozen=True):
    """Which fields of a request were wrong."""

    field_violations: tuple[FieldViolation, ...] = ()


class RequestInfo(_Detail, frozen=True):
    """What the service calls the request, for a support case."""

    request_id: str = ""
    serving_data: str = ""


class ResourceInfo(_Detail, frozen=True):
    """Which resource the error is about."""

    resource_type: str = ""
    resource_name: str = ""
    owner: str = ""
    description: str = ""


class HelpLink(_Detail, frozen=True):
    """One link to documentation."""

    description: str = ""
    url: str = ""


class Help(_Detail, frozen=True):
    """Links to documentation."""

    links: tuple[HelpLink, ...] = ()


class LocalizedMessage(_Detail, frozen=True):
    """A message fit to be shown to a user, in `locale` (BCP 47)."""

    locale: str = ""
    message: str = ""


class DebugInfo(_Detail, frozen=True):
    """What the service says about where it failed."""

    stack_entries: tuple[str, ...] = ()
    detail: str = ""


_DETAILS: dict[str, type[_Detail]] = {
    f"google.rpc.{cls.__name__}": cls
    for cls in (
        BadRequest,
        DebugInfo,
        ErrorInfo,
        Help,
        LocalizedMessage,
        PreconditionFailure,
        QuotaFailure,
        RequestInfo,
        ResourceInfo,
    )
}


class Status(msgspec.Struct, frozen=True):
    """google.rpc.Status as it was read.

    `code` is a `Code`, or the number as it came where google.rpc.Code has none for it: OK where there is
    nothing, UNKNOWN where what is there is no int32. Each of `details` is one of this module's classes, or the JSON value as it came
    where its type is unknown or its fields are not what its type says.
    """

    code: Code | int = Code.OK
    message: str = ""
    details: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        """Without the details, which are JSON of the service's."""
        return f"<Status {self.code_name}, {counted(len(self.details), 'detail')}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """No more than that to rich, which would go through the fields."""
        return [("code", self.code_name)]

    @property
    def code_name(self) -> str:
        """`NOT_FOUND` and the like; `CODE_99` for a number outside google.rpc.Code."""
        try:
            return Code(self.code).name
        except ValueError:
            return f"CODE_{self.code}"

    def detail(self, kind: type[D]) -> D | None:
        """The first of `details` that is a `kind`, such as `ErrorInfo`; None where there is none."""
        return next((detail for detail in self.details if isinstance(detail, kind)), None)

    @property
    def retry_delay(self) -> float | None:
        """Seconds from google.rpc.RetryInfo; None where there is none."""
        info = self.detail(RetryInfo)
        return None if info is None else info.retry_delay

    @classmethod
    def read(cls, value: Any) -> Status:
        """Reads the JSON value of a Status. Never raises, whatever the value is."""
        if not isinstance(value, dict):
            return cls(Code.UNKNOWN, value if isinstance(value, str) else "")
        code, message, details = value.get("code"), value.get("message"), value.get("details")
        return cls(
            code=_read_code(code),
            message=message if isinstance(message, str) else "",
            details=tuple(map(_read_detail, details)) if isinstance(details, list) else (),
        )

    @classmethod
    def read_http(cls, http_status: int, value: Any) -> Status:
        """Reads the JSON body of an HTTP error: `{"error": {...}}`, or the bare inner object.

        In the body of an HTTP error `code` is the HTTP status and `status` names the
        google.rpc.Code (AIP-193); some servers put the rpc code in `code` and no `status`.
        A body of another shape gives the code that the HTTP status stands for. Never raises.
        """
        inner = value.get("error", value) if isinstance(value, dict) else None
        status = cls.read(inner if isinstance(inner, dict) else {})
        named = inner.get("status") if isinstance(inner, dict) else None
        if isinstance(named, str) and named in Code.__members__ and named != "OK":
            code = Code[named]
        elif 0 < status.code <= Code.UNAUTHENTICATED:
            code = Code(status.code)
        else:
            code = Code.from_http(http_status)
        return cls(code, status.message, status.details)


def any_type(value: dict[str, Any]) -> str:
    """The full name of the message in the JSON of a google.protobuf.Any; "" where it has none.

    `@type` is what the proto JSON mapping writes; `typeUrl` is what some emulators write.
    """
    url = value.get("@type", value.get("typeUrl"))
    return url.rpartition("/")[2] if isinstance(url, str) else ""


def _read_code(value: Any) -> Code | int:
    if value is None:
        return Code.OK
    if type(value) is not int or not -(2**31) <= value < 2**31:  # the proto's int32
        return Code.UNKNOWN
    return Code(value) if value in Code.__members__.values() else value


def _read_detail(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kind = any_type(value)
    if kind == "google.rpc.RetryInfo":
        seconds = _seconds(value.get("retryDelay"))
        return value if seconds is None else RetryInfo(seconds)
    if kind not in _DETAILS:
        return value
    cls = _DETAILS[kind]
    if len(value) > 1 and not value.keys() & set(cls.__struct_encode_fields__):
        return value  # packed, or spelled otherwise: typed, it would be empty
    try:
        return msgspec.convert(value, cls)
    except (msgspec.ValidationError, RecursionError):
        return value


# Nine fractional digits at most, as google/protobuf/duration.proto says; its range is ±10,000 years.
_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)


def _seconds(value: Any) -> float | None:
    """Seconds of a google.protobuf.Duration: "3.5s", or {"seconds", "nanos"}; None for anything else."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        return float(match[1]) if match else None
    if isinstance(value, dict):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        if isinstance(seconds, str) and re.fullmatch(r"-?\d{1,12}", seconds, re.ASCII):
            seconds = int(seconds)
        if type(seconds) is int and type(nanos) is int and abs(seconds) < 10**12 and abs(nanos) < 10**9:
            return seconds + nanos / 1e9
    return None
