"""Tokens to resume from: they come back as they went, and anything else is refused with a reason."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.resume import Token

SERVICE = "workspaceevents:v1beta"
ORIGIN = "https://workspaceevents.googleapis.com"
TOKEN = Token(version=1, service=SERVICE, origin=ORIGIN, name="operations/abc", sightings=7)
MANY = settings(max_examples=200, deadline=None, derandomize=True)


def written(**changes: Any) -> str:
    fields = {"lro_poller": 1, "service": SERVICE, "origin": ORIGIN, "name": "operations/abc", "sightings": 7}
    return json.dumps({key: value for key, value in (fields | changes).items() if value is not ...})


@pytest.mark.behaviour("B11", "B21")
def test_a_token_is_one_line_of_json_with_a_version_and_nothing_else() -> None:
    text = TOKEN.write()
    assert "\n" not in text
    assert json.loads(text) == {
        "lro_poller": 1,
        "service": SERVICE,
        "origin": ORIGIN,
        "name": "operations/abc",
        "sightings": 7,
        "age": 0.0,
    }


@pytest.mark.behaviour("B11")
@pytest.mark.parametrize("age", [0.0, 0.125, 86_400.5, 2.0**31 - 1])
def test_a_token_tells_for_how_long_its_operation_was_waited_for(age: float) -> None:
    token = Token(service=SERVICE, origin=ORIGIN, name="operations/abc", age=age, version=1)
    assert Token.read(token.write(), SERVICE, ORIGIN).age == age


@pytest.mark.behaviour("B11", "B21")
@given(name=st.text(st.characters(exclude_categories=["Cs"])), sightings=st.integers(0, 2**31 - 1))
@MANY
def test_what_was_written_is_read_back(name: str, sightings: int) -> None:
    token = Token(version=1, service=SERVICE, origin=ORIGIN, name=name, sightings=sightings)
    assert Token.read(token.write(), SERVICE, ORIGIN) == token


@pytest.mark.parametrize("text", [written(), written(sightings=...), written(age=5), f" {written()}\n"])
def test_a_token_written_elsewhere_is_read(text: str) -> None:
    token = Token.read(text, SERVICE, ORIGIN)
    assert (token.service, token.origin, token.name) == (SERVICE, ORIGIN, "operations/abc")
    assert token.sightings == json.loads(text).get("sightings", 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "operations/abc",
        "null",
        "[]",
        "{}",
        "\ud800",
        "[" * 100_000,
        written()[:-1],
        written(lro_poller=2),
        written(lro_poller="1"),
        written(name=...),
        written(name=5),
        written(name=None),
        written(service=...),
        written(origin=...),
        written(sightings=-1),
        written(sightings=2**31),
        written(sightings=2**70),
        written(sightings=1.5),
        written(sightings="7"),
        written(sightings=True),
        written(sightings=None),
        written(age=-0.001),
        written(age=2**31),
        written(age="5"),
        written(age=None),
        written().replace("7", '7, "age": NaN'),
        written().replace("7", '7, "age": 1e999'),
        written(added_later=1),
    ],
)
def test_what_is_no_token_of_this_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a token of this version of lro-poller"):
        Token.read(text, SERVICE, ORIGIN)


def test_a_name_in_place_of_a_token_is_told_where_it_belongs() -> None:
    with pytest.raises(ValueError, match=r"for submit\(\)$"):
        Token.read("operations/abc", SERVICE, ORIGIN)


def test_a_token_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^not a token of this version of lro-poller"):
        Token.read(written(lro_poller=...), SERVICE, ORIGIN)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "changes",
    [
        {"service": "workspaceevents:v1"},
        {"origin": "https://evil.example"},
        {"origin": ORIGIN + "/"},
        {"origin": "http://workspaceevents.googleapis.com"},
    ],
)
def test_a_token_of_another_service_or_origin_is_refused_and_both_are_named(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^the token is for ") as caught:
        Token.read(written(**changes), SERVICE, ORIGIN)
    for named in (SERVICE, ORIGIN, *changes.values()):
        assert named in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, b"{}", {}, TOKEN])
def test_what_is_no_text_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=f"a token is a text, not {type(value).__name__}"):
        Token.read(value, SERVICE, ORIGIN)


@given(text=st.text() | st.text(string.printable).map(lambda text: written(name=text)).map(lambda text: text[1:]))
@MANY
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Token.read(text, SERVICE, ORIGIN)
