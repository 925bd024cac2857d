"""What is about HTTP/2: one connection for all, its end at any time, and servers that break its rules."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import backoff
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from lro_poller import PollTimeout
from lro_poller.transports.http2 import Http2Transport
from lro_poller.transports.http2_connection import Connection, _Request
from lro_poller.transports.http2_session import USUAL_LIMIT
from lro_poller.wire import MAX_BODY, Fault, NoReply, Reply

from ..conftest import make_poller
from .conftest import Contexts
from .http2_server import Handler, Http2Server, Stream

Serve = Callable[[Handler], Awaitable[tuple[Http2Server, Http2Transport]]]
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def settings(streams: int) -> bytes:
    """As `SETTINGS`, with how many streams may be open at once."""
    return b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03" + struct.pack(">I", streams)


PUSH_PROMISE = b"\x00\x00\x05\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02\x88"


def goaway(last: int) -> bytes:
    return b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + struct.pack(">II", last, 0)


def ask(transport: Http2Transport, number: int = 1) -> asyncio.Task[Reply]:
    return asyncio.create_task(transport.send("GET", f"/v1/operations/{number}", {}))


@pytest.fixture
async def serve(contexts: Contexts) -> AsyncIterator[Serve]:
    """Starts a server with a handler, and a transport to it; closes both, and checks that nothing is left."""
    async with contextlib.AsyncExitStack() as stack:

        async def serve_one(handler: Handler) -> tuple[Http2Server, Http2Transport]:
            server = await stack.enter_async_context(Http2Server(contexts.theirs, handler))
            transport = Http2Transport(server.origin, ssl_context=contexts.ours)
            return server, await stack.enter_async_context(contextlib.aclosing(transport))

        before = asyncio.all_tasks()
        yield serve_one
    assert not [task for task in asyncio.all_tasks() - before if "lro-poller" in task.get_name()]


@contextlib.asynccontextmanager
async def speaking(contexts: Contexts, speak: Speak, *protocols: str) -> AsyncIterator[Http2Transport]:
    """A transport to a server that says whatever it likes once TLS stands."""
    if protocols:
        contexts.theirs.set_alpn_protocols(protocols)
    done = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await speak(reader, writer)
        finally:
            writer.transport.abort()
            done.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=contexts.theirs)
    origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        async with contextlib.aclosing(Http2Transport(origin, ssl_context=contexts.ours)) as transport:
            yield transport
        await done.wait()


async def test_all_polls_share_one_connection_within_the_servers_limit(serve: Serve) -> None:
    open_now, most = 0, 0

    async def handler(stream: Stream) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        await stream.respond(200, stream.headers[":path"].encode())

    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 5
    replies = await asyncio.gather(*(ask(transport, number) for number in range(40)))
    assert [reply.body for reply in replies] == [f"/v1/operations/{number}".encode() for number in range(40)]
    assert (server.accepted, most) == (1, 5)


class Counter:
    """Answers each request when it is let go; counts those that are under way at once."""

    def __init__(self) -> None:
        self.open_now = self.most = self.answered = 0
        self.go_on = asyncio.Semaphore(0)

    async def __call__(self, stream: Stream) -> None:
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        try:
            await self.go_on.acquire()
        finally:
            self.open_now -= 1
        self.answered += 1
        await stream.respond(200, stream.headers[":path"].encode())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to that")


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("before, after", [(2, 6), (0, 6), (1, 3)])
async def test_a_limit_that_is_raised_holds_for_those_that_wait(serve: Serve, before: int, after: int) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = before
    asked = [ask(transport, number) for number in range(8)]
    await until(lambda: bool(server.connections) and handler.open_now == before)
    server.connections[0].allow(after)
    await until(lambda: handler.open_now == after)
    for _ in asked:
        handler.go_on.release()
    replies = [await request for request in asked]
    assert [reply.body for reply in replies] == [f"/v1/operations/{number}".encode() for number in range(8)]
    assert (handler.most, server.accepted, transport.capacity()) == (after, 1, after)


@pytest.mark.behaviour("B19")
async def test_a_limit_that_is_lowered_holds_for_those_that_wait(serve: Serve) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 5
    asked = [ask(transport, number) for number in range(12)]
    await until(lambda: handler.open_now == 5)
    server.connections[0].allow(2)
    await until(lambda: transport.capacity() == 2)
    for answered, open_now in enumerate((4, 3, 2, 2, 2), 1):
        handler.go_on.release()
        await until(lambda: handler.answered == answered and handler.open_now == open_now)  # noqa: B023  # awaited here
    for _ in range(7):
        handler.go_on.release()
    assert len([await request for request in asked]) == 12
    assert (handler.most, server.accepted) == (5, 1)  # more than it allows a server would not stand


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("frames", [goaway(1), goaway(2**31 - 1)], ids=["now", "soon"])
async def test_who_waits_for_a_stream_of_a_connection_that_ends_goes_to_the_next(serve: Serve, frames: bytes) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1
    slow, *quick = [ask(transport, number) for number in range(4)]
    await until(lambda: handler.open_now == 1)
    server.connections[0].raw(frames)
    await until(lambda: handler.open_now == 2)
    assert transport.capacity() == 1 + 1  # the slow one takes no room from the others
    for _ in range(4):
        handler.go_on.release()
    assert len([await request for request in (slow, *quick)]) == 4
    assert server.accepted == 2


@pytest.mark.behaviour("B19", "B20")
async def test_whoever_gives_up_a_silent_connection_ends_nothing_for_those_who_wait(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lro_poller.transports.http2_connection._SILENT", 0.0)
    handler = Counter()
    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1
    asked = [ask(transport, number) for number in range(5)]
    for number in range(4):
        await until(lambda: server.accepted == number + 1 and handler.open_now == 1)  # noqa: B023  # awaited here
        asked[number].cancel()
    await until(lambda: server.accepted == 5 and handler.open_now == 1)
    handler.go_on.release()
    assert (await asked[-1]).body == b"/v1/operations/4"
    assert server.accepted == 5


async def test_polls_that_are_cancelled_at_once_cost_no_connection(serve: Serve) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    for number in range(5):
        asked = ask(transport, number)
        await until(lambda: handler.open_now == 1)
        asked.cancel()
        await until(lambda: handler.open_now == 0)
    assert server.accepted == 1


async def test_until_a_server_says_how_many_it_allows_one_is_sent(serve: Serve) -> None:
    server, transport = await serve(Counter())
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 3
    assert transport.capacity() == 1
    asked = ask(transport, 1)
    await until(lambda: transport.capacity() == 3)
    asked.cancel()


async def test_where_no_server_answers_many_may_find_out_together() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = Http2Transport(f"https://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(NoReply):
            await ask(transport, 1)
        assert transport.capacity() == USUAL_LIMIT


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("size, piece", [(1 << 20, 16_000), (300_000, 100)])
async def test_a_body_that_is_padded_comes_whole(serve: Serve, size: int, piece: int) -> None:
    async def handler(stream: Stream) -> None:
        h2 = stream.connection.h2
        stream.begin(200)
        for start in range(0, size, piece):
            part = min(piece, size - start)
            while h2.local_flow_control_window(stream.number) < part + 256:
                await stream.connection.window_opened.wait()
            h2.send_data(stream.number, bytes(part), pad_length=255)
            stream.connection.flush()
        h2.end_stream(stream.number)
        stream.connection.flush()

    _, transport = await serve(handler)
    assert len((await asyncio.wait_for(ask(transport, 1), 20)).body) == size


async def test_a_server_that_has_answered_is_not_silent_while_nobody_asks(serve: Serve) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    handler.go_on.release()
    await ask(transport, 1)
    await asyncio.sleep(60)
    given_up = ask(transport, 2)
    await until(lambda: handler.open_now == 1)
    given_up.cancel()
    await until(lambda: handler.open_now == 0)
    handler.go_on.release()
    await ask(transport, 3)
    assert server.accepted == 1


@pytest.mark.behaviour("B23")
async def test_a_poll_whose_server_was_heard_of_meanwhile_is_not_sent_again(serve: Serve) -> None:
    asked: list[str] = []

    async def handler(stream: Stream) -> None:
        asked.append(stream.headers[":path"])
        if len(asked) > 1:
            await stream.respond()
            return
        stream.connection.h2.ping(bytes(8))
        stream.connection.flush()
        await asyncio.sleep(1)
        stream.connection.transport.abort()

    _, transport = await serve(handler)
    with pytest.raises(NoReply, match="ended the connection"):
        await ask(transport)
    assert len(asked) == 1


async def test_why_there_is_no_connection_is_the_cause_and_holds_nothing_of_the_attempt() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = Http2Transport(f"https://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(NoReply) as caught:
            await ask(transport, 1)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert (cause.__traceback__, cause.__context__) == (None, None)


async def test_a_server_that_allows_no_stream_is_asked_by_one_all_the_same(serve: Serve) -> None:
    server, transport = await serve(Counter())
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 0
    asked = ask(transport, 1)
    await until(lambda: transport._connection is not None)
    assert transport._connection is not None
    assert (transport._connection.limit, transport.capacity()) == (0, 1)
    asked.cancel()


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "path, fields", [("/a\n", {}), ("/a", {"x\r": "b"}), ("/a", {"x": "b\0"}), ("/a", {"x\x7f": "b"})]
)
async def test_a_control_character_goes_nowhere(path: str, fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a header field has a control character in it"):
        await Http2Transport("https://127.0.0.1:1").send("GET", path, fields)


def test_https_has_a_port_of_its_own() -> None:
    assert Http2Transport("https://example.com")._port == 443


async def test_a_connection_that_was_never_of_use_counts_as_a_try(contexts: Contexts) -> None:
    accepted = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.write(settings(0))
        await reader.readuntil(b"SM\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(goaway(0))
        await reader.read()

    async with speaking(contexts, speak, "h2") as transport:
        with pytest.raises(NoReply, match="ended the connection"):
            await ask(transport)
        assert accepted == 2


async def test_a_connection_that_allows_no_stream_is_left(serve: Serve) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    handler.go_on.release()
    await ask(transport)
    server.connections[0].allow(0)
    await until(lambda: transport._connection is not None and transport._connection.limit == 0)
    waiting = ask(transport)
    await asyncio.sleep(0.01)
    assert handler.open_now == 0
    waiting.cancel()
    handler.go_on.release()
    again = ask(transport)
    await until(again.done)
    assert (again.result().status, server.accepted) == (200, 2)


async def test_who_waited_in_vain_after_one_try_has_another(serve: Serve) -> None:
    seen: list[str] = []
    let_go = asyncio.Event()

    async def handler(stream: Stream) -> None:
        name = stream.headers[":path"][-1]
        seen.append(name)
        if seen == ["2"]:
            stream.reset(ErrorCodes.REFUSED_STREAM)
        elif name == "1":
            await let_go.wait()
            await stream.respond()
        else:
            await stream.respond()

    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1
    refused, first = ask(transport, 2), ask(transport, 1)
    await until(lambda: seen == ["2", "1"])
    server.connections[0].raw(goaway(3))
    assert (await refused).status == 200
    let_go.set()
    assert (await first).status == 200


async def test_who_is_cancelled_while_waiting_for_a_stream_takes_none(serve: Serve) -> None:
    handler = Counter()
    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1
    first, second, third = (ask(transport, number) for number in range(3))
    await until(lambda: handler.open_now == 1)
    second.cancel()
    for _ in range(2):
        handler.go_on.release()
    assert [(await request).body for request in (first, third)] == [b"/v1/operations/0", b"/v1/operations/2"]
    assert (server.resets, server.accepted) == ([], 1)


@pytest.mark.behaviour("B10")
async def test_no_poll_waits_in_the_transport_where_the_last_before_a_deadline_could_not_pass_it(serve: Serve) -> None:
    polls: dict[str, int] = {}

    async def handler(stream: Stream) -> None:
        name = stream.headers[":path"].removeprefix("/v1beta/")
        polls[name] = polls.get(name, 0) + 1
        await asyncio.sleep(0.05)
        over = name == "operations/x" and polls[name] > 1
        await stream.respond(200, b'{"done": true, "response": {}}' if over else b'{"name": "operations/x"}')

    server, transport = await serve(handler)
    server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 2
    options: Any = {"backoff": lambda: backoff.constant(1)}
    async with make_poller(server.origin, transport=transport, **options) as poller:
        awaited = poller.submit("operations/x", deadline=2, backoff=lambda: backoff.constant(60))
        await poller.get("operations/first")
        for number in range(60):
            poller.submit(f"operations/{number}")
        await awaited
        assert poller.stats().in_flight <= 2
    assert polls["operations/x"] == 2


async def test_a_request_says_what_http_1_would(serve: Serve) -> None:
    heard: list[dict[str, str]] = []

    async def handler(stream: Stream) -> None:
        heard.append(stream.headers)
        await stream.respond(204, b"")

    server, transport = await serve(handler)
    await transport.send("POST", "/v1/operations/a%20b:cancel", {"Authorization": "Bearer t"})
    (fields,) = heard
    assert fields.pop("user-agent").startswith("lro-poller/")
    assert fields == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": server.origin.removeprefix("https://"),
        ":path": "/v1/operations/a%20b:cancel",
        "accept-encoding": "identity",
        "content-length": "0",
        "authorization": "Bearer t",
    }


async def test_a_goaway_lets_what_was_taken_end_and_repeats_the_rest_elsewhere(serve: Serve) -> None:
    both = asyncio.Event()

    async def handler(stream: Stream) -> None:
        if server.accepted == 1 and stream.number == 3:
            both.set()
            return
        if server.accepted == 1:
            await both.wait()
            stream.connection.raw(goaway(1))
        await stream.respond(200, str(server.accepted).encode())

    server, transport = await serve(handler)
    first, second = ask(transport, 1), ask(transport, 2)
    assert (await first).body == b"1"
    assert (await second).body == b"2"
    await transport.aclose()
    assert (server.accepted, server.connections) == (2, [])


@pytest.mark.parametrize("frames", [goaway(1), PUSH_PROMISE], ids=["goaway", "malformed"])
async def test_a_connection_of_no_use_is_closed_at_once(serve: Serve, frames: bytes) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    server, transport = await serve(handler)
    await ask(transport)
    (first,) = server.connections
    first.raw(frames)
    await asyncio.wait_for(first.lost, 5)
    await ask(transport)
    assert server.accepted == 2


async def test_a_refused_stream_is_sent_once_more_a_reset_one_is_not(serve: Serve) -> None:
    codes = [ErrorCodes.REFUSED_STREAM, ErrorCodes.INTERNAL_ERROR, ErrorCodes.REFUSED_STREAM, ErrorCodes.REFUSED_STREAM]

    async def handler(stream: Stream) -> None:
        stream.reset(codes.pop(0))

    _, transport = await serve(handler)
    with pytest.raises(NoReply, match=r"reset the stream \(code 2\)") as caught:
        await ask(transport)
    assert caught.value.fault is Fault.UNREACHABLE
    assert len(codes) == 2
    with pytest.raises(NoReply, match=r"reset the stream \(code 7\)"):
        await ask(transport)
    assert codes == []


@pytest.mark.parametrize("method, accepted", [("GET", 2), ("POST", 1)])
async def test_what_may_have_been_done_is_not_sent_again(serve: Serve, method: str, accepted: int) -> None:
    async def handler(stream: Stream) -> None:
        stream.connection.transport.abort()

    server, transport = await serve(handler)
    with pytest.raises(NoReply, match="ended the connection") as caught:
        await transport.send(method, "/v1/operations/a", {})
    assert caught.value.fault is Fault.UNREACHABLE
    assert server.accepted == accepted


async def test_a_lost_connection_is_opened_again(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    server, transport = await serve(handler)
    await ask(transport)
    server.connections[0].transport.abort()
    await ask(transport)
    assert server.accepted == 2


async def test_a_cancelled_poll_resets_its_stream_and_leaves_the_others(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        if stream.headers[":path"].endswith("1"):
            await asyncio.Event().wait()
        await stream.respond()

    server, transport = await serve(handler)
    hung = ask(transport, 1)
    await ask(transport, 2)
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    await ask(transport, 3)
    assert (server.accepted, server.resets) == (1, [1])


async def test_a_connection_that_has_gone_silent_is_not_used_again(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        if server.accepted == 1:
            await asyncio.Event().wait()
        await stream.respond()

    server, transport = await serve(handler)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await ask(transport)
    await ask(transport)
    assert server.accepted == 2


async def test_cancelling_one_stops_nobody_elses_connecting(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    server, transport = await serve(handler)
    first, second = ask(transport, 1), ask(transport, 2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status == 200
    assert first.cancelled()
    assert server.accepted == 1


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("turns", range(4))
async def test_whoever_cancels_the_connecting_itself_ends_no_later_one(serve: Serve, turns: int) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    _, transport = await serve(handler)
    asked = ask(transport)
    await asyncio.sleep(0)
    (connecting,) = [task for task in asyncio.all_tasks() if "http2 connect" in task.get_name()]
    for _ in range(turns):
        await asyncio.sleep(0)
    connecting.cancel()
    async with asyncio.timeout(20):
        with contextlib.suppress(NoReply):
            await asked
        assert (await ask(transport)).status == 200


@pytest.mark.parametrize("rounds", range(30))
async def test_cancelling_at_any_time_leaves_nothing(serve: Serve, rounds: int) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    server, transport = await serve(handler)
    asked = ask(transport)
    for _ in range(rounds):
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert (await ask(transport)).status == 200
    await transport.aclose()
    for connection in list(server.connections):
        await connection.lost


@pytest.mark.parametrize("rounds", range(12))
async def test_closing_at_any_time_fails_what_is_under_way(serve: Serve, rounds: int) -> None:
    async def handler(stream: Stream) -> None:
        await asyncio.Event().wait()

    server, transport = await serve(handler)
    asked = ask(transport)
    for _ in range(rounds):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await transport.aclose()
    with pytest.raises(NoReply, match=r"the transport to .* is closed"):
        await asked
    for connection in list(server.connections):
        await connection.lost


async def test_closing_does_not_wait_for_a_server_that_does_not_answer(contexts: Contexts) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        await reader.read(10)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await hold.wait()

    hold = asyncio.Event()
    async with speaking(contexts, speak, "h2") as transport:
        asked = ask(transport)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await transport.aclose()
        assert asyncio.get_running_loop().time() - began < 2
        hold.set()
        with pytest.raises(NoReply):
            await asked


@pytest.mark.behaviour("B19", "B21")
async def test_whoever_sends_while_another_one_closes_has_a_connection_of_its_own(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond()

    server, transport = await serve(handler)
    await ask(transport)
    (old,) = server.connections
    old.transport.pause_reading()  # it does not end TLS in turn, which takes a second
    closing = asyncio.ensure_future(transport.aclose())
    await asyncio.sleep(0)
    for _ in range(3):
        assert (await ask(transport)).status == 200
        assert not closing.done()
    await closing
    assert (await ask(transport)).status == 200


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2",)])
async def test_a_server_without_http2_is_named_and_survived(contexts: Contexts, protocols: tuple[str, ...]) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "h2" in protocols:  # the others wait for a request that they understand
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with speaking(contexts, speak, *protocols) as transport:
        with pytest.raises(NoReply, match="does not speak HTTP/2") as caught:
            await ask(transport)
        assert caught.value.fault is Fault.BROKEN
        async with make_poller(transport._origin, transport=transport) as poller:
            with pytest.raises(PollTimeout, match="does not speak HTTP/2"):
                await poller.submit("operations/a", deadline=10)


@pytest.mark.parametrize("text", ["[SSL] tlsv1 alert no application protocol (_ssl.c:1)", "[SSL: X] other (_ssl.c:1)"])
async def test_a_server_that_insists_on_http_1_is_named(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    async def refuse(*args: Any, sock: socket.socket, **options: Any) -> Any:
        sock.close()
        raise ssl.SSLError(1, text)  # as OpenSSL does; Python's own servers cannot be made to send the alert

    async with speaking(contexts, lambda reader, writer: asyncio.sleep(0)) as transport:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.get_running_loop(), "create_connection", refuse)
            with pytest.raises(NoReply, match=r"HTTP/2|no connection to") as caught:
                await ask(transport)
        assert caught.value.fault is (Fault.BROKEN if "application" in text else Fault.UNREACHABLE)
        with contextlib.suppress(NoReply):
            await ask(transport)


async def test_a_server_that_says_nothing_is_given_up(contexts: Contexts) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    left = asyncio.Event()
    async with speaking(contexts, speak, "h2") as transport:
        with pytest.raises(NoReply, match="within 15 seconds") as caught:
            await ask(transport)
        await asyncio.wait_for(left.wait(), 5)
        assert caught.value.fault is Fault.UNREACHABLE


@pytest.mark.behaviour("B27")
async def test_a_server_that_pings_and_does_not_listen_is_left(contexts: Contexts) -> None:
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        await reader.read(10)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        while not writer.transport.is_closing():
            writer.write(ping * 10_000)
            await writer.drain()
            await asyncio.sleep(0)  # a write that failed says so to the loop only, and drain() need not go there

    async with speaking(contexts, speak, "h2") as transport:
        with pytest.raises(NoReply, match="ended the connection"):
            await ask(transport)


@pytest.mark.behaviour("B27")
async def test_bodies_are_decoded_within_bounds(serve: Serve) -> None:
    bodies = {
        "gzip": gzip.compress(b'{"done": true}'),
        "deflate": zlib.compress(b'{"done": true}'),
        "br": b"whatever",
        "Deflate": b"whatever",
        "x-gzip": gzip.compress(b"{}"),
        "X-Gzip": gzip.compress(b"{}")[:-5],
        "GZIP": gzip.compress(bytes(MAX_BODY + 1)),
        "identity": bytes(MAX_BODY),
    }

    async def handler(stream: Stream) -> None:
        coding = stream.headers["x-coding"]
        await stream.respond(200, bodies[coding], [("content-encoding", coding)])

    _, transport = await serve(handler)

    async def fetch(coding: str) -> bytes | Fault:
        try:
            return (await transport.send("GET", "/a", {"x-coding": coding})).body
        except NoReply as error:
            return error.fault

    assert {coding: await fetch(coding) for coding in bodies} == {
        "gzip": b'{"done": true}',
        "deflate": b'{"done": true}',
        "br": Fault.BROKEN,
        "Deflate": Fault.BROKEN,
        "x-gzip": b"{}",
        "X-Gzip": Fault.BROKEN,
        "GZIP": Fault.TOO_LARGE,
        "identity": bytes(MAX_BODY),
    }


@pytest.mark.behaviour("B27")
async def test_a_bomb_is_not_unpacked(serve: Serve) -> None:
    bomb = gzip.compress(bytes(64 << 20))

    async def handler(stream: Stream) -> None:
        await stream.respond(200, bomb, [("content-encoding", "gzip")])

    _, transport = await serve(handler)
    tracemalloc.start()
    try:
        with pytest.raises(NoReply, match="more than 1048576 bytes"):
            await ask(transport)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 << 20


async def test_many_large_bodies_do_not_close_the_connections_window(serve: Serve) -> None:
    async def handler(stream: Stream) -> None:
        await stream.respond(200, bytes(MAX_BODY))

    server, transport = await serve(handler)
    for _ in range(80):
        assert len((await ask(transport)).body) == MAX_BODY
    assert server.accepted == 1


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("path, value", [("/v1/a\r\nx: y", "b"), ("/v1/a", "b\nc: d"), ("/v1/a", "b\x00")])
async def test_what_cannot_be_a_field_is_not_sent_and_not_quoted(serve: Serve, path: str, value: str) -> None:
    async def handler(stream: Stream) -> None:
        raise AssertionError

    _, transport = await serve(handler)
    with pytest.raises(ValueError, match="header field") as caught:
        await transport.send("GET", path, {"authorization": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "origin, why",
    [
        ("http://127.0.0.1:80", "over TLS"),
        ("http://example.com", "over TLS"),
        ("127.0.0.1", "must be an origin"),
        ("https://", "must be an origin"),
        ("https://:443", "must be an origin"),
    ],
)
def test_http2_is_spoken_over_tls_alone(origin: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Http2Transport(origin)
    assert repr(Http2Transport("https://example.com")) == "<Http2Transport to https://example.com>"


@pytest.mark.behaviour("B26")
async def test_no_repr_of_a_request_holds_what_was_sent() -> None:
    assert "SECRET" not in repr(_Request(b"SECRET", True, asyncio.get_running_loop().create_future()))


@pytest.mark.behaviour("B19")
async def test_a_reply_that_comes_after_leaving_is_nobodys() -> None:
    connection = Connection("https://example.com")
    transport = Mock(asyncio.Transport, **{"is_closing.return_value": False, "get_write_buffer_size.return_value": 0})
    connection.connection_made(transport)
    connection.data_received(SETTINGS)
    asking = asyncio.create_task(connection.exchange(b"", safe=True))
    await asyncio.sleep(0)
    connection.leave()
    connection.data_received(b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88")  # status 200, and the end of the stream
    with pytest.raises(NoReply, match="is closed"):
        await asking
