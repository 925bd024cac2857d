"""google.rpc.Status read out of JSON: protobuf's own messages and their JSON are the measure, and nothing may raise."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import any_pb2, duration_pb2, json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.status import (
    BadRequest,
    Code,
    DebugInfo,
    ErrorInfo,
    FieldViolation,
    Help,
    HelpLink,
    LocalizedMessage,
    PreconditionFailure,
    PreconditionViolation,
    QuotaFailure,
    QuotaViolation,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
    Status,
)

GOOGLE_RPC = "type.googleapis.com/google.rpc."
MANY = settings(max_examples=150, deadline=None, derandomize=True)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
detail_types = st.sampled_from(
    [
        f"{GOOGLE_RPC}{kind}"
        for kind in (
            "BadRequest",
            "DebugInfo",
            "ErrorInfo",
            "Help",
            "LocalizedMessage",
            "PreconditionFailure",
            "QuotaFailure",
            "RequestInfo",
            "ResourceInfo",
            "RetryInfo",
        )
    ]
)
detail_fields = st.sampled_from(
    ["reason", "metadata", "violations", "fieldViolations", "links", "stackEntries", "retryDelay", "message", "owner"]
)
details = st.builds(
    lambda kind, fields: {"@type": kind, **fields},
    detail_types | scalars,
    st.dictionaries(detail_fields, json_values | st.from_regex(r"-?\d{1,12}(\.\d{1,9})?s", fullmatch=True), max_size=3),
)
statuses = st.fixed_dictionaries(
    {},
    optional={
        "code": st.integers(-3, 20) | json_values,
        "status": st.sampled_from([code.name for code in Code]) | json_values,
        "message": json_values,
        "details": st.lists(details | json_values, max_size=4) | json_values,
    },
)


def packed(message: Any) -> Any:
    """The JSON of a message inside a google.protobuf.Any, as protobuf itself writes it."""
    holder = any_pb2.Any()
    holder.Pack(message)
    return json_format.MessageToDict(holder)


def test_the_codes_are_those_of_the_proto() -> None:
    assert {code.name: int(code) for code in Code} == dict(code_pb2.Code.items())


@pytest.mark.parametrize(
    "http, code",
    [
        (200, Code.OK),
        (400, Code.INVALID_ARGUMENT),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.NOT_FOUND),
        (409, Code.ABORTED),
        (418, Code.UNKNOWN),
        (429, Code.RESOURCE_EXHAUSTED),
        (499, Code.CANCELLED),
        (500, Code.INTERNAL),
        (501, Code.UNIMPLEMENTED),
        (502, Code.UNKNOWN),
        (503, Code.UNAVAILABLE),
        (504, Code.DEADLINE_EXCEEDED),
    ],
)
def test_an_http_status_without_a_code_stands_for_one(http: int, code: Code) -> None:
    assert Code.from_http(http) is code


@pytest.mark.parametrize("code, name", [(0, "OK"), (5, "NOT_FOUND"), (16, "UNAUTHENTICATED"), (99, "CODE_99")])
def test_a_code_has_a_name_inside_and_outside_the_proto(code: int, name: str) -> None:
    assert Status(code).code_name == name


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize(
    "message, typed",
    [
        (
            error_details_pb2.ErrorInfo(reason="LIMIT", domain="example.com", metadata={"user": "1"}),
            ErrorInfo("LIMIT", "example.com", {"user": "1"}),
        ),
        (
            error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=3, nanos=500_000_000)),
            RetryInfo(3.5),
        ),
        (
            error_details_pb2.QuotaFailure(
                violations=[error_details_pb2.QuotaFailure.Violation(subject="project:1", description="reads")]
            ),
            QuotaFailure((QuotaViolation("project:1", "reads"),)),
        ),
        (
            error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(type="TOS", subject="example.com", description="no")
                ]
            ),
            PreconditionFailure((PreconditionViolation("TOS", "example.com", "no"),)),
        ),
        (
            error_details_pb2.BadRequest(
                field_violations=[error_details_pb2.BadRequest.FieldViolation(field="a.b", description="too long")]
            ),
            BadRequest((FieldViolation("a.b", "too long"),)),
        ),
        (error_details_pb2.RequestInfo(request_id="r1", serving_data="d"), RequestInfo("r1", "d")),
        (
            error_details_pb2.ResourceInfo(
                resource_type="space", resource_name="spaces/a", owner="me", description="full"
            ),
            ResourceInfo("space", "spaces/a", "me", "full"),
        ),
        (
            error_details_pb2.Help(links=[error_details_pb2.Help.Link(description="read", url="https://example.com")]),
            Help((HelpLink("read", "https://example.com"),)),
        ),
        (error_details_pb2.LocalizedMessage(locale="de-CH", message="zu spät"), LocalizedMessage("de-CH", "zu spät")),
        (error_details_pb2.DebugInfo(stack_entries=["a", "b"], detail="c"), DebugInfo(("a", "b"), "c")),
        (error_details_pb2.BadRequest(), BadRequest()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_detail_that_protobuf_wrote_is_read_into_its_class(message: Any, typed: object) -> None:
    status = status_pb2.Status(code=8, message="m", details=[any_pb2.Any()])
    status.details[0].Pack(message)
    assert Status.read(json_format.MessageToDict(status)) == Status(8, "m", (typed,))


@pytest.mark.behaviour("B4", "B6")
@pytest.mark.parametrize(
    "detail",
    [
        {"@type": "type.googleapis.com/example.Unheard", "x": [1]},
        {"@type": GOOGLE_RPC + "ErrorInfo", "reason": 5},
        {"@type": GOOGLE_RPC + "ErrorInfo", "metadata": {"a": 1}},
        {"@type": GOOGLE_RPC + "QuotaFailure", "violations": {"subject": "a"}},
        {"@type": GOOGLE_RPC + "Help", "links": [None]},
        {"@type": GOOGLE_RPC + "RetryInfo", "retryDelay": "soon"},
        {"@type": 5},
        {"reason": "LIMIT"},
        {"typeUrl": GOOGLE_RPC + "RetryInfo", "value": "CgIIAw=="},
        {},
        "text",
        None,
        17,
        ["a"],
    ],
)
def test_a_detail_of_another_shape_is_kept_as_it_came(detail: Any) -> None:
    assert Status.read({"code": 3, "details": [detail]}).details == (detail,)


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize(
    "detail, typed",
    [
        ({"typeUrl": GOOGLE_RPC + "ErrorInfo", "value": "CgVMSU1JVA=="}, ErrorInfo("LIMIT")),
        (
            {"@type": GOOGLE_RPC + "BadRequest", "field_violations": [{"field": "a", "description": "b"}]},
            BadRequest((FieldViolation("a", "b"),)),
        ),
    ],
    ids=["packed value", "names of the proto"],
)
def test_a_detail_is_typed_or_kept_as_it_came_and_never_emptied(detail: Any, typed: object) -> None:
    assert Status.read({"details": [detail]}).details[0] in (detail, typed)


@pytest.mark.behaviour("B6")
def test_unknown_fields_of_a_detail_are_passed_over() -> None:
    detail = {"@type": GOOGLE_RPC + "ErrorInfo", "reason": "R", "invented": {"later": True}}
    assert Status.read({"details": [detail]}).details == (ErrorInfo("R"),)


def test_a_detail_is_found_by_its_class() -> None:
    status = Status(8, "", ({"@type": "x"}, RetryInfo(1.0), ErrorInfo("first"), ErrorInfo("second")))
    assert status.detail(ErrorInfo) == ErrorInfo("first")
    assert status.detail(RetryInfo) == RetryInfo(1.0)
    assert status.detail(Help) is None


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "delay, seconds",
    [
        ("3s", 3.0),
        ("3.5s", 3.5),
        ("0.000000001s", 1e-9),
        ("-2s", -2.0),
        ("315576000000s", 315_576_000_000.0),
        ({"seconds": 3, "nanos": 500_000_000}, 3.5),
        ({"seconds": "3"}, 3.0),
        ({"nanos": 250_000_000}, 0.25),
        ("3", None),
        ("3 s", None),
        ("3s\n", None),
        ("٣s", None),
        ("1e9s", None),
        ("inf s", None),
        ("nans", None),
        ("9999999999999s", None),
        ("", None),
        (3, None),
        (None, None),
        (True, None),
        ({"seconds": True}, None),
        ({"seconds": 1.5}, None),
        ({"seconds": 10**12 - 1}, 1e12 - 1),
        ({"seconds": 10**12}, None),
        ({"seconds": "٣"}, None),
        ({"nanos": 10**9}, None),
        ([3], None),
    ],
)
def test_the_retry_delay_is_a_duration_of_the_proto_or_none(delay: Any, seconds: float | None) -> None:
    status = Status.read({"details": [{"@type": GOOGLE_RPC + "RetryInfo", "retryDelay": delay}]})
    assert status.retry_delay == seconds


@given(seconds=st.integers(-(10**9), 10**9), nanos=st.integers(0, 999_999_999))
@MANY
def test_every_duration_that_protobuf_writes_is_read(seconds: int, nanos: int) -> None:
    nanos = -nanos if seconds < 0 else nanos
    info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds, nanos=nanos))
    assert Status.read({"details": [packed(info)]}).retry_delay == pytest.approx(seconds + nanos / 1e9, abs=1e-6)


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize(
    "value, status",
    [
        ({"code": 5, "message": "gone"}, Status(5, "gone")),
        ({}, Status(0)),
        ({"code": None, "message": None, "details": None}, Status(0)),
        ({"code": 99}, Status(99)),
        ({"code": -1}, Status(-1)),
        ({"code": 2**31 - 1}, Status(2**31 - 1)),
        ({"code": 2**31}, Status(2)),
        ({"code": -(2**31)}, Status(-(2**31))),
        ({"code": -(2**31) - 1}, Status(2)),
        ({"code": -(10**4000), "message": "m"}, Status(2, "m")),
        ({"code": 0, "message": "m"}, Status(0, "m")),
        ({"code": "5"}, Status(2)),
        ({"code": 5.0}, Status(2)),
        ({"code": True}, Status(2)),
        ({"code": 5, "message": ["gone"], "details": "none"}, Status(5)),
        ({"code": 5, "extra": {"code": 7}}, Status(5)),
        ("what happened", Status(2, "what happened")),
        (["what happened"], Status(2)),
        (5, Status(2)),
        (None, Status(2)),
        (False, Status(2)),
    ],
)
def test_a_status_is_read_from_whatever_stands_in_its_place(value: Any, status: Status) -> None:
    assert Status.read(value) == status


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize(
    "http, body, status",
    [
        (404, {"error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}}, Status(5, "gone")),
        (404, {"code": 5, "message": "gone"}, Status(5, "gone")),
        (400, {"error": {"code": 400, "status": "FAILED_PRECONDITION"}}, Status(9)),
        (409, {"error": {"code": 409, "status": "ALREADY_EXISTS"}}, Status(6)),
        (409, {"error": {"code": 10}}, Status(10)),
        (403, {"error": {"code": 16}}, Status(16)),
        (403, {"error": {"code": 17}}, Status(7)),
        (503, {"error": {"code": 503, "message": "m"}}, Status(14, "m")),
        (503, {"error": {"status": "INVENTED"}}, Status(14)),
        (503, {"error": {"status": 14}}, Status(14)),
        (403, {"error": "text"}, Status(7)),
        (403, {"error": None}, Status(7)),
        (403, {"error": ["text"]}, Status(7)),
        (403, {}, Status(7)),
        (403, [], Status(7)),
        (403, "text", Status(7)),
        (403, None, Status(7)),
        (418, None, Status(2)),
        (500, {"error": {"code": 0}}, Status(13)),
    ],
)
def test_the_body_of_an_http_error_is_read_in_both_of_its_shapes(http: int, body: Any, status: Status) -> None:
    assert Status.read_http(http, body) == status


@pytest.mark.parametrize("code", [0, 5, 16])
def test_a_code_of_the_proto_is_a_code_and_any_other_number_is_itself(code: int) -> None:
    assert isinstance(Status.read({"code": code}).code, Code)
    assert type(Status.read({"code": code + 90}).code) is int


@pytest.mark.behaviour("B17")
def test_an_http_error_that_calls_itself_ok_has_the_code_of_its_http_status() -> None:
    assert Status.read_http(503, {"error": {"status": "OK"}}).code == Code.UNAVAILABLE


@pytest.mark.behaviour("B17")
def test_the_details_of_an_http_error_are_typed() -> None:
    detail = {"@type": GOOGLE_RPC + "ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}
    status = Status.read_http(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [detail]}})
    assert status == Status(7, "", (ErrorInfo("SERVICE_DISABLED", "googleapis.com"),))


@pytest.mark.behaviour("B4", "B6")
@given(value=statuses | json_values)
@MANY
def test_reading_any_json_gives_a_status_and_never_raises(value: Any) -> None:
    status = Status.read(value)
    assert isinstance(status.code, int)
    assert isinstance(status.message, str)
    assert status.code_name
    assert status.retry_delay is None or isinstance(status.retry_delay, float)
    listed = value.get("details") if isinstance(value, dict) else None
    assert len(status.details) == (len(listed) if isinstance(listed, list) else 0)


@pytest.mark.behaviour("B17")
@given(http=st.integers(100, 599), value=statuses | st.fixed_dictionaries({"error": statuses}) | json_values)
@MANY
def test_reading_any_body_of_an_http_error_gives_a_code_of_the_proto_and_never_raises(http: int, value: Any) -> None:
    status = Status.read_http(http, value)
    assert status.code in {int(code) for code in Code}
    assert isinstance(status.message, str)


@pytest.mark.behaviour("B6", "B27")
def test_a_detail_nested_beyond_all_reason_is_no_error_of_its_own() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    detail = {"@type": GOOGLE_RPC + "ErrorInfo", "metadata": deep}
    assert Status.read({"code": 3, "details": [detail]}).details[0] is detail


def test_a_status_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Status(5).code = 6  # type: ignore[misc]
