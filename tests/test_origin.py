"""Where a bearer token may go: HTTPS anywhere, plain HTTP to this machine alone unless the caller insists."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.origin import check_origin

MANY = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "endpoint, origin",
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://EXAMPLE.com:8443/", "https://example.com:8443"),
        ("HTTPS://example.com", "https://example.com"),
        ("https://192.0.2.1:1", "https://192.0.2.1:1"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://a-b_c.example", "https://a-b_c.example"),
        ("http://127.0.0.1:8901", "http://127.0.0.1:8901"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://localhost", "http://localhost"),
        ("http://LocalHost:5/", "http://localhost:5"),
    ],
)
def test_an_endpoint_names_an_origin(endpoint: str, origin: str) -> None:
    assert check_origin(endpoint) == origin


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "endpoint",
    [
        "http://example.com",
        "http://192.168.1.2:8080",
        "http://10.0.0.1",
        "http://0.0.0.0:8080",
        "http://[::]:8080",
        "http://[2001:db8::1]",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://mylocalhost",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
    ],
)
def test_plain_http_to_another_machine_needs_an_explicit_choice(endpoint: str) -> None:
    with pytest.raises(ValueError, match="plain HTTP to another machine") as caught:
        check_origin(endpoint)
    assert repr(endpoint) in str(caught.value)
    assert check_origin(endpoint, allow_http=True) == endpoint


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("allow_http", [False, True])
@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "example.com",
        "example.com:443",
        "localhost:8901",
        "//example.com",
        "ftp://example.com",
        "ws://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://:443",
        "https:example.com",
        "https://example.com/v1",
        "https://example.com//",
        "https://example.com/?a=b",
        "https://example.com?a=b",
        "https://example.com#a",
        "https://user@example.com",
        "https://user:password@example.com",
        "https://@example.com",
        "https://example.com@evil.example",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1#@evil.example",
        "http://127.0.0.1\\@evil.example",
        "https://evil.example\\.example.com",
        "https://exa mple.com",
        "https://example.com%2eevil.example",
        "https://[fe80::1%25eth0]",
        "https://example.com:port",
        "https://example.com:-1",
        "https://example.com:65536",
        "https://example.com:1:2",
        "https://[::1",
        "https://::1",
        "https://[v127.0.0.1]",
        "https://[v127.0.0.1.[v1.a]-",
        "https://[::1]evil.example",
        "https://evil.example[::1]",
        "https://[::1]]",
        "https://exam\x00ple.com",
        "https://exam\x7fple.com",
        "https://example.com\u2028",
        "https://exa<mple>.com",
        "https://example.com\u2100.evil.example",
    ],
)
def test_what_is_no_origin_is_refused_and_named(endpoint: str, allow_http: bool) -> None:
    with pytest.raises(ValueError, match=r"^endpoint ") as caught:
        check_origin(endpoint, allow_http=allow_http)
    assert "@" in endpoint or repr(endpoint) in str(caught.value)


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "endpoint", ["https://alice:secret@example.com", "http://a:sec@ret@127.0.0.1/v1", "x://secret@"]
)
def test_a_password_in_an_endpoint_is_not_told(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"^endpoint .*//…@") as caught:
        check_origin(endpoint)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize("endpoint", [None, 5, b"https://example.com", urllib.parse.urlsplit("https://example.com")])
def test_what_is_no_text_is_a_type_error(endpoint: object) -> None:
    with pytest.raises(TypeError, match="endpoint must be a str"):
        check_origin(endpoint)  # type: ignore[arg-type]


@pytest.mark.behaviour("B25")
@given(
    endpoint=st.lists(
        st.sampled_from(
            [
                *"/:@[]\\?#%.\n\t é℀\ud800a",
                "http",
                "https",
                "://",
                "//",
                "::1",
                "127.0.0.1",
                "localhost",
                "evil.example",
            ]
        ),
        max_size=8,
    ).map("".join)
    | st.text(max_size=20).map("http://".__add__)
)
@MANY
def test_any_text_is_refused_or_an_origin_that_nothing_follows(endpoint: str) -> None:
    try:
        origin = check_origin(endpoint)
    except ValueError:
        return
    parts = urllib.parse.urlsplit(origin)
    assert parts.scheme in ("http", "https")
    assert (
        parts.scheme == "https" or parts.hostname in ("localhost", "::1") or (parts.hostname or "").startswith("127.")
    )
    assert parts.hostname
    assert (parts.path, parts.query, parts.fragment, parts.username, parts.password) == ("", "", "", None, None)
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "scheme, endpoint",
    [
        ("https", "example.com"),
        ("https", "api.example.com:8443"),
        ("http", "localhost:8901"),
        ("http", "localhost"),
        ("http", "127.0.0.1:8901"),
    ],
)
def test_a_bare_host_is_told_what_may_have_been_meant(scheme: str, endpoint: str) -> None:
    with pytest.raises(ValueError, match=rf"; did you mean '{scheme}://{re.escape(endpoint)}'\?$"):
        check_origin(endpoint)


@pytest.mark.parametrize("endpoint", ["", "ftp://example.com", "nonsense", "user:password@example.com"])
def test_what_is_no_bare_host_is_told_nothing_more(endpoint: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_origin(endpoint)
    assert "did you mean" not in str(caught.value)
