"""JSON that most parsers refuse: as much of it as can be read is read."""

from __future__ import annotations

from typing import Any

import pytest

from lro_poller.mending import json_values

from .nesting import TOO_DEEP


@pytest.mark.behaviour("B4", "B17")
@pytest.mark.parametrize(
    "body, value",
    [
        (b'{"a": [1, "\xc3\xbc", null]}', {"a": [1, "\u00fc", None]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'{"a": "cut \ud83d", "b": "\ud83d\ude00"}', {"a": "cut \ufffd", "b": "\U0001f600"}),
        (rb'{"a": "\ud83c\udf0d \uD83C\uDFFF \udfff"}', {"a": "\U0001f30d \U0001f3ff \ufffd"}),
        (b'{"a": "\xff", "b": 1}', {"a": "\ufffd", "b": 1}),
        (b'{"a": 1e999, "b": [1, 1e999, {"c": 2}]}', {"a": "1e999", "b": [1, "1e999", {"c": 2}]}),
        (b"[%b, 1]" % (b"9" * 5_000), ["9" * 5_000, 1]),
    ],
)
def test_what_can_be_read_is_read_and_the_rest_is_a_text(body: bytes, value: Any) -> None:
    assert json_values(body) == value


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"a": }', b'{"a": 1} x', b"\xff\xfe{\x00}\x00", b"1e999"])
def test_what_is_no_json_is_none(body: bytes) -> None:
    with pytest.raises(ValueError):
        json_values(body)


@pytest.mark.behaviour("B27")
def test_what_is_nested_further_than_any_error_is_told_as_it_came() -> None:
    value = json_values(b'{"a": ' * 9 + b"1e999" + b"}" * 9)
    for _ in range(7):
        value = value["a"]
    assert value == '{"a": {"a": 1e999}}'


@pytest.mark.behaviour("B27")
def test_what_is_nested_too_deeply_is_none() -> None:
    with pytest.raises((ValueError, RecursionError)):
        json_values(b"[" * TOO_DEEP + b"]" * TOO_DEEP)
