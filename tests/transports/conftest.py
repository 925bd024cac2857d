"""Each transport before the same emulated service.

The emulator speaks HTTP/1.1; what speaks HTTP/2 reaches it through a gateway.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import trustme

from lro_poller import OperationPoller
from lro_poller.testing import Emulator
from lro_poller.transports import Transport
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.transports.http2 import Http2Transport

from ..conftest import make_poller
from .http2_server import Http2Server, gateway


class Contexts(NamedTuple):
    """What trusts an authority, and what shows its certificate."""

    ours: ssl.SSLContext
    theirs: ssl.SSLContext


def certify(name: str = "127.0.0.1") -> Contexts:
    """Contexts for a server that is called `name`."""
    authority, certificate = _issue(name)
    contexts = Contexts(ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    authority.configure_trust(contexts.ours)
    certificate.configure_cert(contexts.theirs)
    return contexts


@functools.cache
def _issue(name: str) -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert(name)


@pytest.fixture
def contexts() -> Contexts:
    return certify()


class Line(NamedTuple):
    """A way to the emulator."""

    origin: str
    transport: Transport


@pytest.fixture(params=["aiohttp", "http2"])
async def line(request: pytest.FixtureRequest, emulator: Emulator, contexts: Contexts) -> AsyncIterator[Line]:
    """The emulator by each transport."""
    if request.param == "aiohttp":
        yield Line(emulator.origin, AiohttpTransport(emulator.origin))
        return
    async with Http2Server(contexts.theirs, gateway(emulator.origin)) as server:
        yield Line(server.origin, Http2Transport(server.origin, ssl_context=contexts.ours))


@pytest.fixture
async def poller(line: Line) -> AsyncIterator[OperationPoller]:
    """A poller of the emulator, by each transport."""
    async with contextlib.aclosing(line.transport), make_poller(line.origin, transport=line.transport) as opened:
        yield opened
