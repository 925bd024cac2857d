"""The frames of one connection, in memory: each rule, each break of a rule, and any bytes at all."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable

import h2.config
import h2.connection
import h2.events
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from lro_poller.transports.http2_fields import Head, encode_fields
from lro_poller.transports.http2_session import Exchange, Failure, Session
from lro_poller.wire import MAX_BODY, Fault

ORIGIN = "https://example.com"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITIZED = 1, 4, 8, 32
OK = b"\x88"  # :status 200 of the static table
REQUEST = encode_fields([(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")])


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def opened(streams: int = 1) -> Session:
    """A session whose server has said its settings, and that has asked."""
    session = Session(ORIGIN)
    assert session.receive(frame(SETTINGS)) == []
    for _ in range(streams):
        session.open(REQUEST)
    session.unsent.clear()
    return session


def literal(*fields: tuple[str, str]) -> bytes:
    return encode_fields(list(fields))


def reply(status: int, *fields: tuple[str, str], body: bytes = b"") -> Exchange:
    return Exchange(Head(status, CIMultiDictProxy(CIMultiDict(fields))), bytearray(body))


def only(ended: Iterable[tuple[int, Exchange | Failure]]) -> Exchange | Failure:
    ((stream, outcome),) = ended
    assert stream == 1
    return outcome


def test_what_is_sent_is_what_another_implementation_reads() -> None:
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    session = Session(ORIGIN)
    first, second = session.open(REQUEST), session.open(REQUEST + literal(("x-long", "v" * 5000)))
    session.cancel(first)
    session.leave()
    events = server.receive_data(bytes(session.unsent))
    requests = [event for event in events if isinstance(event, h2.events.RequestReceived)]
    assert [event.stream_id for event in requests] == [first, second] == [1, 3]
    assert {str(name): str(value) for name, value in requests[1].headers or ()} == {
        ":method": "GET",
        ":scheme": "https",
        ":authority": "a.example",
        ":path": "/",
        "x-long": "v" * 5000,
    }
    assert any(isinstance(event, h2.events.StreamReset) and event.stream_id == first for event in events)
    assert any(isinstance(event, h2.events.ConnectionTerminated) for event in events)
    assert server.remote_settings.enable_push == 0
    assert server.remote_settings.header_table_size == 0


def test_a_server_may_allow_no_header_table() -> None:
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    session = opened(streams=0)
    for path in ("/a", "/b"):
        session.open(literal((":path", path)))
        assert list(decoder.decode(bytes(session.unsent[9:]), raw=True)) == [(b":path", path.encode())]
        session.unsent.clear()


@pytest.mark.behaviour("B26")
def test_the_codec_logs_nothing_that_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Session(ORIGIN).open(REQUEST + literal(("authorization", "Bearer secret")))
    assert "secret" not in caplog.text


def test_a_reply_is_whole_when_its_stream_ends() -> None:
    session = opened()
    assert session.receive(frame(HEADERS, END_HEADERS, 1, OK + literal(("x-a", "b")))) == []
    assert session.receive(frame(DATA, 0, 1, b"{")) == []
    outcome = only(session.receive(frame(DATA, END_STREAM, 1, b"}")))
    assert outcome == reply(200, ("x-a", "b"), body=b"{}")


@pytest.mark.parametrize(
    "frames",
    [
        [frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, END_STREAM, 1, b"{}")],
        [frame(HEADERS, END_HEADERS | PADDED, 1, b"\x03" + OK + bytes(3)), frame(DATA, END_STREAM, 1, b"{}")],
        [frame(HEADERS, END_HEADERS | PRIORITIZED, 1, bytes(5) + OK), frame(DATA, 9, 1, b"\x02{}\x00\x00")],
        [frame(HEADERS, 0, 1), frame(CONTINUATION, 0, 1, OK), frame(CONTINUATION, 4, 1), frame(DATA, 1, 1, b"{}")],
        [
            frame(HEADERS, END_HEADERS, 1, literal((":status", "103"))),
            frame(HEADERS, END_HEADERS, 1, OK),
            frame(DATA, 0, 1, b"{}"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(("trailer", "t"))),
        ],
        [
            *(frame(PING, 0, 0, bytes(8)), frame(WINDOW, 0, 0, bytes(4)), frame(PRIORITY, 0, 1, bytes(5))),
            *(frame(0xFA, 255, 9, b"unknown"), frame(SETTINGS, 1), frame(GOAWAY, 0, 0, struct.pack(">II", 1, 0))),
            *(frame(HEADERS, END_HEADERS, 1, OK), frame(DATA, 0, 1), frame(DATA, END_STREAM, 1, b"{}")),
        ],
    ],
    ids=["plain", "padded", "prioritized", "continued", "informed", "among others"],
)
def test_every_legal_form_of_a_reply_is_read_however_it_is_cut(frames: list[bytes]) -> None:
    data = b"".join(frames)
    for size in (1, 7, len(data)):
        session = opened()
        ended = [end for at in range(0, len(data), size) for end in session.receive(data[at : at + size])]
        outcome = only(ended)
        assert isinstance(outcome, Exchange)
        assert (outcome.head.status, bytes(outcome.body)) == (200, b"{}")


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize(
    "frames, fault, why",
    [
        ([frame(RST, 0, 1, struct.pack(">I", 2))], Fault.UNREACHABLE, "code 2"),
        ([frame(HEADERS, 5, 1, literal(("x-a", "b")))], Fault.BROKEN, "without a status"),
        ([frame(HEADERS, 4, 1, literal(("x-a", "b")))], Fault.BROKEN, "without a status"),
        ([frame(HEADERS, 5, 1, literal((":status", "+20")))], Fault.BROKEN, "without a status"),
        ([frame(HEADERS, 5, 1, literal((":status", "100")))], Fault.BROKEN, "without a status"),
        ([frame(DATA, 1, 1, b"{}")], Fault.BROKEN, "without a status"),
        ([frame(DATA, 0, 1, b"{}")], Fault.BROKEN, "without a status"),
        (
            [frame(HEADERS, 4, 1, OK + literal(("content-length", "3"))), frame(DATA, 1, 1, b"{}")],
            Fault.BROKEN,
            "another length",
        ),
        (
            [
                frame(HEADERS, 4, 1, OK),
                *[frame(DATA, 0, 1, bytes(1 << 14))] * (MAX_BODY >> 14),
                frame(DATA, 0, 1, b"x"),
            ],
            Fault.TOO_LARGE,
            "more than",
        ),
    ],
)
def test_a_fault_of_one_exchange_is_its_own(frames: list[bytes], fault: Fault, why: str) -> None:
    session = opened(streams=2)
    outcome = only(session.receive(b"".join(frames)))
    assert isinstance(outcome, Failure)
    assert outcome.fault is fault
    assert why in outcome.why
    assert not session.closing
    over = frames[-1][3] == RST or frames[-1][4] & END_STREAM  # the server has ended the stream itself
    assert session.unsent == (b"" if over else frame(RST, 0, 1, struct.pack(">I", 8)))
    ((stream, other),) = session.receive(frame(HEADERS, END_HEADERS | END_STREAM, 3, OK))
    assert (stream, other) == (3, reply(200))


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize(
    "data",
    [
        frame(DATA, 0, 1, bytes((1 << 14) + 1))[:9],
        frame(SETTINGS, 0, 0, bytes(5)),
        frame(PING, 0, 0, bytes(7)),
        frame(GOAWAY, 0, 0, bytes(7)),
        frame(RST, 0, 1, bytes(3)),
        frame(RST, 0, 5, bytes(4)),
        frame(PUSH, END_HEADERS, 1, bytes(4) + OK),
        frame(HEADERS, END_HEADERS, 2, OK),
        frame(HEADERS, END_HEADERS, 0, OK),
        frame(HEADERS, END_HEADERS, 5, OK),
        frame(HEADERS, END_HEADERS | PRIORITIZED, 1, OK),
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\x09" + OK),
        frame(HEADERS, END_HEADERS | PADDED, 1),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(HEADERS, END_HEADERS, 1, OK + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 12_000),
        frame(HEADERS, 0, 1, OK) + frame(DATA, 0, 1, b"x"),
        frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, END_HEADERS, 3),
        frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1, bytes(1 << 14)) * 3,
        frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1),
        frame(CONTINUATION, END_HEADERS, 1, OK),
        frame(DATA, 0, 5, b"x"),
        frame(DATA, PADDED, 1, b"\x05abc"),
        frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, PADDED, 1, b"\x04abc"),
    ],
)
def test_a_fault_of_the_framing_ends_the_connection(data: bytes) -> None:
    session = opened(streams=2)
    ended = session.receive(data)
    assert [stream for stream, _ in ended] == [1, 3]
    assert session.broken is not None
    assert all(outcome is session.broken for _, outcome in ended)
    assert session.broken.fault is Fault.BROKEN
    assert session.closing
    assert session.unsent.endswith(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 1)))  # PROTOCOL_ERROR
    said = bytes(session.unsent)
    session.leave()
    session.cancel(1)
    assert session.unsent == said
    assert session.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)) == []


def test_a_server_that_does_not_begin_with_settings_speaks_no_http2() -> None:
    session = Session(ORIGIN)
    session.receive(frame(PING, 0, 0, bytes(8)))
    assert session.broken == Failure(Fault.BROKEN, f"{ORIGIN} does not speak HTTP/2")


def test_an_acknowledgement_is_not_acknowledged() -> None:
    session = opened()
    session.receive(frame(PING, 1, 0, bytes(8)) + frame(SETTINGS, 1))
    assert session.unsent == b""


def test_after_a_fault_nothing_is_taken_in_or_answered() -> None:
    session = opened()
    session.receive(frame(PING, 0, 0, bytes(7)))
    assert session.broken is not None
    session.unsent.clear()
    assert session.receive(frame(PING, 0, 0, bytes(8)) + frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)) == []
    assert session.unsent == b""


@pytest.mark.parametrize("code, unprocessed", [(7, True), (8, False), (2, False), (0, False)])
def test_only_a_stream_that_was_refused_is_known_to_have_come_to_nothing(code: int, *, unprocessed: bool) -> None:
    outcome = only(opened().receive(frame(RST, 0, 1, struct.pack(">I", code))))
    assert isinstance(outcome, Failure)
    assert outcome.unprocessed is unprocessed


def test_the_window_of_a_stream_is_opened_for_its_padding_once() -> None:
    session = opened()
    session.receive(frame(HEADERS, END_HEADERS, 1, OK))
    padded = frame(DATA, PADDED, 1, b"\xff" + bytes(255))  # nothing else is in it
    for _ in range(64):
        session.receive(padded)
    assert session.unsent == frame(WINDOW, 0, 1, struct.pack(">I", 32 * 256)) * 2


def test_a_reply_that_has_no_body_may_say_how_long_it_were() -> None:
    fields = literal(("content-length", "5"))
    assert only(opened().receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x8b" + fields))) == reply(
        304, ("content-length", "5")
    )


def test_the_window_of_the_connection_is_opened_for_padding_too() -> None:
    session = opened()
    session.cancel(1)
    session.unsent.clear()
    padded = frame(DATA, PADDED, 1, b"\xff" + bytes((1 << 14) - 1))
    for _ in range((1 << 25) // (1 << 14)):
        assert session.unsent == b""
        session.receive(padded)
    assert session.unsent == frame(WINDOW, 0, 0, struct.pack(">I", 1 << 25))


def test_settings_and_pings_are_acknowledged_and_the_limit_is_kept() -> None:
    session = Session(ORIGIN)
    session.unsent.clear()
    session.receive(frame(SETTINGS, 0, 0, struct.pack(">HIHI", 3, 7, 0xFFFF, 1)) + frame(PING, 0, 0, b"12345678"))
    assert (session.settled, session.limit) == (True, 7)
    assert session.unsent == frame(SETTINGS, 1) + frame(PING, 1, 0, b"12345678")


def test_a_goaway_ends_only_what_was_not_taken() -> None:
    session = opened(streams=3)
    ended = session.receive(frame(GOAWAY, 0, 0, struct.pack(">II", 3, 0)))
    assert [stream for stream, _ in ended] == [5]
    assert all(isinstance(outcome, Failure) and outcome.unprocessed for _, outcome in ended)
    assert session.closing
    assert session.broken is None
    assert len(session.receive(frame(HEADERS, 5, 1, OK) + frame(HEADERS, 5, 3, OK))) == 2


def test_what_comes_for_a_cancelled_stream_is_counted_and_dropped() -> None:
    session = opened()
    session.cancel(1)
    assert session.unsent == frame(RST, 0, 1, struct.pack(">I", 8))
    session.unsent.clear()
    table = b"\x40\x01a\x01b"  # a field for the table: the decoder must not miss it
    assert session.receive(frame(HEADERS, END_HEADERS, 1, OK + table)) == []
    for _ in range(1 << 11):
        assert session.receive(frame(DATA, 0, 1, bytes(1 << 14))) == []
    assert session.unsent == frame(WINDOW, 0, 0, struct.pack(">I", 1 << 25))
    session.open(REQUEST)
    ((_, outcome),) = session.receive(frame(HEADERS, 5, 3, OK + b"\xbe"))
    assert outcome == reply(200, ("a", "b"))


def test_stream_numbers_run_out_in_good_time() -> None:
    session = opened()
    session._next = (1 << 31) - 1
    assert session.open(REQUEST) == (1 << 31) - 1
    assert session.closing


@given(st.data())
@settings(max_examples=300)
@pytest.mark.behaviour("B27")
def test_no_bytes_make_it_raise(data: st.DataObject) -> None:
    session = opened(streams=3)
    kinds = st.builds(
        frame, st.integers(0, 10), st.integers(0, 255), st.integers(0, 7), st.binary(max_size=60) | st.just(OK)
    )
    ended = []
    for piece in data.draw(st.lists(kinds | st.binary(max_size=40), max_size=12)):
        ended += session.receive(piece)
    streams = [stream for stream, _ in ended]
    assert len(streams) == len(set(streams))
    assert set(streams) <= {1, 3, 5}
    assert session.broken is None or set(streams) == {1, 3, 5}


def test_header_fields_that_fill_more_than_a_frame_go_on_in_others() -> None:
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    session = Session(ORIGIN)
    session.open(REQUEST + literal(("x-long", "v" * 40_000)))
    (request,) = [
        event for event in server.receive_data(bytes(session.unsent)) if isinstance(event, h2.events.RequestReceived)
    ]
    assert ("x-long", "v" * 40_000) in [(str(name), str(value)) for name, value in request.headers or ()]


MALFORMED = {
    "two statuses": OK + OK,
    "two statuses that differ": literal((":status", "503"), (":status", "200")),
    "a status after a field": literal(("a", "b"), (":status", "200")),
    "a field of requests": OK + literal((":path", "/")),
    "a name in capitals": OK + b"\x10\x01A\x01b",
    "no name": OK + b"\x10\x00\x01b",
    "a field of a connection": OK + literal(("connection", "close")),
    "a field of a proxy's connection": OK + literal(("proxy-connection", "close")),
    "a time of a connection": OK + literal(("keep-alive", "timeout=5")),
    "another protocol": OK + literal(("upgrade", "h2c")),
    "a coding of a connection": OK + literal(("transfer-encoding", "chunked")),
    "a line break": OK + literal(("a", "b\r\nc: d")),
    "a NUL": OK + literal(("a", "b\0")),
    "two lengths": OK + literal(("content-length", "2"), ("content-length", "3")),
}


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("block", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_reply_is_none(block: bytes) -> None:
    session = opened()
    outcome = only(session.receive(frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, b"{}")))
    assert isinstance(outcome, Failure)
    assert (outcome.fault, outcome.why) == (Fault.BROKEN, f"{ORIGIN} sent malformed header fields")
    assert session.broken is None


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize(
    "flags, block", [(END_HEADERS, b""), (END_HEADERS | END_STREAM, OK), (END_HEADERS | END_STREAM, b"\x10\x01A\x01b")]
)
def test_what_comes_after_a_reply_and_is_no_trailers_spoils_it(flags: int, block: bytes) -> None:
    session = opened()
    begun = frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"{}")
    outcome = only(session.receive(begun + frame(HEADERS, flags, 1, block)))
    assert isinstance(outcome, Failure)
    assert outcome.fault is Fault.BROKEN


@pytest.mark.behaviour("B24", "B27")
@pytest.mark.parametrize(
    "useless",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS),
        frame(WINDOW, 0, 0, b"\0\0\0\1"),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(99),
        frame(DATA, 0, 1),
        frame(HEADERS, END_HEADERS, 1, literal((":status", "103"))),
    ],
    ids=["ping", "settings", "window", "priority", "unknown", "no data", "informational"],
)
def test_frames_without_end_end_the_connection(useless: bytes) -> None:
    session = opened(streams=2)
    session.receive(frame(HEADERS, END_HEADERS, 3, OK))
    if useless[3] == DATA:
        session.receive(frame(HEADERS, END_HEADERS, 1, OK))
    ended = session.receive(useless * 10_000)
    assert ended == []
    session.receive(frame(DATA, 0, 3, b"{"))  # a reply that comes on: all is well
    assert session.receive(useless * 10_000) == []
    ended = session.receive(useless)
    assert [stream for stream, _ in ended] == [1, 3]
    assert session.broken is not None
    assert session.broken.why == f"{ORIGIN} sent frames without end"
    assert bytes(session.unsent).endswith(struct.pack(">II", 0, 11))  # ENHANCE_YOUR_CALM


@pytest.mark.behaviour("B26")
def test_no_repr_holds_what_was_sent_or_what_came() -> None:
    assert "SECRET" not in repr(Exchange(body=bytearray(b"SECRET")))
