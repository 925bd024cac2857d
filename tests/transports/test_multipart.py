"""multipart/mixed: where parts begin and end, what is believed of them, and that it takes linear time."""

from __future__ import annotations

import email
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lro_poller.transports.multipart import (
    MAX_HEAD,
    MAX_PARTS,
    Fields,
    Message,
    by_content_id,
    find_boundary,
    read_part,
    split,
    write,
)

MESSAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}"


@pytest.mark.parametrize(
    "content_type, boundary",
    [
        ("multipart/mixed; boundary=b", b"b"),
        ("Multipart/Mixed;BOUNDARY=b", b"b"),
        ('multipart/mixed; boundary="a b:c"', b"a b:c"),
        (r'multipart/mixed; boundary="a\"b\\c"', b'a"b\\c'),
        ('multipart/mixed; a="; boundary=x"; boundary=b', b"b"),
        ("multipart/mixed; charset=utf-8; boundary=b; x=y", b"b"),
        ("multipart/mixed; boundary=" + "b" * 70, b"b" * 70),
        ("multipart/mixed; boundary=" + "b" * 71, None),
        ("multipart/mixed", None),
        ("multipart/mixed; boundary=", None),
        ('multipart/mixed; boundary=""', None),
        ('multipart/mixed; boundary="a', None),
        ('multipart/mixed; boundary="a\nb"', None),
        ("multipart/mixed; boundary=ä", None),
        ("multipart/mixed; ; boundary=b", None),
        ("multipart/related; boundary=b", None),
        ("text/html; boundary=b", None),
        ("", None),
    ],
)
def test_the_boundary_of_a_content_type(content_type: str, boundary: bytes | None) -> None:
    assert find_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "body, parts",
    [
        (b"--b\r\none\r\n--b\r\ntwo\r\n--b--\r\n", [b"one", b"two"]),
        (b"--b\none\n--b\ntwo\n--b--", [b"one", b"two"]),
        (b"preamble\r\n--b\r\none\r\n--b--\r\nepilogue\r\n--b\r\nlate\r\n--b--", [b"one"]),
        (b"--b \t\r\none\r\n--b-- \r\n", [b"one"]),
        (b"--b\r\n\r\n\r\none\r\n\r\n--b--", [b"\r\n\r\none\r\n"]),
        (b"--b\r\n--bc\r\n--b x\r\nin --b\r\n--b--", [b"--bc\r\n--b x\r\nin --b"]),
        (b"--b\r\n--inner\r\nx\r\n--inner--\r\n--b--", [b"--inner\r\nx\r\n--inner--"]),
        (b"--b\r\n--b\r\n--b--", [b"", b""]),
        (b"--b\r\none\r\n--b\r\nno end", [b"one"]),
        (b"--b\r\none\r\n--b", [b"one"]),
        (b"--b\r\none\r\n--", []),
        (b"--b--", []),
        (b"--other\r\none\r\n--other--", []),
        (b"", []),
    ],
)
def test_where_parts_begin_and_end(body: bytes, parts: list[bytes]) -> None:
    assert split(body, b"b") == parts


def test_parts_are_numbered() -> None:
    body = write(b"b", [(str(number), b"") for number in range(MAX_PARTS)])
    assert len(split(body, b"b")) == MAX_PARTS
    with pytest.raises(ValueError, match="more than 1000 parts"):
        split(body.replace(b"--b--", b"--b\r\n\r\n--b--"), b"b")


@pytest.mark.parametrize(
    "content, start, body",
    [
        (MESSAGE, b"HTTP/1.1 200 OK", b"{}"),
        (MESSAGE.replace(b"\r\n", b"\n"), b"HTTP/1.1 200 OK", b"{}"),
        (b"GET / HTTP/1.1\nA: b\n\n{\r\n\r\n}", b"GET / HTTP/1.1", b"{\r\n\r\n}"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK", b"{}"),
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}\r\n\r\n", b"HTTP/1.1 200 OK", b"{}"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n{}", b"HTTP/1.1 200 OK", b"{}"),
    ],
)
def test_the_message_that_a_part_holds(content: bytes, start: bytes, body: bytes) -> None:
    message = Message.read(content)
    assert (message.start.strip(), message.body) == (start, body)


@pytest.mark.parametrize(
    "content, why",
    [
        (b"", "no empty line"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", "no empty line"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD + b"\r\n\r\n", "more than 16384 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "shorter"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", "longer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "shorter"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}", "shorter"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n{}", "shorter"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{}", "packed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", "chunks"),
    ],
)
def test_a_message_that_is_none(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Message.read(content)


def test_header_fields() -> None:
    fields = Fields(b"Date: today \r\nX-Folded: a\r\n\tb\r\n c: d\r\nno field\r\ndate: tomorrow\r\nEmpty:\r")
    assert fields["date"] == fields["DATE"] == "today"
    assert fields["X-Folded"] == "a\tb c: d"
    assert fields.get("c") is None
    assert fields.get("c", "x") == "x"
    assert fields["empty"] == ""
    assert next(iter(fields)) == "Date"
    assert len(fields) == len(list(fields))
    with pytest.raises(KeyError):
        fields["no field"]


def test_a_part_has_a_content_id() -> None:
    assert read_part(b"content-id:<a>\r\nA: b\r\n\r\nwhat it holds") == ("<a>", b"what it holds")
    for part in (b"A: b\r\n\r\n", b"Content-ID: <a>\r\n", b"Content-ID:\r\n\r\n", b"\r\nContent-ID: <a>\r\n\r\n"):
        with pytest.raises(ValueError):
            read_part(part)


def test_parts_by_content_id() -> None:
    parts = [b"Content-ID: <a>\r\n\r\n1", b"nothing", b"Content-ID: <b>\r\n\r\n2", b"Content-ID: <a>\r\n\r\n1"]
    assert by_content_id(parts) == {"<a>": None, "<b>": b"2"}


NAMES = st.from_regex(r"<[a-z0-9+-]{1,20}>", fullmatch=True)
BODIES = st.binary(max_size=60).filter(lambda body: b"--b" not in body)


@given(st.dictionaries(NAMES, BODIES))
def test_what_is_written_is_read(bodies: dict[str, bytes]) -> None:
    written = write(b"b", [(name, MESSAGE[:-2] + body) for name, body in bodies.items()])
    contents = by_content_id(split(written, b"b"))
    assert {name: Message.read(content or b"").body for name, content in contents.items()} == bodies


@given(st.dictionaries(NAMES, st.text("abc{}: \n", max_size=60).map(str.encode), min_size=1))
def test_the_standard_library_reads_what_is_written(bodies: dict[str, bytes]) -> None:
    written = write(b"b", [(name, MESSAGE[:-2] + body) for name, body in bodies.items()])
    peer: Any = email.message_from_bytes(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + written)
    theirs = {part["Content-ID"]: part.get_payload(decode=True) for part in peer.get_payload()}
    assert theirs == by_content_id(split(written, b"b"))


@given(st.integers(min_value=0))
def test_a_body_that_is_cut_short_has_the_first_of_its_parts(length: int) -> None:
    whole = write(b"b", [(f"<{number}>", MESSAGE) for number in range(5)])
    parts = split(whole, b"b")
    assert split(whole[: length % len(whole)], b"b") == parts[: len(split(whole[: length % len(whole)], b"b"))]


PIECES = st.sampled_from(
    [
        b"--b",
        b"--b--",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"--",
        b" ",
        b"Content-ID: <a>",
        b"Content-Length: 1",
        MESSAGE,
        b"\0",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=40).map(b"".join))
def test_nothing_but_a_value_error_comes_of_anything(body: bytes) -> None:
    for content in by_content_id(split(body, b"b")).values():
        try:
            message = Message.read(content or b"")
        except ValueError:
            continue
        assert message.body in body
        assert all(message.fields.get(name) is not None for name in message.fields)


@given(st.text(max_size=40) | st.text(';="\\ boundary', max_size=60))
def test_any_content_type_has_a_boundary_or_none(text: str) -> None:
    boundary = find_boundary("multipart/mixed;" + text)
    assert boundary is None or 0 < len(boundary) <= 70


SIZE = 8 << 20


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize(
    "body",
    [
        b"--b" * (SIZE // 3),
        b"\n--b" * (SIZE // 4),
        b"\n--bx" * (SIZE // 5),
        b"\n--b" + b" " * SIZE,
        b"--b\n" + b"\r\n" * (SIZE // 2),
        b"--b\n" + b"A: b\r\n" * (SIZE // 6) + b"\n--b--",
        b"--b\nContent-ID: <a>\r\n\r\n" + b"\n " * (SIZE // 2) + b"\r\n\r\n\n--b--",
        b"--b\nContent-ID: <a>\r\n" + b" \r\n" * (MAX_HEAD // 4) + b"\r\n" + b"-" * SIZE + b"\n--b--",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_time_is_linear(body: bytes) -> None:
    before = time.thread_time()
    try:
        contents = by_content_id(split(body, b"b"))
    except ValueError:
        contents = {}
    for content in contents.values():
        with pytest.raises(ValueError):
            Message.read(content or b"")
    assert time.thread_time() - before < 2  # what is quadratic takes an hour
