"""The token: in one header field, to one origin, and nowhere else that anybody could read it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import pickle
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

from lro_poller import LroError, OperationPoller, PollerClosed, PollError
from lro_poller.testing import Emulator, Fault, Hang, HtmlPage, HttpError, RawReply, Reset, Trickle, Truncated
from lro_poller.transports.aiohttp import AiohttpTransport

from .secrecy import leaks

SECRET = "ya29.SECRET-TOKEN"


class Held(Credentials):
    """Credentials that hold one token, for ever."""

    def __init__(self, token: str = SECRET) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = token
        self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(days=400)

    def refresh(self, request: Any) -> None:
        raise AssertionError("nothing here needs a refresh")


class Failing(Credentials):
    """Credentials whose token server answers with the token in its error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.error = error

    def refresh(self, request: Any) -> None:
        raise self.error


@pytest.fixture
async def other() -> AsyncIterator[tuple[Any, list[web.BaseRequest]]]:
    """Another server, and what it hears."""
    heard: list[web.BaseRequest] = []

    async def hear(request: web.BaseRequest) -> web.StreamResponse:
        heard.append(request)
        return web.json_response({"done": True, "response": {"from": "elsewhere"}})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hear)
    async with TestServer(app) as server:
        yield server, heard


@pytest.fixture
def certified(request: pytest.FixtureRequest) -> tuple[str, ssl.SSLContext, ssl.SSLContext]:
    """A kind of certificate, what trusts its authority, and what shows it."""
    kind = request.param
    authority, ours, theirs = trustme.CA(), ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    expired = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    issued = {
        "of another name": lambda: authority.issue_cert("example.com"),
        "expired": lambda: authority.issue_cert("127.0.0.1", not_before=expired, not_after=expired),
        "of another authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "good": lambda: authority.issue_cert("127.0.0.1"),
    }[kind]()
    issued.configure_cert(theirs)
    return kind, ours, theirs


def opened(origin: str, **options: Any) -> OperationPoller:
    options.setdefault("credentials", Held())
    return OperationPoller(endpoint=origin, random=lambda: 0.5, **options)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["same host", "other host", "credentials in the URL"])
async def test_no_redirect_is_followed(
    emulator: Emulator, other: tuple[Any, list[web.BaseRequest]], status: int, to: str
) -> None:
    server, heard = other
    elsewhere = emulator.add_operation(response={"from": "elsewhere"})
    location = {
        "same host": f"{emulator.origin}/v1beta/{elsewhere}",
        "other host": str(server.make_url(f"/v1beta/{elsewhere}")),
        "credentials in the URL": f"http://a:b@127.0.0.1:{server.port}/",
    }[to]
    name = emulator.add_operation(faults=[RawReply(b"", status, {"Location": location})])
    async with opened(emulator.origin) as poller:
        with pytest.raises(PollError, match="redirects are not followed") as caught:
            await poller.submit(name)
    assert caught.value.http_status == status
    assert heard == []
    assert emulator.polls(elsewhere) == 0
    assert [request.path for request in emulator.requests] == [f"/v1beta/{name}"]


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("certified", ["good"], indirect=True)
async def test_no_redirect_leads_out_of_tls(
    other: tuple[Any, list[web.BaseRequest]], certified: tuple[str, ssl.SSLContext, ssl.SSLContext]
) -> None:
    (server, heard), (_, ours, theirs) = other, certified
    async with Emulator(ssl_context=theirs) as emulator:
        name = emulator.add_operation(faults=[RawReply(b"", 302, {"Location": str(server.make_url("/"))})])
        transport = AiohttpTransport(emulator.origin, ssl_context=ours)
        async with opened(emulator.origin, transport=transport) as poller:
            with pytest.raises(PollError, match="redirects are not followed"):
                await poller.submit(name)
        assert emulator.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert heard == []


@pytest.mark.behaviour("B25")
async def test_the_token_is_in_one_header_field_of_each_request(emulator: Emulator) -> None:
    async with opened(emulator.origin) as poller:
        await poller.submit(emulator.add_operation(duration=20.0))
    for request in emulator.requests:
        carrying = [name for name, value in request.headers.items() if SECRET in value]
        assert carrying == ["Authorization"]
        assert request.headers.getall("Authorization") == [f"Bearer {SECRET}"]  # type: ignore[attr-defined]
        assert SECRET not in request.path + request.query


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("status", [200, 401, 503])
async def test_no_cookie_is_kept(emulator: Emulator, status: int) -> None:
    reply = RawReply(b"{}", status, {"Set-Cookie": "session=1", "WWW-Authenticate": "Basic"})
    name = emulator.add_operation(faults=[reply, reply], response={})
    async with opened(emulator.origin) as poller:
        with contextlib.suppress(LroError):
            await poller.submit(name, deadline=60)
    assert not any("cookie" in request.headers for request in emulator.requests)


FAULTS: list[Fault] = [
    *(HttpError(status) for status in (400, 401, 403, 404, 429, 500, 503)),
    RawReply(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    RawReply(b"not JSON"),
    RawReply(b"{}", headers={"Content-Encoding": "gzip"}),
    *(Reset(), Truncated(), HtmlPage(), Trickle(1.0), Hang()),
]


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: repr(fault)[:40])
async def test_nothing_that_is_logged_printed_or_kept_shows_the_token(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    name = emulator.add_operation(duration=None, faults=[fault] * 50)
    async with opened(emulator.origin, max_poll_failures=2, poll_timeout=3.0) as poller:
        waiting, late = poller.submit(name, deadline=900), poller.submit(name, deadline=0.1)
        assert SECRET not in f"{poller!r} {waiting!r} {waiting.token} {poller.__dict__!r}"
        errors = await asyncio.gather(waiting, late, poller.get(name), return_exceptions=True)
    for error in errors:
        if isinstance(error, BaseException):
            assert isinstance(error, LroError)
            assert leaks(error, SECRET) == []
            assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert SECRET not in caplog.text
    assert not any(SECRET in repr(record.__dict__) for record in caplog.records)


@pytest.mark.behaviour("B26")
async def test_no_error_keeps_an_object_of_the_transport_alive(emulator: Emulator) -> None:
    name = emulator.add_operation(faults=[Truncated()] * 9)
    async with opened(emulator.origin) as poller:
        with pytest.raises(PollError) as caught:
            await poller.get(name)
    kept = [
        held for held in gc.get_referents(*caught.value.args, *vars(caught.value).values()) if "aiohttp" in repr(held)
    ]
    assert kept == []


@pytest.mark.behaviour("B26", "B21")
async def test_what_is_left_of_a_closed_poller_shows_no_token(emulator: Emulator) -> None:
    async with opened(emulator.origin) as poller:
        future = poller.submit(emulator.add_operation(duration=None))
        await asyncio.sleep(1)
    with pytest.raises(PollerClosed) as caught:
        await future
    assert leaks(caught.value, SECRET) == []
    assert SECRET not in caught.value.token


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("where", ["of a poll", "of the operation"])
async def test_a_server_that_repeats_the_token_does_not_get_it_into_an_error_or_a_log(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    caplog.set_level(logging.DEBUG)
    message = f"Request had invalid credentials: Authorization: Bearer {SECRET}."
    if where == "of a poll":
        name = emulator.add_operation(faults=[HttpError(503, message=message), HttpError(403, message=message)])
    else:
        name = emulator.add_operation(error={"code": 16, "message": message})
    async with opened(emulator.origin) as poller:
        with pytest.raises(LroError) as caught:
            await poller.submit(name)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert SECRET not in caplog.text


@pytest.mark.behaviour("B26", "B28")
@pytest.mark.parametrize("retryable", [True, False])
@pytest.mark.parametrize("kind", [RefreshError, TransportError])
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["a real clock"])  # a jumping one outruns the thread
async def test_what_a_token_server_answers_is_not_shown(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, kind: type[GoogleAuthError], retryable: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = f"('invalid_grant: {SECRET}', {{'access_token': '{SECRET}'}})"
    credentials = Failing(kind(answer, retryable=retryable))
    async with opened(emulator.origin, credentials=credentials, max_poll_failures=0) as poller:
        with pytest.raises(PollError) as caught:
            await poller.submit(emulator.add_operation())
    assert "refreshing Failing failed" in caught.value.reason
    assert SECRET not in f"{caught.value} {caught.value!r}"
    assert SECRET not in caplog.text
    assert emulator.requests == []


@pytest.mark.behaviour("B26", "B25")
@pytest.mark.parametrize("token", [f"{SECRET}\r\nX-Injected: 1", f"{SECRET}\n", f"\x00{SECRET}", f"{SECRET}\ud800", ""])
async def test_a_token_that_fits_no_header_is_not_sent_and_not_shown(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(emulator.origin, credentials=Held(token), max_poll_failures=0, poll_timeout=5.0) as poller:
        with contextlib.suppress(LroError):
            await poller.submit(emulator.add_operation(), deadline=60)
    assert not any("x-injected" in request.headers for request in emulator.requests)
    assert SECRET not in caplog.text


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("token", [f"{SECRET}\r\nX-Injected: 1", f"\x00{SECRET}"])
async def test_the_error_about_a_token_that_fits_no_header_does_not_show_it(emulator: Emulator, token: str) -> None:
    async with opened(emulator.origin, credentials=Held(token), max_poll_failures=0, poll_timeout=5.0) as poller:
        with pytest.raises(LroError) as caught:
            await poller.submit(emulator.add_operation(), deadline=60)
    assert leaks(caught.value, SECRET) == []


@pytest.mark.behaviour("B25", "B17")
@pytest.mark.parametrize("certified", ["of another name", "expired", "of another authority", "good"], indirect=True)
async def test_the_token_is_sent_to_a_trusted_certificate_only(
    certified: tuple[str, ssl.SSLContext, ssl.SSLContext],
) -> None:
    kind, ours, theirs = certified
    async with Emulator(ssl_context=theirs) as emulator:
        name = emulator.add_operation(response={})
        transport = AiohttpTransport(emulator.origin, ssl_context=ours)
        async with opened(emulator.origin, transport=transport) as poller:
            future = poller.submit(name, deadline=20)
            if kind == "good":
                assert await future == {}
            else:
                with pytest.raises(PollError, match="is not trusted") as caught:
                    await future
                assert leaks(caught.value, SECRET) == []
                assert emulator.requests == []
