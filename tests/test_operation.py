"""google.longrunning.Operation read from the bytes of a reply: every ending, every oddity of servers, and no surprise."""

from __future__ import annotations

import base64
import enum
import json
import pickle
import time
import types
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lro_poller.operation import Operation
from lro_poller.status import ErrorInfo, Status

from .nesting import TOO_DEEP

NAME = "operations/abc"
EMPTY = "type.googleapis.com/google.protobuf.Empty"
MANY = settings(max_examples=150, deadline=None, derandomize=True)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
operations = st.fixed_dictionaries(
    {},
    optional={
        "name": json_values,
        "done": st.sampled_from([True, False, None]) | json_values,
        "error": json_values,
        "response": json_values,
        "metadata": json_values,
        "unheard": json_values,
    },
)
WHOLE = b'{"name":"operations/abc","done":true,"response":{"@type":"a/b.C","n":[1,2.5,null,"\\u00fc"]}}'
damaged = st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=2), st.integers(0, 3)).map(
    lambda damage: WHOLE[: damage[0]] + damage[1] + WHOLE[damage[0] + damage[2] :]
)


def read(value: Any) -> Operation:
    return Operation.from_json(NAME, json.dumps(value).encode())


def state(operation: Operation) -> tuple[bool, int | None, Any, Any]:
    code = None if operation.error is None else operation.error.code
    return operation.done, code, operation.response, operation.metadata


@pytest.mark.behaviour("B2", "B3", "B4", "B5")
@pytest.mark.parametrize(
    "body, expected",
    [
        ({}, (False, None, None, None)),
        ({"name": NAME}, (False, None, None, None)),
        ({"done": False}, (False, None, None, None)),
        ({"done": None}, (False, None, None, None)),
        ({"done": True}, (True, None, None, None)),
        ({"done": True, "response": None, "error": None}, (True, None, None, None)),
        ({"done": True, "response": {"a": 1}}, (True, None, {"a": 1}, None)),
        ({"done": True, "response": {"a": 1}, "metadata": {"b": 2}}, (True, None, {"a": 1}, {"b": 2})),
        ({"done": True, "response": {}}, (True, None, {}, None)),
        ({"done": True, "response": {"@type": EMPTY}}, (True, None, {}, None)),
        ({"done": True, "response": {"@type": EMPTY, "value": {}}}, (True, None, {}, None)),
        ({"done": True, "response": {"typeUrl": EMPTY, "value": ""}}, (True, None, {}, None)),
        (
            {"done": True, "response": {"typeUrl": "a/b.C", "value": "AA=="}},
            (True, None, {"typeUrl": "a/b.C", "value": "AA=="}, None),
        ),
        ({"done": True, "response": {"@type": "a/b.C", "x": 1}}, (True, None, {"@type": "a/b.C", "x": 1}, None)),
        ({"done": True, "response": "text"}, (True, None, "text", None)),
        ({"done": True, "error": {"code": 5, "message": "m"}}, (True, 5, None, None)),
        ({"done": True, "error": {"code": 5}, "response": {"a": 1}}, (True, 5, {"a": 1}, None)),
        ({"done": True, "error": {}}, (True, 0, None, None)),
        ({"done": True, "error": {"code": 0}}, (True, 0, None, None)),
        ({"done": True, "error": {"code": 99}}, (True, 99, None, None)),
        ({"done": True, "error": "it broke"}, (True, 2, None, None)),
        ({"done": True, "error": {"code": 5, "extra": [1], "status": "GONE"}}, (True, 5, None, None)),
        ({"error": {"code": 5}}, (False, None, None, None)),
        ({"done": False, "error": {"code": 5}}, (False, None, None, None)),
        ({"done": False, "response": {"a": 1}}, (False, None, {"a": 1}, None)),
        ({"metadata": None}, (False, None, None, None)),
        ({"metadata": {"@type": "x", "percent": 5}}, (False, None, None, {"@type": "x", "percent": 5})),
        ({"metadata": "text"}, (False, None, None, "text")),
        ({"done": True, "kind": 5, "selfLink": {"a": []}}, (True, None, None, None)),
    ],
)
def test_a_body_says_whether_the_operation_is_done_and_how(body: Any, expected: tuple[Any, ...]) -> None:
    assert state(read(body)) == expected


@pytest.mark.behaviour("B5")
@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "operations/other"}, {"name": 5}, {"name": None}])
def test_the_name_is_the_one_that_was_asked_for_whatever_the_reply_says(body: Any) -> None:
    assert read(body).name == NAME


@pytest.mark.behaviour("B4")
def test_an_error_is_read_with_its_message_and_its_details() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R"}
    operation = read({"done": True, "error": {"code": 8, "message": "too many", "details": [detail, {"x": 1}]}})
    assert operation.error == Status(8, "too many", (ErrorInfo("R"), {"x": 1}))


@pytest.mark.behaviour("B4", "B6")
def test_the_resource_is_kept_as_it_came() -> None:
    body = b' { "done" : true, "unheard": [1,2], "response": {"a":1.50} } '
    operation = Operation.from_json(NAME, body)
    assert operation.raw == body
    assert operation.raw_response == b'{"a":1.50}'
    assert operation.raw_metadata is None


@pytest.mark.behaviour("B16", "B27")
@pytest.mark.parametrize(
    "body, reason",
    [
        (b"", "the body is not JSON"),
        (b"<html>503</html>", "the body is not JSON"),
        (b'{"done": true, "resp', "the body is not JSON"),
        (b'{"done": true} {"done": true}', "the body is not JSON"),
        (b'{"done": true,}', "the body is not JSON"),
        (b"{'done': true}", "the body is not JSON"),
        (b"\xff\xfe{\x00}\x00", "the body is not JSON"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"done": true}', "the body is not JSON"),
        (rb'{"done": true, "\ud8": 1}', "the body is not JSON"),
        (b'{"done": NaN}', "the body is not JSON"),
        (b"null", "the body is no Operation"),
        (b"true", "the body is no Operation"),
        (b"[]", "the body is no Operation"),
        (b'"done"', "the body is no Operation"),
        (b'[{"done": true}]', "the body is no Operation"),
        (b'{"done": "true"}', "the body is no Operation"),
        (b'{"done": 1}', "the body is no Operation"),
        (b'{"x": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}", "the body is nested too deeply"),
        (b'{"response": ' + b'{"a":' * TOO_DEEP + b"1" + b"}" * TOO_DEEP + b"}", "the body is nested too deeply"),
        (b'{"done": true, "error": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}", "the body is nested too deeply"),
    ],
)
def test_what_is_no_operation_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        Operation.from_json(NAME, body)


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize(
    "text, value",
    [
        (rb"\ud800", "\ufffd"),
        (rb"\uDBFFx", "\ufffdx"),
        (rb"\udc00\ud800", "\ufffd\ufffd"),
        (rb"\ud800\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (rb"\\ud800 \\\ud800", "\\ud800 \\\ufffd"),
        (rb"\ud800\n\"\u00e9", '\ufffd\n"\xe9'),
    ],
)
def test_half_a_surrogate_pair_loses_no_outcome(text: bytes, value: str) -> None:
    operation = Operation.from_json(NAME, b'{"done": true, "response": {"a": "%b", "n": 1.50}}' % text)
    assert operation.response == {"a": value, "n": 1.5}
    assert operation.raw_response is not None
    assert operation.raw_response.endswith(b' "n": 1.50}')
    assert text in operation.raw
    assert Operation.from_json(NAME, b'{"metadata": {"%b": "%b"}}' % (text, text)).metadata == {value: value}
    failed = Operation.from_json(NAME, b'{"done": true, "error": {"code": 5, "message": "%b"}}' % text)
    assert failed.error == Status(5, value)


@pytest.mark.behaviour("B16")
def test_a_byte_order_mark_is_passed_over() -> None:
    assert Operation.from_json(NAME, b'\xef\xbb\xbf{"done": true, "response": {"a": 1}}').response == {"a": 1}


@pytest.mark.behaviour("B4", "B6")
@pytest.mark.parametrize(
    "error, status",
    [
        (b'{"code": 5, "message": "a\xff\xe2\x82"}', Status(5, "a\ufffd\ufffd")),
        (b'{"code": 1e999}', Status(2)),
        (b'{"code": %b}' % (b"9" * 5000), Status(2)),
        (b'{"code": 5, "details": [%b]}' % (b"9" * 5000), Status(5, details=("9" * 5000,))),
        (b'{"code": 5, "message": "gone", "details": [{"limit": 1e999}]}', Status(5, "gone", ({"limit": "1e999"},))),
        (b'{"code": 5, "message": "cut \\ud83d"}', Status(5, "cut \ufffd")),
    ],
)
def test_an_error_that_cannot_be_decoded_has_failed_the_operation_all_the_same(error: bytes, status: Status) -> None:
    body = b'{"done": true, "error": %b}' % error
    operation = Operation.from_json(NAME, body)
    assert operation.error == status
    assert operation.raw == body


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize("filler", [b"\\\\", b'\\"', rb"\ud800", rb"\ud83d\ude00", b'"'], ids=repr)
def test_a_text_of_a_mebibyte_is_mended_in_a_moment(filler: bytes) -> None:
    body = rb'{"done": true, "response": "\ud800' + filler * ((1 << 20) // len(filler))
    began = time.process_time()
    with pytest.raises(ValueError, match="the body is not JSON"):
        Operation.from_json(NAME, body)
    assert time.process_time() - began < 1.0


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_body_cut_short_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="the body is not JSON"):
        Operation.from_json(NAME, WHOLE[:length])


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "body",
    [
        b'{"done": "SECRET"}',
        b'{"done": {"SECRET": 1}}',
        b'["SECRET"]',
        b'"SECRET"',
        b'{"SECRET": }',
        b'{"done": true, "error": "SECRET}',
        b'{"\\ud800": SECRET}',
        b"SECRET",
    ],
)
def test_a_refusal_quotes_nothing_of_the_body_not_even_by_its_cause(body: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        Operation.from_json(NAME, body)
    assert "SECRET" not in f"{caught.value!s} {caught.value!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.behaviour("B16", "B27")
@given(body=st.binary(max_size=64) | damaged)
@example(body=b'{"done":true,"response":"\xff"}')
@MANY
def test_any_bytes_are_an_operation_or_a_value_error(body: bytes) -> None:
    try:
        operation = Operation.from_json(NAME, body)
    except ValueError:
        return
    assert isinstance(json.loads(body.decode(errors="replace")), dict)
    assert operation.name == NAME


@pytest.mark.behaviour("B5", "B6")
@given(value=operations)
@MANY
def test_any_json_object_is_read_by_the_rules_of_the_proto_or_refused(value: dict[str, Any]) -> None:
    done = value.get("done")
    if done is not None and not isinstance(done, bool):
        with pytest.raises(ValueError, match="no Operation"):
            read(value)
        return
    operation = read(value)
    assert operation.done is (done is True)
    assert (operation.error is not None) is (done is True and value.get("error") is not None)
    assert operation.metadata == value.get("metadata")
    assert operation.response == value.get("response")


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize("metadata", [b'"\xff"', b"1e999", b"[1e999]", b'{"\xff": 1}'])
def test_metadata_that_cannot_be_decoded_is_none_and_stays_at_hand(metadata: bytes) -> None:
    operation = Operation.from_json(NAME, b'{"done":true,"response":{},"metadata":' + metadata + b"}")
    assert operation.metadata is None
    assert operation.raw_metadata == metadata
    assert operation.response == {}


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize("metadata", [b'"\xff"', b"1e999"])
def test_metadata_that_cannot_be_decoded_does_not_hide_the_response(metadata: bytes) -> None:
    operation = Operation.from_json(NAME, b'{"done":true,"metadata":' + metadata + b',"response":{"a":1}}')
    assert state(operation) == (True, None, {"a": 1}, None)


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize("response", [b'"\xff"', b"1e999"])
def test_a_response_that_cannot_be_decoded_is_a_value_error_and_stays_at_hand(response: bytes) -> None:
    operation = Operation.from_json(NAME, b'{"done":true,"response":' + response + b"}")
    with pytest.raises(ValueError):
        _ = operation.response
    assert operation.raw_response == response


@pytest.mark.parametrize(
    "value",
    [
        {"name": NAME},
        {"name": NAME, "done": None, "metadata": None, "error": None, "response": None},
        {"name": NAME, "done": True, "response": {"@type": EMPTY}},
        {"name": NAME, "done": True, "error": {"code": 5, "message": "gone"}, "metadata": {"a": [1, None, "ü"]}},
        {"name": NAME, "done": False, "response": {"a": 1}},
    ],
)
def test_a_dict_is_read_as_its_json_would_be(value: dict[str, Any]) -> None:
    operation = Operation.from_mapping(value)
    assert operation.name == NAME
    assert state(operation) == state(read(value))
    assert json.loads(operation.raw) == value


class Text(str):
    __slots__ = ()


class Word(Text, enum.Enum):
    NAME = "operations/abc"
    READY = "ready"


def test_half_a_surrogate_pair_in_a_dict_is_mended_as_in_json() -> None:
    value = {"name": NAME, "done": True, "response": types.MappingProxyType({"cut": "\ud83d", "whole": "\U0001f600"})}
    assert Operation.from_mapping(value).response == {"cut": "\ufffd", "whole": "\U0001f600"}
    failed = Operation.from_mapping({"name": NAME, "done": True, "error": {"code": 5, "message": "cut \ud83d"}})
    assert failed.error is not None
    assert failed.error.message == "cut \ufffd"


def test_texts_of_other_classes_are_texts() -> None:
    operation = Operation.from_mapping({"name": Word.NAME, "metadata": {"state": Word.READY, "of": Text("x")}})
    assert operation.metadata == {"state": "ready", "of": "x"}
    assert type(operation.name) is str
    assert operation.name == NAME


@pytest.mark.parametrize(
    "value, message",
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": NAME, "done": "true"}, "done"),
        ({"name": NAME, "done": 1}, "done"),
        ({"name": NAME, "error": "text"}, "error must be an object, not str"),
        ({"name": NAME, "response": [1]}, "response must be an object, not list"),
        ({"name": NAME, "metadata": 5}, "metadata must be an object, not int"),
        ({"name": NAME, "metadata": {"a": object()}}, "not an Operation"),
    ],
)
def test_a_dict_that_is_no_operation_is_refused_and_the_field_named(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operation.from_mapping(value)


def test_a_dict_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {"name": NAME}
    value["metadata"] = value
    with pytest.raises(ValueError, match="not an Operation"):
        Operation.from_mapping(value)


@pytest.mark.parametrize(
    "value",
    [types.MappingProxyType({"name": NAME}), {"name": NAME, "metadata": types.MappingProxyType({})}],
    ids=["outer", "inner"],
)
def test_any_mapping_is_read_as_a_dict_is(value: Mapping[str, Any]) -> None:
    assert Operation.from_mapping(value).name == NAME


@given(value=operations.filter(lambda value: not isinstance(value.get("done"), int | float | str | list | dict)))
@MANY
def test_every_dict_that_json_can_hold_is_read_or_a_value_error(value: dict[str, Any]) -> None:
    value["name"] = NAME
    try:
        operation = Operation.from_mapping(value)
    except ValueError:
        bodies = [value.get(field) for field in ("error", "response", "metadata")]
        assert any(body is not None and not isinstance(body, dict) for body in bodies)
        return
    assert state(operation) == state(read(value))


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "body, text",
    [
        ({"metadata": {"a": "SECRET"}}, f"<Operation {NAME} running>"),
        ({"done": True, "response": {"a": "SECRET"}}, f"<Operation {NAME} succeeded>"),
        ({"done": True, "error": {"code": 5, "message": "SECRET"}}, f"<Operation {NAME} failed NOT_FOUND>"),
        ({"done": True, "error": {"code": 99}}, f"<Operation {NAME} failed CODE_99>"),
    ],
)
def test_the_repr_shows_the_state_and_nothing_of_the_body(body: Any, text: str) -> None:
    assert repr(read(body)) == text


def test_an_operation_is_a_value() -> None:
    operation = read({"done": True, "response": {"a": base64.b64encode(b"x").decode()}})
    assert pickle.loads(pickle.dumps(operation)) == operation
    with pytest.raises(AttributeError):
        operation.done = False  # type: ignore[misc]
