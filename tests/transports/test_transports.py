"""Polls over real sockets: what is sent, what is bounded, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lro_poller import OperationPoller, PollError, PollTimeout
from lro_poller.testing import Emulator, Hang, HtmlPage, HttpError, RawReply, Reset, Trickle, Truncated
from lro_poller.threads import in_daemon_thread
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.transports.http2 import Http2Transport
from lro_poller.wire import MAX_BODY, Fault, NoReply

from ..conftest import make_poller
from ..test_auth import Tokens
from .conftest import Contexts, Line, certify
from .http2_server import Http2Server, gateway

JSON = {"Content-Type": "application/json"}
BOMB = gzip.compress(b" " * (200 << 20), mtime=0)


async def test_a_poll_carries_what_googles_clients_send_and_no_query(
    emulator: Emulator, poller: OperationPoller
) -> None:
    name = emulator.add_operation("operations/a b=c")
    await poller.submit(name)
    (request,) = emulator.requests
    assert request.path == "/v1beta/operations/a%20b%3Dc"
    assert request.query == ""
    assert request.headers["x-goog-request-params"] == "name=operations/a%20b%3Dc"
    agent = request.headers["x-goog-api-client"].split()
    assert [part.partition("/")[0] for part in agent] == ["gl-python", "rest", "gapic"]
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize(
    "fault",
    [
        *(HttpError(status) for status in (408, 429, 500, 502, 503, 504)),
        Reset(),
        Truncated(),
        HtmlPage(),
        RawReply(b"", 500),
        RawReply(b"[]"),
        RawReply(b'{"metadata":' + b"[" * 10_000),
        RawReply(b" " * (MAX_BODY + 1)),
        RawReply(BOMB, headers={**JSON, "Content-Encoding": "gzip"}),
        Trickle(1.0),
        Hang(),
    ],
    ids=lambda fault: repr(fault)[:40],
)
@pytest.mark.behaviour("B27")
async def test_what_passes_is_survived(emulator: Emulator, poller: OperationPoller, fault: Any) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[fault])
    assert await poller.submit(name, deadline=300) == {"n": 1}


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("status", [400, 403, 404, 410, 301, 302, 307, 501])
async def test_what_does_not_pass_is_final_at_once(emulator: Emulator, poller: OperationPoller, status: int) -> None:
    name = emulator.add_operation(faults=[HttpError(status)])
    with pytest.raises(PollError) as caught:
        await poller.submit(name)
    assert caught.value.http_status == status
    assert bool(caught.value.scopes) == (status == 403)
    assert emulator.polls(name) == 1


@pytest.mark.behaviour("B10", "B11")
async def test_a_deadline_cuts_a_poll_that_hangs(emulator: Emulator, poller: OperationPoller) -> None:
    name = emulator.add_operation(faults=[Hang()])
    with pytest.raises(PollTimeout, match="may still be running") as caught:
        await poller.submit(name, deadline=0.2)
    assert caught.value.elapsed == pytest.approx(0.2, abs=0.001)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.behaviour("B25", "B26")
async def test_the_token_follows_no_redirect_and_is_logged_nowhere(
    emulator: Emulator, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[web.Request] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request)
        return web.json_response({"done": True})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hear)
    async with TestServer(app) as other:
        name = emulator.add_operation(faults=[RawReply(b"", 302, {"Location": str(other.make_url("/x"))})])
        tokens = Tokens()
        tokens.refresh(None)
        async with OperationPoller(endpoint=line.origin, transport=line.transport, credentials=tokens) as poller:
            with pytest.raises(PollError, match="redirects are not followed"):
                await poller.submit(name)
    assert heard == []
    assert emulator.requests[0].headers["authorization"] == "Bearer token-1"
    # The gateway reads the token by hpack, which logs what it reads. What we send does not pass through it.
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("hpack")]
    assert "token-1" not in "\n".join(said)


def open_transport(kind: str, origin: str, contexts: Contexts) -> AiohttpTransport | Http2Transport:
    chosen = AiohttpTransport if kind == "aiohttp" else Http2Transport
    return chosen(origin, ssl_context=contexts.ours)


@contextlib.asynccontextmanager
async def serve_tls(kind: str, emulator: Emulator, contexts: Contexts) -> AsyncIterator[str]:
    """The emulated service over TLS; gives the origin."""
    if kind == "http2":
        async with Http2Server(contexts.theirs, gateway(emulator.origin)) as server:
            yield server.origin
        return
    async with Emulator(ssl_context=contexts.theirs) as certified:
        yield certified.origin


@pytest.fixture(params=["127.0.0.1", "example.com"])
def certified(request: pytest.FixtureRequest) -> tuple[str, Contexts]:
    """A name, and contexts for a server of that name."""
    return request.param, certify(request.param)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("kind", ["aiohttp", "http2"])
async def test_a_certificate_of_another_name_is_refused(
    emulator: Emulator, kind: str, certified: tuple[str, Contexts]
) -> None:
    named, contexts = certified
    async with serve_tls(kind, emulator, contexts) as origin:
        transport = open_transport(kind, origin, contexts)
        async with make_poller(origin, transport=transport) as poller:
            future = poller.submit("operations/demo-unknown", deadline=20)
            with pytest.raises(PollError) as caught:
                await future
    assert caught.value.http_status == (404 if named == "127.0.0.1" else None)
    assert ("is not trusted" in str(caught.value)) == (named != "127.0.0.1")


@pytest.mark.behaviour("B16", "B17")
@pytest.mark.parametrize("kind", ["aiohttp", "http2"])
async def test_a_refused_connection_is_named_and_survived(kind: str, contexts: Contexts) -> None:
    transport = open_transport(kind, "https://127.0.0.1:1", contexts)
    async with make_poller("https://127.0.0.1:1", transport=transport) as poller:
        with pytest.raises(PollTimeout, match=r"no connection to https://127\.0\.0\.1:1"):
            await poller.submit("operations/a", deadline=10)


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("kind", ["aiohttp", "http2"])
@pytest.mark.parametrize(
    "code, fault", [(socket.EAI_NONAME, Fault.UNKNOWN_HOST), (socket.EAI_AGAIN, Fault.UNREACHABLE)]
)
async def test_a_host_that_cannot_be_looked_up_is_named(
    kind: str, contexts: Contexts, monkeypatch: pytest.MonkeyPatch, code: int, fault: Fault
) -> None:
    def look_up(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(code, "said the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with contextlib.aclosing(open_transport(kind, "https://nowhere.invalid", contexts)) as transport:
        with pytest.raises(NoReply, match=r"the host of https://nowhere\.invalid") as caught:
            await transport.send("GET", "/v1/operations/a", {})
    assert caught.value.fault is fault


@pytest.mark.behaviour("B22")
async def test_a_poll_cut_short_leaves_the_transport_usable(
    emulator: Emulator, poller: OperationPoller, line: Line
) -> None:
    hung = emulator.add_operation(faults=[Hang()])
    with pytest.raises(PollTimeout):
        await poller.submit(hung, deadline=0.2)
    assert await poller.submit(emulator.add_operation(response={"n": 1})) == {"n": 1}


@pytest.mark.behaviour("B19", "B21")
async def test_a_transport_is_used_in_one_event_loop_at_a_time(emulator: Emulator, line: Line) -> None:
    transport, name = line.transport, emulator.add_operation(duration=None)

    async def meddle() -> list[str]:
        said = []
        for use in (
            lambda: transport.send("GET", f"/v1beta/{name}", {}),
            make_poller(line.origin, transport=transport).__aenter__,
        ):
            with pytest.raises(RuntimeError) as caught:
                await use()
            said.append(str(caught.value))
        await transport.aclose()  # which closes nothing of what belongs to others
        return said

    assert (await transport.send("GET", f"/v1beta/{name}", {})).status == 200
    said = await in_daemon_thread(lambda: asyncio.run(meddle()))
    assert said == [f"{transport!r} is in use in another event loop; each loop needs its own"] * 2
    connected = len(transport._connections) if isinstance(transport, Http2Transport) else 1
    assert (await transport.send("GET", f"/v1beta/{name}", {})).status == 200
    assert connected == 1
    await transport.aclose()


@pytest.mark.behaviour("B21")
def test_what_was_left_open_in_a_loop_that_is_closed_is_opened_anew(contexts: Contexts) -> None:
    transport = open_transport("http2", "https://127.0.0.1:1", contexts)
    for _ in range(2):
        with pytest.raises(NoReply, match="no connection to"):
            asyncio.run(transport.send("GET", "/v1/operations/a", {}))
    asyncio.run(transport.aclose())


@pytest.mark.behaviour("B21")
async def test_a_transport_that_two_pollers_share_is_opened_again_after_one_has_closed(
    emulator: Emulator, line: Line
) -> None:
    async with make_poller(line.origin, transport=line.transport) as outer:
        async with make_poller(line.origin, transport=line.transport) as inner:
            assert await inner.submit(emulator.add_operation(response={"of": "inner"})) == {"of": "inner"}
        assert await outer.submit(emulator.add_operation(response={"of": "outer"}), deadline=10) == {"of": "outer"}
