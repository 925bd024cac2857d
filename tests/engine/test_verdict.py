"""What one reply means: every HTTP status, every shape of body, every way to ask for patience, and nothing raised."""

from __future__ import annotations

import email.utils
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.verdict import (
    MAX_RETRY_AFTER,
    Ended,
    Refused,
    Running,
    Setback,
    Unauthorized,
    Verdict,
    acknowledge,
    judge,
    judge_fault,
    retry_after,
)
from lro_poller.errors import NotFound, OperationError, PollError, Unknown
from lro_poller.operation import Operation
from lro_poller.services import Dialect, Service
from lro_poller.status import Code, ErrorInfo, RetryInfo, Status
from lro_poller.wire import Fault, NoReply, Reply

from ..nesting import TOO_DEEP

NAME = "operations/abc"
SERVICE = Service("example", "v1", "https://example.com", scopes=("scope.a", "scope.b"), not_found_grace=30.0)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
ARRIVED = 784_111_807.0  # half a minute after DATE
MANY = settings(max_examples=200, deadline=None, derandomize=True)


def judged(
    status: int = 200, body: Any = None, headers: dict[str, str] | None = None, age: float = math.inf
) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judged_by(SERVICE, Reply(status, headers or {}, raw), age=age)


def judged_by(service: Service, reply: Reply, read: Dialect | None = None, age: float = math.inf) -> Verdict:
    return judge(service, NAME, reply, service.dialect if read is None else read, age=age, arrived=0.0)


def poll_error(verdict: Verdict) -> PollError:
    assert isinstance(verdict, Setback | Unauthorized | Refused)
    return verdict.error


def ended(body: Any) -> Operation:
    verdict = judged(200, body)
    assert isinstance(verdict, Ended)
    return verdict.operation


def with_retry_info(delay: Any) -> dict[str, Any]:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return {"error": {"code": 503, "status": "UNAVAILABLE", "details": [detail]}}


# What a poll may meet.

PASSING = [100, 103, 408, 425, 429, 500, 502, 503, 504, 506, 507, 508, 511, 520, 529, 599]
REDIRECTS = [300, 301, 302, 303, 304, 307, 308, 399]
FINAL = [400, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 418, 421, 422, 423, 424, 426]
FINAL_TOO = [428, 431, 451, 499, 501, 505]


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": {"code": 5, "status": "NOT_FOUND"}}', b'{"done": true}'])
@pytest.mark.parametrize("status", PASSING)
def test_what_passes_is_a_setback_whatever_the_body(status: int, body: bytes) -> None:
    verdict = judged(status, body)
    assert isinstance(verdict, Setback)
    assert verdict.error.http_status == status
    assert verdict.delay == 0.0


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": {"status": "UNAVAILABLE"}}', b'{"done": true}'])
@pytest.mark.parametrize("status", [*REDIRECTS, *FINAL, *FINAL_TOO])
def test_what_is_final_is_refused_at_once_whatever_the_body(status: int, body: bytes) -> None:
    verdict = judged(status, body)
    assert isinstance(verdict, Refused)
    assert verdict.error.http_status == status
    assert verdict.error.name == NAME


@pytest.mark.behaviour("B14", "B17")
@pytest.mark.parametrize("message", [rb"slow down \ud83d", b"slow down \xff", b'", "odd": 1e999, "x": "'])
def test_what_an_error_says_is_not_lost_for_a_character_in_it(message: bytes) -> None:
    details = json.dumps(with_retry_info("30s")["error"]["details"]).encode()
    verdict = judged(429, b'{"error": {"code": 429, "message": "%b", "details": %b}}' % (message, details))
    assert isinstance(verdict, Setback)
    assert verdict.delay == 30.0


@pytest.mark.behaviour("B27")
def test_what_is_too_long_to_be_an_error_is_not_read() -> None:
    body = {"error": {"code": 503, "message": "m", "details": [{}] * 30_000}}
    assert poll_error(judged(503, body)).details == ()
    assert poll_error(judged(503, {"error": {"message": "m", "details": [{}] * 300}})).details == ({},) * 300


@pytest.mark.behaviour("B17")
def test_a_401_asks_for_a_new_token() -> None:
    verdict = judged(401, {"error": {"code": 401, "message": "expired", "status": "UNAUTHENTICATED"}})
    assert isinstance(verdict, Unauthorized)
    assert (verdict.error.http_status, verdict.error.code, verdict.error.message) == (401, 16, "expired")


@pytest.mark.behaviour("B17", "B25")
@pytest.mark.parametrize("status", REDIRECTS)
def test_the_error_of_a_redirect_says_that_none_is_followed(status: int) -> None:
    error = poll_error(judged(status, headers={"Location": "https://evil.example"}))
    assert error.reason == f"HTTP {status} (redirects are not followed)"


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_the_reason_of_any_other_status_is_its_number(status: int) -> None:
    assert poll_error(judged(status)).reason == f"HTTP {status}"


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("status, scopes", [(403, ("scope.a", "scope.b")), (401, ()), (404, ()), (429, ()), (500, ())])
def test_only_a_403_tells_which_scopes_would_do(status: int, scopes: tuple[str, ...]) -> None:
    assert poll_error(judged(status)).scopes == scopes


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize(
    "age, kind", [(0.0, Setback), (29.9, Setback), (30.0, Refused), (1e9, Refused), (math.inf, Refused)]
)
def test_a_404_may_pass_for_a_while_after_the_start(age: float, kind: type) -> None:
    assert type(judged(404, age=age)) is kind


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("status", [400, 403, 410, 301])
def test_the_grace_of_a_404_is_for_a_404_alone(status: int) -> None:
    assert isinstance(judged(status, age=0.0), Refused)


@pytest.mark.behaviour("B17")
def test_without_a_grace_a_404_is_final_from_the_start() -> None:
    service = Service("example", "v1", "https://example.com")
    assert isinstance(judged_by(service, Reply(404, {}, b""), age=0.0), Refused)


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize(
    "body, code, message, details",
    [
        (
            {
                "error": {
                    "code": 403,
                    "message": "no",
                    "status": "PERMISSION_DENIED",
                    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R"}],
                }
            },
            Code.PERMISSION_DENIED,
            "no",
            (ErrorInfo("R"),),
        ),
        ({"code": 7, "message": "no", "details": [{"x": 1}]}, Code.PERMISSION_DENIED, "no", ({"x": 1},)),
        ({"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}, Code.PERMISSION_DENIED, "", ()),
        ({"error": "forbidden"}, Code.PERMISSION_DENIED, "", ()),
        (b"<html>forbidden</html>", Code.PERMISSION_DENIED, "", ()),
        (b"", Code.PERMISSION_DENIED, "", ()),
        (b"\xff\xfe", Code.PERMISSION_DENIED, "", ()),
        (b"[" * TOO_DEEP + b"]" * TOO_DEEP, Code.PERMISSION_DENIED, "", ()),
    ],
    ids=["wrapped", "bare", "older", "text", "html", "empty", "not utf-8", "deep"],
)
def test_both_bodies_of_errors_are_read_and_others_do_no_harm(
    body: Any, code: int, message: str, details: tuple[Any, ...]
) -> None:
    error = poll_error(judged(403, body))
    assert (error.http_status, error.code, error.message, error.details) == (403, code, message, details)


# Patience.


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "value, date, seconds",
    [
        ("0", None, 0),
        ("1", None, 1),
        ("120", None, 120),
        ("007", None, 7),
        ("900", None, 900),
        ("901", None, 900),
        ("31536000", None, 900),
        ("999999999999999999", None, 900),
        ("9" * 19, None, 900),
        ("9" * 5_000, None, 900),
        ("-5", None, 0),
        ("+5", None, 0),
        ("1.5", None, 0),
        ("1e3", None, 0),
        ("5s", None, 0),
        ("5, 10", None, 0),
        ("٣", None, 0),
        ("soon", None, 0),
        ("nan", None, 0),
        ("inf", None, 0),
        ("", None, 0),
        (" ", None, 0),
        ("\x00", None, 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", DATE, 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", DATE, 60),
        ("Sun, 06 Nov 1994 09:50:37 +0100", DATE, 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", DATE, 0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", DATE, 0),
        ("Mon, 06 Nov 1995 08:49:37 GMT", DATE, 900),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DATE, 900),
        ("Sun, 06 Nov 1994 08:50:37 GMT", None, 30),
        ("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", 30),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None, 0),
        ("Sun, 06 Nov 99999999 08:50:37 GMT", DATE, 0),
        ("Sun, 06 Nov 1994 " + "9" * 400 + ":50:37 GMT", DATE, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value: str, date: str | None, seconds: float) -> None:
    headers = {"Retry-After": value} if date is None else {"Retry-After": value, "Date": date}
    assert retry_after(headers, ARRIVED) == seconds


@pytest.mark.behaviour("B14")
def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after({}, 0.0) == 0.0
    assert retry_after({"Date": DATE}, 0.0) == 0.0


@pytest.mark.behaviour("B14")
@given(since=st.integers(0, 4 * 10**9), seconds=st.integers(-(10**6), 10**6))
@MANY
def test_a_date_is_held_against_the_date_of_the_reply(since: int, seconds: int) -> None:
    headers = {
        "Retry-After": email.utils.formatdate(max(since + seconds, 0), usegmt=True),
        "Date": email.utils.formatdate(since, usegmt=True),
    }
    assert retry_after(headers, 0.0) == min(max(max(since + seconds, 0) - since, 0), 900)


@pytest.mark.behaviour("B14")
@given(
    value=st.text(max_size=40)
    | st.lists(
        st.sampled_from([*DATE.split(), "-1", "99", ":", "+", "-", ",", "9999999999", "EST", "2e5", ".", "/"]),
        max_size=9,
    ).map(" ".join),
    date=st.sampled_from([DATE, "Thu, 01 Jan 1970 00:00:00 GMT", ""]) | st.text(max_size=20),
)
@MANY
def test_any_header_asks_for_a_bounded_number_of_seconds(value: str, date: str) -> None:
    assert 0.0 <= retry_after({"Retry-After": value, "Date": date}, 0.0) <= 900.0 == MAX_RETRY_AFTER


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize("status", [200, 408, 429, 500, 503, 504])
def test_retry_after_counts_on_every_reply_that_leaves_the_operation_pending(status: int) -> None:
    verdict = judged(status, {}, {"Retry-After": "7"})
    assert isinstance(verdict, Running | Setback)
    assert verdict.delay == 7.0


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "delay, header, seconds",
    [
        ("5s", None, 5.0),
        ("2.5s", None, 2.5),
        ({"seconds": 5}, None, 5.0),
        ("5s", "3", 5.0),
        ("3s", "5", 5.0),
        ("-5s", None, 0.0),
        ("31536000s", None, 900.0),
        ("soon", None, 0.0),
        ("soon", "4", 4.0),
        (None, None, 0.0),
    ],
)
def test_retry_info_counts_beside_retry_after_and_the_longer_wins(
    delay: Any, header: str | None, seconds: float
) -> None:
    verdict = judged(503, with_retry_info(delay), {} if header is None else {"Retry-After": header})
    assert isinstance(verdict, Setback)
    assert verdict.delay == seconds


@pytest.mark.behaviour("B14", "B17")
def test_retry_info_does_not_make_a_final_status_pass() -> None:
    verdict = judged(400, with_retry_info("5s"), {"Retry-After": "5"})
    assert isinstance(verdict, Refused)
    assert verdict.error.details == (RetryInfo(5.0),)


# Operations.


@pytest.mark.behaviour("B2", "B5", "B6")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": NAME},
        {"name": "operations/other"},
        {"name": None},
        {"done": False},
        {"done": None},
        {"done": False, "error": {"code": 5}},
        {"done": False, "response": {"a": 1}},
        {"error": {"code": 5}},
        {"response": {"a": 1}},
        {"metadata": None},
        {"metadata": {"@type": "type.googleapis.com/example.Unheard", "percent": 5}},
        {"metadata": {"typeUrl": "type.googleapis.com/example.Unheard", "value": "AA=="}},
        {"metadata": "50 %", "kind": "operation", "selfLink": {}},
    ],
)
def test_what_is_not_done_is_running(body: Any) -> None:
    verdict = judged(200, body)
    assert isinstance(verdict, Running)
    assert (verdict.operation.name, verdict.operation.done, verdict.operation.error) == (NAME, False, None)
    assert verdict.delay == 0.0


@pytest.mark.behaviour("B1", "B3", "B6")
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
@pytest.mark.parametrize(
    "body, response",
    [
        ({"done": True}, None),
        ({"done": True, "response": None, "error": None, "metadata": None}, None),
        ({"done": True, "name": "operations/other", "response": {"a": 1}}, {"a": 1}),
        ({"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}}, {}),
        ({"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}}, {}),
        ({"done": True, "response": {"typeUrl": "a/b.C", "value": "AA=="}}, {"typeUrl": "a/b.C", "value": "AA=="}),
        ({"done": True, "response": {"a": 1}, "metadata": 5, "unheard": [[]]}, {"a": 1}),
    ],
)
def test_what_is_done_without_an_error_has_succeeded(status: int, body: Any, response: Any) -> None:
    verdict = judged(status, body)
    assert isinstance(verdict, Ended)
    assert verdict.operation.error is None
    assert verdict.operation.response == response


@pytest.mark.behaviour("B4", "B6")
@pytest.mark.parametrize(
    "error, kind, code, message",
    [
        ({"code": 5, "message": "gone"}, NotFound, 5, "gone"),
        ({"code": 5, "message": "gone", "status": "GONE", "errors": [], "x": {"y": 1}}, NotFound, 5, "gone"),
        ({"code": 0, "message": "fine?"}, Unknown, 0, "fine?"),
        ({}, Unknown, 0, ""),
        ({"code": 99, "message": "odd"}, Unknown, 99, "odd"),
        ({"code": -7}, Unknown, -7, ""),
        ("it broke", Unknown, 2, "it broke"),
    ],
)
def test_what_is_done_with_an_error_raises_the_class_of_its_code(
    error: Any, kind: type[OperationError], code: int, message: str
) -> None:
    raised = OperationError.of(ended({"done": True, "error": error, "metadata": {"step": 1}}))
    assert type(raised) is kind
    assert (raised.name, raised.code, raised.message, raised.metadata) == (NAME, code, message, {"step": 1})


@pytest.mark.behaviour("B4")
def test_an_operation_that_failed_is_no_poll_that_failed() -> None:
    assert ended({"done": True, "error": {"code": 14, "message": "m"}}).error == Status(14, "m")


@pytest.mark.behaviour("B16", "B26", "B27")
@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>SECRET</html>",
        b'{"done": true, "response": {"a": "SECRET',
        b'"SECRET"',
        b'["SECRET"]',
        b"null",
        b'{"done": "SECRET"}',
        b"\x1f\x8b\x08\x00SECRET",
        b'{"a": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}",
    ],
)
def test_a_success_that_is_no_operation_is_a_setback_that_quotes_nothing(status: int, body: bytes) -> None:
    verdict = judged(status, body)
    assert isinstance(verdict, Setback)
    assert (verdict.error.http_status, verdict.error.status, verdict.no_token) == (status, None, False)
    assert "SECRET" not in f"{verdict!r} {verdict.error}"


def test_a_service_reads_its_replies_in_its_own_dialect() -> None:
    def dialect(name: str, body: bytes) -> Operation:
        if body == b"PENDING":
            return Operation(name, False, None, body)
        raise ValueError("no dialect of ours")

    service = Service("example", "v1", "https://example.com", dialect=dialect)
    assert isinstance(judged_by(service, Reply(200, {}, b"PENDING")), Running)
    verdict = judged_by(service, Reply(200, {}, b'{"done": true}'))
    assert isinstance(verdict, Setback)
    assert verdict.error.reason == "no dialect of ours"


@pytest.mark.behaviour("B19")
def test_a_dialect_with_a_bug_surfaces_on_its_own_operation() -> None:
    def dialect(name: str, body: bytes) -> Operation:
        raise KeyError("status")

    service = Service("example", "v1", "https://example.com", dialect=dialect)
    verdict = judged_by(service, Reply(200, {}, b"{}"))
    assert isinstance(verdict, Setback | Refused)
    assert isinstance(verdict.error.__cause__, KeyError)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_stops_the_program_is_no_bug_of_a_dialect(stop: type[BaseException]) -> None:
    def dialect(name: str, body: bytes) -> Operation:
        raise stop

    with pytest.raises(stop):
        judged_by(SERVICE, Reply(200, {}, b"{}"), dialect)


@pytest.mark.behaviour("B16", "B27")
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-5, 20) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "code", "status", "details", "done", "@type"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    header=st.text(max_size=10),
    age=st.floats(0, 100),
)
@MANY
def test_any_reply_has_a_verdict_of_its_class_and_nothing_is_raised(
    status: int, body: bytes, header: str, age: float
) -> None:
    verdict = judged(status, body, {"Retry-After": header}, age)
    if 200 <= status < 300:
        assert isinstance(verdict, Running | Ended | Setback)
    elif status == 401:
        assert isinstance(verdict, Unauthorized)
    elif 300 <= status < 500 and status not in (404, 408, 425, 429):
        assert isinstance(verdict, Refused)
    else:
        assert isinstance(verdict, Setback | Refused)
    assert isinstance(verdict, Running | Ended) or verdict.error.name == NAME
    assert not isinstance(verdict, Running | Setback) or 0.0 <= verdict.delay <= 900.0


# No reply.


@pytest.mark.behaviour("B16", "B17", "B18")
@pytest.mark.parametrize(
    "fault, reached, configured, verdict, no_token",
    [
        (Fault.UNREACHABLE, False, False, Setback, False),
        (Fault.UNREACHABLE, True, True, Setback, False),
        (Fault.TIMED_OUT, False, True, Setback, False),
        (Fault.BROKEN, False, True, Setback, False),
        (Fault.TOO_LARGE, False, True, Setback, False),
        (Fault.UNAUTHORIZED, False, True, Setback, True),
        (Fault.UNAUTHORIZED, True, False, Setback, True),
        (Fault.UNKNOWN_HOST, False, True, Refused, None),
        (Fault.UNKNOWN_HOST, True, True, Setback, False),
        (Fault.UNKNOWN_HOST, False, False, Setback, False),
        (Fault.UNKNOWN_HOST, True, False, Setback, False),
        (Fault.UNTRUSTED, False, True, Refused, None),
        (Fault.UNTRUSTED, False, False, Refused, None),
        (Fault.UNTRUSTED, True, True, Setback, False),
        (Fault.UNTRUSTED, True, False, Setback, False),
    ],
)
def test_no_reply_passes_unless_the_origin_was_a_mistake_from_the_start(
    fault: Fault, reached: bool, configured: bool, verdict: type, no_token: bool | None
) -> None:
    met = judge_fault(NAME, NoReply(fault, "what happened"), reached=reached, configured=configured)
    assert type(met) is verdict
    assert getattr(met, "no_token", None) is no_token
    assert getattr(met, "delay", 0.0) == 0.0


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.UNTRUSTED])
def test_the_error_of_no_reply_has_its_reason_and_its_cause_and_no_status(fault: Fault) -> None:
    no_reply, cause = NoReply(fault, "example.com did not answer"), OSError("refused")
    no_reply.__cause__ = cause
    error = poll_error(judge_fault(NAME, no_reply, reached=False, configured=True))
    assert (error.name, error.reason, error.http_status, error.status) == (
        NAME,
        "example.com did not answer",
        None,
        None,
    )
    assert error.__cause__ is cause


@pytest.mark.behaviour("B12")
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[" * 100_000])
def test_that_a_request_was_accepted_is_all_its_reply_says(body: bytes) -> None:
    verdict = judged_by(SERVICE, Reply(200, {}, body), acknowledge)
    assert verdict == Ended(acknowledge(NAME, body))
    assert (acknowledge(NAME, body).done, acknowledge(NAME, body).response) == (True, None)


def test_every_kind_of_fault_is_judged() -> None:
    met = {fault: judge_fault(NAME, NoReply(fault, ""), reached=False, configured=True) for fault in Fault}
    assert {fault for fault, verdict in met.items() if isinstance(verdict, Refused)} == {
        Fault.UNKNOWN_HOST,
        Fault.UNTRUSTED,
    }
