"""Whether processes that end right after their last poll end cleanly.

    python -m benchmarks.exits --transport http2 --processes 200

Each process makes some polls over TLS and ends, pinned to one core together with every
thread that its client may have started: where such a thread outlives the interpreter, the
process aborts. Prints how many ended with which status or signal, and what the others said.
Besides the transports that are shipped, it knows the libraries that were weighed for HTTP/2.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import importlib
import os
import re
import signal
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.auth.credentials import AnonymousCredentials

from lro_poller import OperationPoller
from lro_poller.transports import Transport
from tests.transports.http2_server import Http2Server, Stream

POLLS = 64
ANSWER = b'{"name": "operations/some", "done": true, "response": {}}'
JSON = "application/json"


async def poll_over(transport: Transport, origin: str) -> None:
    """With this library: every poll finds its operation done."""
    credentials = AnonymousCredentials()
    async with OperationPoller(endpoint=origin, credentials=credentials, transport=transport) as poller:
        await poller.wait_all([f"operations/{number}" for number in range(POLLS)])


async def with_aiohttp(origin: str, authority: str) -> None:
    from lro_poller.transports.aiohttp import AiohttpTransport

    await poll_over(AiohttpTransport(origin, ssl_context=ssl.create_default_context(cafile=authority)), origin)


async def with_http2(origin: str, authority: str) -> None:
    from lro_poller.transports.http2 import Http2Transport

    await poll_over(Http2Transport(origin, ssl_context=ssl.create_default_context(cafile=authority)), origin)


async def with_pyreqwest(origin: str, authority: str) -> None:
    library = importlib.import_module("pyreqwest.client")
    builder = library.ClientBuilder().http2(True).base_url(origin).add_root_certificate_pem(_read(authority))
    async with builder.build() as client:

        async def poll(number: int) -> None:
            response = await client.get(f"/v1beta/operations/{number}").build().send()
            await response.bytes()

        await asyncio.gather(*map(poll, range(POLLS)))


async def with_pyqwest(origin: str, authority: str) -> None:
    pyqwest = importlib.import_module("pyqwest")
    client = pyqwest.Client(pyqwest.HTTPTransport(tls_ca_cert=_read(authority)))
    await asyncio.gather(*(client.get(f"{origin}/v1beta/operations/{number}") for number in range(POLLS)))


def _read(authority: str) -> bytes:
    return Path(authority).read_bytes()


CLIENTS: dict[str, Callable[[str, str], Coroutine[Any, Any, None]]] = {
    "aiohttp": with_aiohttp,
    "http2": with_http2,
    "pyreqwest": with_pyreqwest,
    "pyqwest": with_pyqwest,
}


@contextlib.asynccontextmanager
async def serve(name: str, context: ssl.SSLContext) -> AsyncIterator[str]:
    """A server of the protocol that the client speaks; gives its origin."""
    if name != "aiohttp":

        async def answer(stream: Stream) -> None:
            await stream.respond(200, ANSWER, [("content-type", JSON)])

        async with Http2Server(context, answer) as server:
            yield server.origin
        return

    async def reply(_: web.Request) -> web.Response:
        return web.Response(body=ANSWER, content_type=JSON)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", reply)
    plain = TestServer(app, scheme="https")
    await plain.start_server(ssl=context)
    yield str(plain.make_url("")).rstrip("/")
    await plain.close()


async def run_one(name: str, origin: str, authority: str) -> tuple[int, str]:
    """A process of its own; its exit status, negative for a signal, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.exits", "--transport", name, "--origin", origin, "--authority", authority),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    first = said.decode(errors="replace").strip().partition("\n")[0]
    return process.returncode, re.sub(r"0x[0-9a-f]+", "0x…", first)


async def run_all(name: str, processes: int) -> bool:
    """Runs them one after the other; whether all ended cleanly, and said nothing."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    counts: collections.Counter[tuple[int, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        trusted = str(Path(folder, "authority.pem"))
        authority.cert_pem.write_to_path(trusted)
        async with serve(name, context) as origin:
            for _ in range(processes):
                counts[await run_one(name, origin, trusted)] += 1
    print(f"{name}, Python {sys.version.split()[0]}, {processes} processes of {POLLS} polls, one core each")
    for (status, said), count in counts.most_common():
        print(f"{count:6}  {signal.Signals(-status).name if status < 0 else f'status {status}'}  {said}".rstrip())
    return set(counts) == {(0, "")}


def pin(core: int) -> None:
    """Keeps this process and its threads on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def main() -> None:
    """Runs the processes; as one of them, polls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=CLIENTS, required=True)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--origin", help=argparse.SUPPRESS)
    parser.add_argument("--authority", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.origin is None:
        sys.exit(0 if asyncio.run(run_all(options.transport, options.processes)) else 1)
    pin(0)
    asyncio.run(CLIENTS[options.transport](options.origin, options.authority))


if __name__ == "__main__":
    main()
