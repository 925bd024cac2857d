"""Names of operations: which are refused before any request, and that no name moves the URL it is written into."""

from __future__ import annotations

import posixpath
import re
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.errors import InvalidOperationName
from lro_poller.names import MAX_NAME_LENGTH, NamePattern, encode

OPERATIONS = NamePattern("operations/**")
BASE = "https://user-facing.example.com:8443/v1beta/"
MANY = settings(max_examples=300, deadline=None, derandomize=True)

# What could do harm is likelier here than letters are.
nasty = st.sampled_from(
    [*"/.%?#\\:@;&= \t\n\r\0é漢😀~-_", "..", "//", "%2e", "%2F", "://", "\ud800", "\u2028", "a", "Z9"]
)
nasty_names = st.lists(nasty, max_size=12).map("".join)
segments = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/?#\\%") | st.sampled_from(" :@;&=."),
    min_size=1,
    max_size=12,
).filter(lambda segment: segment not in (".", ".."))
good_names = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/".join(["operations", *parts]))
good_names = good_names.filter(lambda name: name == name.strip())


def refusal(pattern: NamePattern, name: object) -> InvalidOperationName:
    with pytest.raises(InvalidOperationName) as caught:
        pattern.check(name)
    return caught.value


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "name",
    [
        "operations/abc",
        "operations/CiQ3_-~.x==",
        "operations/a/b/c",
        "operations/a.b",
        "operations/...",
        "operations/a:b@c;d=e&f,g+h!i'j(k)l*m$n",
        "operations/with space",
        "operations/grüße/漢字/😀",
        "operations/100%",
        "operations/100%zz",
        "operations/" + "a" * (MAX_NAME_LENGTH - len("operations/")),
    ],
)
def test_a_well_formed_name_is_returned_as_it_is(name: str) -> None:
    assert OPERATIONS.check(name) == name


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "name, reason",
    [
        ("", "it is empty"),
        ("operations", "does not match"),
        ("operations/", "empty segment"),
        ("operation/abc", "does not match"),
        ("Operations/abc", "does not match"),
        ("xoperations/abc", "does not match"),
        ("projects/p/operations/abc", "does not match"),
        ("abc", "does not match"),
        ("/operations/abc", "begins with '/'"),
        (" operations/abc", "begins or ends with a space"),
        ("operations/abc ", "begins or ends with a space"),
        ("//example.com/operations/abc", "begins with '/'"),
        ("operations//abc", "empty segment"),
        ("operations/abc/", "empty segment"),
        ("operations/..", "segment '..'"),
        ("operations/../secrets", "segment '..'"),
        ("operations/a/../../x", "segment '..'"),
        ("operations/.", "segment '.'"),
        ("operations/./abc", "segment '.'"),
        ("../operations/abc", "segment '..'"),
        ("operations/abc?alt=media", "contains '?'"),
        ("operations/abc#top", "contains '#'"),
        ("operations/a\\b", "contains"),
        ("operations/..\\x", "contains"),
        ("operations/%2e%2e/x", "percent-encoded"),
        ("operations/%2E", "percent-encoded"),
        ("operations/a%2fb", "percent-encoded"),
        ("operations/a%00", "percent-encoded"),
        ("operations/a%0d%0aX: y", "percent-encoded"),
        ("operations/abc\n", "cannot be printed"),
        ("operations/abc\r\nX-Evil: 1", "cannot be printed"),
        ("operations/a\tb", "cannot be printed"),
        ("operations/a\0b", "cannot be printed"),
        ("operations/a\x7fb", "cannot be printed"),
        ("operations/a\x85b", "cannot be printed"),
        ("operations/a\u2028b", "cannot be printed"),
        ("operations/a\u00a0b", "cannot be printed"),
        ("operations/a\u200bb", "cannot be printed"),
        ("operations/a\u202eb", "cannot be printed"),
        ("operations/a\ud800b", "cannot be printed"),
        ("https://evil.example/operations/abc", "it is a URL"),
        ("http:operations/abc", "does not match"),
        ("operations/https://evil.example", "it is a URL"),
        ("operations/" + "a" * (MAX_NAME_LENGTH - len("operations/") + 1), "at most 2048"),
        ("operations/" + "a" * 10_240, "at most 2048"),
        (None, "not NoneType"),
        (5, "not int"),
        (b"operations/abc", "not bytes"),
        (["operations/abc"], "not list"),
    ],
)
def test_a_name_that_is_unfit_for_a_path_is_refused_with_the_reason(name: object, reason: str) -> None:
    error = refusal(OPERATIONS, name)
    assert reason in error.reason
    assert error.name is (name if isinstance(name, str) else None)  # what is no text may hold anything
    assert "a name looks like operations/abc" in str(error)


@pytest.mark.behaviour("B25")
def test_a_refusal_of_a_monstrous_name_is_short() -> None:
    assert len(str(refusal(OPERATIONS, "operations/" + "a" * 10_240))) < 300


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("character", "?#\\\t\n\r\0\x0b\x0c\x1b\x7f\u2029\ufeff\udfff")
@pytest.mark.parametrize("place", ["{}operations/abc", "operations/{}", "operations/a{}b", "operations/abc{}"])
def test_a_forbidden_character_is_refused_wherever_it_stands(place: str, character: str) -> None:
    refusal(OPERATIONS, place.format(character))


@pytest.mark.parametrize(
    "template, name, fits",
    [
        ("operations/*", "operations/a", True),
        ("operations/*", "operations/a/b", False),
        ("operations/**", "operations/a/b", True),
        ("projects/*/operations/*", "projects/p/operations/a", True),
        ("projects/*/operations/*", "projects/operations/a", False),
        ("projects/*/operations/*", "projects/p/q/operations/a", False),
        ("projects/*/locations/*/operations/**", "projects/p/locations/l/operations/a/b", True),
        ("projects/*/locations/*/operations/**", "projects/p/locations/l/operations", False),
        ("a.b/*", "axb/c", False),
        ("a.b/*", "a.b/c", True),
        ("**", "anything/at/all", True),
        ("*", "one", True),
        ("*", "one/two", False),
    ],
)
def test_a_template_says_which_names_there_are(template: str, name: str, fits: bool) -> None:
    pattern = NamePattern(template)
    if fits:
        assert pattern.check(name) == name
    else:
        assert template in refusal(pattern, name).reason


@pytest.mark.parametrize(
    "template", ["", "/", "/operations", "operations/", "operations//*", "**/a", "a/**/b", "a/{b}/*", "operations"]
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="not a path template"):
        NamePattern(template)


def test_patterns_are_equal_by_their_template() -> None:
    assert NamePattern("operations/**") == OPERATIONS
    assert NamePattern("operations/*") != OPERATIONS
    assert repr(OPERATIONS) == "NamePattern(template='operations/**')"


@pytest.mark.parametrize(
    "name, encoded",
    [
        ("operations/a-b_c.d~e0Z", "operations/a-b_c.d~e0Z"),
        ("operations/a/b", "operations/a/b"),
        ("operations/a==", "operations/a%3D%3D"),
        ("operations/a b", "operations/a%20b"),
        ("operations/100%", "operations/100%25"),
        ("operations/a:b@c;d&e+f", "operations/a%3Ab%40c%3Bd%26e%2Bf"),
        ("operations/ü", "operations/%C3%BC"),
        ("operations/😀", "operations/%F0%9F%98%80"),
        ("operations/!*'()", "operations/%21%2A%27%28%29"),
    ],
)
def test_a_name_is_percent_encoded_as_http_proto_says(name: str, encoded: str) -> None:
    assert encode(name) == encoded


def assert_it_stays_in_its_place(name: str) -> None:
    """What google/api/http.proto and RFC 3986 ask of a name that was accepted."""
    encoded = encode(name)
    assert re.fullmatch(r"(?:[-_.~/0-9A-Za-z]|%[0-9A-F]{2})+", encoded)
    assert urllib.parse.unquote(encoded, errors="strict") == name
    assert [urllib.parse.unquote(segment) for segment in encoded.split("/")] == name.split("/")
    url = urllib.parse.urljoin(BASE, encoded)
    assert url == BASE + encoded
    parts = urllib.parse.urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
        "https",
        "user-facing.example.com:8443",
        "",
        "",
    )
    assert parts.path.startswith("/v1beta/operations/")
    assert posixpath.normpath(parts.path) == parts.path
    assert posixpath.normpath(urllib.parse.unquote(parts.path)) == "/v1beta/" + name


@pytest.mark.behaviour("B25")
@given(name=good_names)
@MANY
def test_every_harmless_name_is_accepted_and_keeps_to_its_place_in_the_url(name: str) -> None:
    assert OPERATIONS.check(name) == name
    assert_it_stays_in_its_place(name)


@pytest.mark.behaviour("B25")
@given(name=nasty_names.map("operations/".__add__) | nasty_names | st.text(max_size=30))
@MANY
def test_a_nasty_name_is_refused_or_keeps_to_its_place_in_the_url(name: str) -> None:
    try:
        OPERATIONS.check(name)
    except InvalidOperationName:
        return
    assert_it_stays_in_its_place(name)
    assert name.startswith("operations/")
    assert len(name) <= MAX_NAME_LENGTH
