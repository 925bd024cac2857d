"""The exceptions: one tree, one class for each google.rpc.Code, facts that survive pickling, texts that keep secrets."""

from __future__ import annotations

import copy
import json
import pickle
import re
import traceback
from typing import Any

import pytest

from lro_poller import errors
from lro_poller.errors import (
    Aborted,
    AlreadyExists,
    BackoffError,
    Cancelled,
    CredentialsError,
    DataLoss,
    DeadlineExceeded,
    DecodeError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    InvalidOperationName,
    LroError,
    NotFound,
    OperationError,
    OutOfRange,
    PermissionDenied,
    PollerClosed,
    PollError,
    PollTimeout,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from lro_poller.operation import Operation
from lro_poller.status import Code, ErrorInfo, Status

from .security.secrecy import leaks

NAME = "operations/abc"
NO_TURN = (
    "no turn came for it (max_rate, max_in_flight, a 429 to any poll, a transport that takes no more), or no token"
)
CLASSES = [
    (1, Cancelled),
    (2, Unknown),
    (3, InvalidArgument),
    (4, DeadlineExceeded),
    (5, NotFound),
    (6, AlreadyExists),
    (7, PermissionDenied),
    (8, ResourceExhausted),
    (9, FailedPrecondition),
    (10, Aborted),
    (11, OutOfRange),
    (12, Unimplemented),
    (13, Internal),
    (14, Unavailable),
    (15, DataLoss),
    (16, Unauthenticated),
]
BODY = {
    "name": NAME,
    "done": True,
    "metadata": {"step": "SECRET"},
    "response": {"key": "SECRET"},
    "error": {
        "code": 8,
        "message": "too many",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R"}, {"x": "SECRET"}],
    },
}


def failed(error: Any) -> Operation:
    return Operation.from_json(NAME, json.dumps({"done": True, "error": error}).encode())


def whole() -> Operation:
    return Operation.from_json(NAME, json.dumps(BODY).encode())


def one_of_each() -> list[LroError]:
    """An instance of every class that can be raised."""
    poll = PollError(NAME, "HTTP 403", 403, Status(7, "no", (ErrorInfo("R"),)), ("scope.a", "scope.b"))
    return [
        InvalidOperationName("abc", "it is wrong"),
        CredentialsError("no credentials"),
        *(of_class(whole()) for _, of_class in CLASSES),
        OperationError(whole()),
        poll,
        PollError(NAME, "timed out"),
        PollTimeout(NAME, whole(), 3, 1.5, poll, "resume-me"),
        PollTimeout(NAME, None, 0, 0.0, None, "resume-me"),
        PollerClosed(NAME, whole(), 1, 1.5, None, "resume-me"),
        DecodeError(whole(), "ValidationError"),
        BackoffError(NAME, "gave nan"),
    ]


def facts(error: BaseException) -> dict[str, Any]:
    """What an error tells, comparable: its fields, with errors among them told in the same way."""
    return {
        key: (type(value), facts(value)) if isinstance(value, BaseException) else value
        for key, value in vars(error).items()
    }


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize("code, kind", CLASSES)
def test_each_code_of_the_proto_raises_its_own_class(code: int, kind: type[OperationError]) -> None:
    error = OperationError.of(failed({"code": code}))
    assert type(error) is kind
    assert error.code == code
    assert re.sub("(?<!^)(?=[A-Z])", "_", kind.__name__).upper() == Code(code).name


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize("code", [0, 17, 99, -1, 404, 2**31 - 1])
def test_a_code_outside_the_proto_raises_unknown_and_keeps_its_number(code: int) -> None:
    error = OperationError.of(failed({"code": code, "message": "odd"}))
    assert type(error) is Unknown
    assert (error.code, error.message) == (code, "odd")


@pytest.mark.behaviour("B4")
def test_an_error_of_an_operation_carries_all_that_the_service_said() -> None:
    error = OperationError.of(whole())
    assert isinstance(error, ResourceExhausted)
    assert (error.name, error.code, error.message) == (NAME, Code.RESOURCE_EXHAUSTED, "too many")
    assert error.details == (ErrorInfo("R"), {"x": "SECRET"})
    assert error.metadata == {"step": "SECRET"}
    assert json.loads(error.operation.raw) == BODY
    assert error.status == Status(8, "too many", (ErrorInfo("R"), {"x": "SECRET"}))


def test_an_error_without_a_status_has_the_code_of_its_class() -> None:
    operation = Operation.from_json(NAME, b'{"done": true}')
    assert NotFound(operation).code == Code.NOT_FOUND
    assert type(OperationError.of(operation)) is Unknown


def test_every_error_of_the_library_has_one_base() -> None:
    exported = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(kind, LroError) for kind in exported)
    defined = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    assert {kind for kind in defined if not kind.__name__.startswith("_")} == set(exported)
    assert set(exported) - {LroError} == {type(error) for error in one_of_each()}


@pytest.mark.behaviour("B11", "B25")
@pytest.mark.parametrize(
    "kind, base, other",
    [
        (PollTimeout, TimeoutError, OperationError),
        (InvalidOperationName, ValueError, OperationError),
        (DeadlineExceeded, OperationError, TimeoutError),
        (Cancelled, OperationError, PollTimeout),
        (PollerClosed, LroError, TimeoutError),
        (PollError, LroError, OperationError),
        (DecodeError, LroError, OperationError),
    ],
)
def test_a_class_is_caught_as_what_it_is_and_as_nothing_else(
    kind: type[BaseException], base: type[BaseException], other: type[BaseException]
) -> None:
    assert issubclass(kind, base)
    assert not issubclass(kind, other)


@pytest.mark.parametrize("error", one_of_each(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_survives_being_pickled_and_copied(error: LroError, copied: Any) -> None:
    again = copied(error)
    assert type(again) is type(error)
    assert facts(again) == facts(error)
    assert str(again) == str(error)


def test_the_facts_compared_above_are_there() -> None:
    assert [type(error).__name__ for error in one_of_each() if not facts(error)] == ["CredentialsError"]


@pytest.mark.behaviour("B4", "B11", "B17", "B21")
@pytest.mark.parametrize(
    "error, text",
    [
        (NotFound(failed({"code": 5, "message": "gone"})), f"{NAME}: the operation failed: NOT_FOUND: gone"),
        (Unknown(failed({"code": 99})), f"{NAME}: the operation failed: CODE_99"),
        (Unknown(failed({"code": 0})), f"{NAME}: the operation failed: OK"),
        (PollError(NAME, "timed out"), f"{NAME}: the poll failed: timed out"),
        (PollError(NAME, "HTTP 410", 410, Status(5, "m")), f"{NAME}: the poll failed: HTTP 410: NOT_FOUND: m"),
        (
            PollError(NAME, "HTTP 403", 403, Status(7), ("a", "b")),
            f"{NAME}: the poll failed: HTTP 403: PERMISSION_DENIED (any one of these scopes allows it: a, b)",
        ),
        (
            PollTimeout(NAME, None, 0, 0.04, None, "t"),
            f"{NAME}: not done after 0.0 s and 0 polls; it may still be running. It was not polled: {NO_TURN}",
        ),
        (
            PollTimeout(NAME, None, 1, 30.0, PollError(NAME, "HTTP 503", 503), "t"),
            f"{NAME}: not done after 30.0 s and 1 poll; it may still be running. The last poll failed: HTTP 503",
        ),
        (
            PollTimeout(NAME, None, 0, 30.0, PollError(NAME, "no token came"), "t"),
            f"{NAME}: not done after 30.0 s and 0 polls; it may still be running. It was not polled: no token came",
        ),
        (
            PollerClosed(NAME, None, 2, 3.25, None, "t"),
            f"{NAME}: the poller was closed after 3.2 s and 2 polls; it may still be running",
        ),
        (
            PollerClosed(NAME, None, 0, 0.04, None, "t"),
            f"{NAME}: the poller was closed after 0.0 s and 0 polls; it may still be running",
        ),
        (
            DecodeError(failed(None), "ValidationError"),
            f"{NAME}: the operation succeeded, but its response could not be decoded: ValidationError",
        ),
        (BackoffError(NAME, "gave nan"), f"{NAME}: its backoff generator gave nan"),
        (InvalidOperationName("a?b", "it contains '?'"), "'a?b' is not an operation's name: it contains '?'"),
        (InvalidOperationName(None, "it must be a str"), "what was given is not an operation's name: it must be a str"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LroError) else "",
)
def test_the_text_of_an_error_says_what_happened_to_which_operation(error: LroError, text: str) -> None:
    assert str(error) == text


@pytest.mark.behaviour("B11")
def test_running_out_of_time_carries_what_is_needed_to_go_on() -> None:
    poll = PollError(NAME, "HTTP 503", 503, Status(14))
    with pytest.raises(TimeoutError) as caught:
        raise PollTimeout(NAME, whole(), 3, 1.5, poll, "resume-me")
    error = caught.value
    assert isinstance(error, PollTimeout)
    assert (error.name, error.polls, error.elapsed, error.token) == (NAME, 3, 1.5, "resume-me")
    assert error.operation == whole()
    assert error.last_poll_error is poll


@pytest.mark.behaviour("B17")
def test_a_failed_poll_tells_what_the_reply_said() -> None:
    error = PollError(NAME, "HTTP 403", 403, Status(7, "no", (ErrorInfo("R"),)), ("a",))
    assert (error.name, error.http_status, error.code, error.message) == (NAME, 403, Code.PERMISSION_DENIED, "no")
    assert (error.details, error.scopes) == ((ErrorInfo("R"),), ("a",))


@pytest.mark.behaviour("B17")
def test_a_failed_poll_without_a_reply_has_nothing_to_quote() -> None:
    error = PollError(NAME, "no connection")
    assert (error.http_status, error.code, error.message, error.details, error.scopes) == (None, None, "", (), ())


@pytest.mark.behaviour("B6")
def test_a_response_that_could_not_be_decoded_is_not_lost() -> None:
    error = DecodeError(whole(), "ValidationError")
    assert error.name == NAME
    assert error.operation.response == {"key": "SECRET"}


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("error", one_of_each(), ids=lambda error: type(error).__name__)
def test_no_text_of_an_error_holds_a_body_or_a_token(error: LroError) -> None:
    shown = "".join(traceback.format_exception(error))
    assert type(error).__name__ in shown
    for text in (shown, str(error)):
        assert "SECRET" not in text
        assert "resume-me" not in text
    assert "SECRET" not in repr(error)


@pytest.mark.behaviour("B26")
def test_the_repr_of_a_failed_poll_holds_nothing_of_the_details() -> None:
    status = Status.read_http(403, {"error": {"code": 403, "details": [{"x": "SECRET"}]}})
    assert "SECRET" not in repr(PollError(NAME, "HTTP 403", 403, status))


def test_a_long_name_is_cut_in_the_text_and_kept_in_the_error() -> None:
    error = InvalidOperationName("x" * 5_000, "it is too long")
    assert str(error) == "'" + "x" * 96 + "... is not an operation's name: it is too long"
    assert error.name == "x" * 5_000


@pytest.mark.behaviour("B26")
def test_what_is_given_as_a_name_and_is_none_may_hold_a_body() -> None:
    error = InvalidOperationName({"name": NAME, "response": "SECRET"}, "it must be a str, not dict")
    assert leaks(error, "SECRET") == []


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "message, shown",
    [
        ("x" * 500, "x" * 500),
        ("\U000e0001" * 600, ("\\U000e0001" * 50)[:499] + "\u2026"),
        ("\U000e0001" * 60, ("\\U000e0001" * 50)[:499] + "\u2026"),
        ("x" * 501, "x" * 499 + "…"),
        ("one\ntwo\r", r"one\ntwo\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("left\u202eright\u2028", r"left\u202eright\u2028"),
        ("größer 数", "größer 数"),
        (r"it's C:\new", r"it's C:\new"),
    ],
)
def test_what_a_service_says_is_shown_in_one_bounded_line_and_kept_whole(message: str, shown: str) -> None:
    error = PollError(NAME, "HTTP 403", 403, Status(7, message))
    assert str(error) == f"{NAME}: the poll failed: HTTP 403: PERMISSION_DENIED: {shown}"
    assert str(error).isprintable()
    assert error.message == message


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "error, told",
    [
        (PollError(NAME, "no connection to https://example.com"), "no connection to https://example.com"),
        (PollError(NAME, "HTTP 503", 503, Status(14, "SECRET")), "HTTP 503: UNAVAILABLE"),
        (BackoffError(NAME, "raised SECRET"), "BackoffError"),
    ],
)
def test_the_log_is_told_why_and_no_word_of_the_services(error: LroError, told: str) -> None:
    assert errors.summary(error) == told
