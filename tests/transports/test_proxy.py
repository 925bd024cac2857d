"""Proxies of the environment: only when asked for, only as a tunnel, and their trouble is not the service's."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from lro_poller import PollError
from lro_poller.testing import Emulator
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.transports.proxy import proxy_of_environment
from lro_poller.wire import Fault, NoReply

from ..conftest import make_poller
from ..security.secrecy import leaks
from ..test_auth import Tokens
from .conftest import Contexts

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SERVICE = URL("https://service.example")


@dataclasses.dataclass
class Proxy:
    """One that makes tunnels, or refuses to; and what it was asked."""

    port: int = 0
    refuses: bytes = b""
    heads: list[str] = dataclasses.field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if self.refuses:
                writer.write(self.refuses)
                return
            host, _, port = head.split()[1].partition(":")
            from_service, to_service = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.closing(to_service):
                await asyncio.gather(pump(reader, to_service), pump(from_service, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
    writer.close()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy


@pytest.fixture
async def secure(contexts: Contexts) -> AsyncIterator[Emulator]:
    async with Emulator(ssl_context=contexts.theirs) as emulator:
        yield emulator


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    """One that has a login for every host."""
    file = tmp_path / "netrc"
    file.write_text("default login somebody password secret\n")
    return file


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("asked", [False, True])
async def test_a_poll_goes_through_a_proxy_of_the_environment_only_when_asked_for_and_through_its_tunnel(
    secure: Emulator, proxy: Proxy, contexts: Contexts, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%20word@127.0.0.1:{proxy.port}")
    transport = AiohttpTransport(secure.origin, ssl_context=contexts.ours, proxy_from_environment=asked)
    async with make_poller(secure.origin, transport=transport, credentials=Tokens()) as poller:
        assert (await poller.get(secure.add_operation(response={}))).response == {}
    assert len(secure.requests) == 1
    if not asked:
        assert proxy.heads == []
        return
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {secure.origin.removeprefix('https://')} HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'user:pass word').decode()}\r\n" in head
    assert "Bearer" not in head


@pytest.mark.behaviour("B25")
async def test_plain_http_shows_no_proxy_the_token(
    emulator: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    transport = AiohttpTransport(emulator.origin, proxy_from_environment=True)
    async with make_poller(emulator.origin, transport=transport, credentials=Tokens()) as poller:
        assert (await poller.get(emulator.add_operation())).done
    assert proxy.heads == []


@pytest.mark.behaviour("B25")
async def test_a_login_of_netrc_is_not_sent_along(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, netrc: Path
) -> None:
    monkeypatch.setenv("NETRC", str(netrc))
    transport = AiohttpTransport(emulator.origin, proxy_from_environment=True)
    async with make_poller(emulator.origin, transport=transport) as poller:
        assert (await poller.get(emulator.add_operation())).done
    assert "authorization" not in emulator.requests[0].headers


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize(
    "answer, words",
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "the proxy does not connect to"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP 502"),
    ],
)
async def test_a_proxy_that_refuses_is_told_from_the_service(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    proxy.refuses = answer
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    transport = AiohttpTransport(str(SERVICE), proxy_from_environment=True)
    with pytest.raises(NoReply, match=words) as caught:
        await transport.send("GET", "/v1beta/operations/a", {})
    await transport.aclose()
    assert caught.value.fault is Fault.UNREACHABLE


@pytest.mark.behaviour("B16", "B26")
async def test_a_proxy_that_cannot_be_reached_ends_no_wait_and_its_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:ya29.SECRET@127.0.0.1:1")
    transport = AiohttpTransport(str(SERVICE), proxy_from_environment=True)
    async with make_poller(str(SERVICE), transport=transport, max_poll_failures=2) as poller:
        with pytest.raises(
            PollError, match=r"no connection to https://service\.example: the proxy cannot be"
        ) as caught:
            await poller.submit("operations/a", deadline=600)
        assert poller.stats().polls == 3
    assert leaks(caught.value, "ya29.SECRET") == []


@pytest.mark.behaviour("B16", "B26")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # hosts are looked up in threads, which a jumping clock outruns
@pytest.mark.parametrize("host", ["nowhere.invalid", "b\u00fccher.invalid", "xn--bcher-kva.invalid"])
async def test_a_proxy_whose_host_is_unknown_is_told_from_the_service(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:ya29.SECRET@{host}:3128")
    async with contextlib.aclosing(AiohttpTransport(str(SERVICE), proxy_from_environment=True)) as transport:
        with pytest.raises(NoReply, match="the proxy cannot be reached") as caught:
            await transport.send("GET", "/v1beta/operations/a", {})
    assert caught.value.fault is Fault.UNREACHABLE
    assert leaks(caught.value, "ya29.SECRET") == []


@pytest.mark.parametrize(
    "environment, used",
    [
        ({}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ({"https_proxy": "https://p"}, "https://p"),
        ({"HTTPS_PROXY": "p.corp:3128"}, "http://p.corp:3128"),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://q:1"}, "http://p:1"),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "service.example:443"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "service.example:80, other.example"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_which_proxy_is_used(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], used: str | None) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_environment(SERVICE) == (None if used is None else URL(used))
    assert proxy_of_environment(URL("http://service.example")) is None


@pytest.mark.parametrize(
    "origin, spared",
    [
        ("https://[::1]:8443", "[::1]"),
        ("https://[::1]:8443", "[::1]:8443"),
        ("https://[::1]:8443", "::1"),
        ("https://b\u00fccher.example", "xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "b\u00fccher.example"),
    ],
)
def test_a_host_is_spared_however_it_is_written(monkeypatch: pytest.MonkeyPatch, origin: str, spared: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    assert proxy_of_environment(URL(origin)) is not None
    monkeypatch.setenv("NO_PROXY", spared)
    assert proxy_of_environment(URL(origin)) is None


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "told",
    ["socks5://u:secret@p:1080", "http://:secret@", "http://p:secret", "p:secret", "http:///secret", "http:secret"],
)
def test_what_names_no_proxy_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", told)
    with pytest.raises(ValueError, match=r"such as http://proxy\.example:3128") as caught:
        AiohttpTransport(str(SERVICE), proxy_from_environment=True)
    assert leaks(caught.value, "secret") == []


@pytest.mark.behaviour("B25", "B26")
@pytest.mark.parametrize("trouble", ["untrusted", "no TLS", "closed"])
async def test_trouble_at_the_other_end_of_the_tunnel_is_the_services_and_shows_no_password(
    secure: Emulator, emulator: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:ya29.SECRET@127.0.0.1:{proxy.port}")
    plain = emulator.origin.replace("http:", "https:")
    origin = {"untrusted": secure.origin, "no TLS": plain, "closed": "https://127.0.0.1:1"}[trouble]
    transport = AiohttpTransport(origin, proxy_from_environment=True)
    async with make_poller(origin, transport=transport, max_poll_failures=0) as poller:
        with pytest.raises(PollError, match=f"{origin}") as caught:
            await poller.submit("operations/a", deadline=60)
    assert ("is not trusted" in str(caught.value)) is (trouble == "untrusted")
    assert "the proxy cannot" not in str(caught.value)
    assert leaks(caught.value, "ya29.SECRET") == []


@pytest.mark.behaviour("B16", "B26")
async def test_a_proxy_whose_certificate_is_not_trusted_ends_no_wait(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await asyncio.start_server(Proxy().serve, "127.0.0.1", 0, ssl=contexts.theirs) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"https://user:ya29.SECRET@127.0.0.1:{port}")
        transport = AiohttpTransport(str(SERVICE), proxy_from_environment=True)
        async with make_poller(str(SERVICE), transport=transport, max_poll_failures=1) as poller:
            with pytest.raises(PollError, match=r"the proxy cannot be reached: .*CERTIFICATE_VERIFY_FAILED") as caught:
                await poller.submit("operations/a", deadline=600)
            assert poller.stats().polls == 2
        assert leaks(caught.value, "ya29.SECRET") == []
