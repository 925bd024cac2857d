"""Polls over real sockets: what is sent, what is bounded, and what is refused."""

from __future__ import annotations

import gzip
import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from lro_poller import OperationPoller, PollError, PollTimeout
from lro_poller.testing import Emulator, Hang, HtmlPage, HttpError, RawReply, Reset, Trickle, Truncated
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.wire import MAX_BODY

from .conftest import make_poller
from .test_auth import Tokens

JSON = {"Content-Type": "application/json"}
BOMB = gzip.compress(b" " * (200 << 20))


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
    emulator: Emulator, caplog: pytest.LogCaptureFixture
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
        async with OperationPoller(endpoint=emulator.origin, credentials=tokens) as poller:
            with pytest.raises(PollError, match="redirects are not followed"):
                await poller.submit(name)
    assert heard == []
    assert emulator.requests[0].headers["authorization"] == "Bearer token-1"
    assert "token-1" not in caplog.text


@pytest.fixture(params=["127.0.0.1", "example.com"])
def certified(request: pytest.FixtureRequest) -> tuple[str, ssl.SSLContext, ssl.SSLContext]:
    """A name, what trusts its authority, and what shows a certificate of that name."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert(request.param).configure_cert(theirs)
    return request.param, ours, theirs


@pytest.mark.behaviour("B25")
async def test_a_certificate_of_another_name_is_refused(
    certified: tuple[str, ssl.SSLContext, ssl.SSLContext],
) -> None:
    named, ours, theirs = certified
    async with Emulator(ssl_context=theirs) as emulator:
        name = emulator.add_operation(response={})
        transport = AiohttpTransport(emulator.origin, ssl_context=ours)
        async with make_poller(emulator.origin, transport=transport) as poller:
            future = poller.submit(name, deadline=20)
            if named == "127.0.0.1":
                assert await future == {}
            else:
                with pytest.raises(PollError, match="is not trusted"):
                    await future


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("asked", [False, True])
async def test_a_proxy_of_the_environment_is_used_only_when_asked_for(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = AiohttpTransport(emulator.origin, proxy_from_environment=asked)
    async with make_poller(emulator.origin, transport=transport) as poller:
        name = emulator.add_operation()
        if asked:
            with pytest.raises(PollError, match="no connection"):
                await poller.get(name)
        else:
            assert (await poller.get(name)).done


@pytest.mark.behaviour("B16", "B17")
async def test_a_refused_connection_is_named_and_survived(open_poller: Callable[..., Any]) -> None:
    async with make_poller("http://127.0.0.1:1") as poller:
        with pytest.raises(PollTimeout, match=r"no connection to http://127\.0\.0\.1:1"):
            await poller.submit("operations/a", deadline=10)
