"""Batches over real sockets: who gets which reply, what a bad answer does to whom, and what is left of it all."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.message
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from lro_poller import WORKSPACE_EVENTS, OperationPoller, PollError
from lro_poller.engine.verdict import retry_after
from lro_poller.testing import Delay, Emulator, HtmlPage, HttpError, RawReply, Reset, Truncated
from lro_poller.threads import in_daemon_thread
from lro_poller.transports import Transport
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.transports.batch import MAX_ANSWER, BatchTransport
from lro_poller.transports.http2 import Http2Transport
from lro_poller.transports.multipart import write
from lro_poller.wire import MAX_BODY, Fault, NoReply, Reply

from ..conftest import make_poller
from ..scripted import Scripted, running
from ..test_auth import Tokens

Outcome = Reply | NoReply
Parts = list[tuple[str, bytes]]

TOKEN = {"authorization": "Bearer secret", "x-goog-api-client": "gl-python/3"}
MIXED = "multipart/mixed; boundary=b"


class Service:
    """A service with a batch path, which says of each operation its number; and whatever a test has it say."""

    def __init__(self) -> None:
        self.batches: list[list[email.message.Message]] = []
        self.outer: list[Mapping[str, str]] = []
        self.singles: list[web.Request] = []
        self.answer: Callable[[web.Request, Parts], Awaitable[web.StreamResponse]] = answered
        self.origin = ""

    async def batch(self, request: web.Request) -> web.StreamResponse:
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        parts: Any = email.message_from_bytes(head + await request.read()).get_payload()
        self.batches.append(parts)
        self.outer.append(request.headers)
        return await self.answer(request, [(part["Content-ID"], ok(part.get_payload())) for part in parts])

    async def single(self, request: web.Request) -> web.StreamResponse:
        self.singles.append(request)
        return web.json_response({"path": request.path})

    def paths(self) -> list[list[str]]:
        """What each batch asked for."""
        return [[part.get_payload().split()[1] for part in parts] for parts in self.batches]  # type: ignore[union-attr]


def ok(request: str) -> bytes:
    """The message that answers the request of a part."""
    body = json.dumps({"path": request.split()[1]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def named(parts: Parts) -> Parts:
    """The same, with the Content-ID of answers."""
    return [(f"<response-{name[1:]}", message) for name, message in parts]


async def answered(request: web.Request, parts: Parts) -> web.StreamResponse:
    return reply_of(write(b"b", named(parts)))


def reply_of(body: bytes, content_type: str = MIXED) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": content_type})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    served = Service()
    app = web.Application()
    app.router.add_post("/batch", served.batch)
    app.router.add_route("*", "/{tail:.*}", served.single)
    async with TestServer(app, host="127.0.0.1") as server:
        served.origin = f"http://127.0.0.1:{server.port}"
        yield served


@pytest.fixture
async def transport(service: Service) -> AsyncIterator[BatchTransport]:
    transport = BatchTransport(AiohttpTransport(service.origin), "/batch")
    yield transport
    await transport.aclose()
    assert not batch_tasks()


def batch_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "lro-poller batch"]


def path(number: int) -> str:
    return f"/v1/operations/{number}"


def ask(transport: Transport, number: int, fields: Mapping[str, str] = TOKEN) -> asyncio.Task[Reply]:
    headers = {**fields, "x-goog-request-params": f"name=operations/{number}"}
    return asyncio.ensure_future(transport.send("GET", path(number), headers))


async def ask_all(transport: Transport, count: int) -> list[Outcome]:
    outcomes = await asyncio.gather(*(ask(transport, number) for number in range(count)), return_exceptions=True)
    assert all(isinstance(outcome, Reply | NoReply) for outcome in outcomes), outcomes
    return outcomes  # type: ignore[return-value]


def shown(outcomes: Sequence[Outcome]) -> list[int | str]:
    """The status of each reply, after a look at whose it is; or the fault."""
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Reply) and outcome.status == 200:
            assert json.loads(outcome.body) == {"path": path(number)}
    return [outcome.status if isinstance(outcome, Reply) else outcome.fault.name for outcome in outcomes]


# What is sent.


async def test_polls_go_out_together_and_each_has_its_own_reply(service: Service, transport: BatchTransport) -> None:
    assert shown(await ask_all(transport, 30)) == [200] * 30
    assert service.paths() == [[path(number) for number in range(30)]]
    assert service.singles == []


@pytest.mark.behaviour("B25")
async def test_what_is_every_polls_is_outside_and_what_is_one_polls_is_inside(
    service: Service, transport: BatchTransport
) -> None:
    await ask_all(transport, 2)
    await ask_all(transport, 2)
    (outer, _), parts = service.outer, [part for parts in service.batches for part in parts]
    assert TOKEN.items() <= {name.lower(): value for name, value in outer.items()}.items()
    assert outer["Accept-Encoding"] == "identity"
    assert "x-goog-request-params" not in outer
    assert len({part["Content-ID"] for part in parts}) == 4
    for number, part in enumerate(parts):
        assert part.get_content_type() == "application/http"
        lines = [f"GET {path(number % 2)} HTTP/1.1", f"x-goog-request-params: name=operations/{number % 2}", "", ""]
        assert part.get_payload() == "\r\n".join(lines)


async def test_a_full_batch_does_not_wait(service: Service) -> None:
    transport = BatchTransport(AiohttpTransport(service.origin), "/batch", max_parts=10, max_wait=1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert shown(await ask_all(transport, 20)) == [200] * 20
    assert loop.time() - before < 1
    assert shown(await ask_all(transport, 15)) == [200] * 15
    assert loop.time() - before >= 1
    assert [len(parts) for parts in service.batches] == [10, 10, 10, 5]
    await transport.aclose()


async def test_a_poll_waits_two_milliseconds_for_others(service: Service, transport: BatchTransport) -> None:
    first = ask(transport, 0)
    await asyncio.sleep(0.001)
    assert shown(await asyncio.gather(first, ask(transport, 1))) == [200, 200]
    assert len(service.batches) == 1
    late = ask(transport, 0)
    await asyncio.sleep(0.003)
    await asyncio.gather(late, ask(transport, 1))
    assert len(service.batches) == 1


async def test_a_lone_poll_and_what_is_no_poll_go_by_themselves(service: Service, transport: BatchTransport) -> None:
    await ask(transport, 1)
    await asyncio.gather(*(transport.send("POST", f"{path(number)}:cancel", TOKEN) for number in range(2)))
    assert service.batches == []
    assert sorted((one.method, one.path) for one in service.singles) == [
        ("GET", path(1)),
        ("POST", path(0) + ":cancel"),
        ("POST", path(1) + ":cancel"),
    ]
    assert all(one.headers["authorization"] == "Bearer secret" for one in service.singles)


@pytest.mark.behaviour("B25")
async def test_polls_of_different_tokens_do_not_meet(service: Service, transport: BatchTransport) -> None:
    tokens = [{"authorization": f"Bearer {number % 2}"} for number in range(6)]
    await asyncio.gather(*(ask(transport, number, token) for number, token in enumerate(tokens)))
    heard = {outer["authorization"]: paths for outer, paths in zip(service.outer, service.paths(), strict=True)}
    assert heard == {"Bearer 0": [path(0), path(2), path(4)], "Bearer 1": [path(1), path(3), path(5)]}


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("fields", [{}, {"x-goog-request-params": "a\r\n\r\n--lro-poller"}])
async def test_no_line_is_smuggled_into_a_part(
    service: Service, transport: BatchTransport, fields: dict[str, str]
) -> None:
    target = path(1) if fields else "/v1 HTTP/1.1\r\nA: b"
    with pytest.raises(ValueError, match="control characters"):
        await transport.send("GET", target, fields)
    assert shown(await ask_all(transport, 2)) == [200, 200]


# Answers that are bad in one part.


def with_part(number: int, change: Callable[[bytes], bytes]) -> Callable[[Parts], bytes]:
    """An answer in which one part holds something else."""
    return lambda parts: write(b"b", [(n, change(m) if i == number else m) for i, (n, m) in enumerate(named(parts))])


def status(line: bytes, fields: bytes = b"") -> Callable[[Parts], bytes]:
    return with_part(1, lambda message: b"HTTP/1.1 %b\r\n%b\r\n{}" % (line, fields))


ONE_BROKEN: list[int | str] = [200, "BROKEN", 200]


BAD_ANSWERS: dict[str, tuple[Callable[[Parts], bytes], list[int | str]]] = {
    "out of order": (lambda parts: write(b"b", named(parts)[::-1]), [200, 200, 200]),
    "twice": (lambda parts: write(b"b", named(parts)[:2] + named(parts)[1:]), ONE_BROKEN),
    "twice, and different": (lambda parts: write(b"b", [*named(parts), (named(parts)[1][0], b"")]), ONE_BROKEN),
    "left out": (lambda parts: write(b"b", named(parts)[::2]), ONE_BROKEN),
    "unknown ids": (lambda parts: write(b"b", [*named(parts), ("<response-999>", parts[0][1])]), [200, 200, 200]),
    "ids of the request": (lambda parts: write(b"b", [named(parts)[0], parts[1], named(parts)[2]]), ONE_BROKEN),
    "nobody's ids": (lambda parts: write(b"b", parts), ["BROKEN"] * 3),
    "LF": (lambda parts: write(b"b", named(parts)).replace(b"\r\n", b"\n"), [200, 200, 200]),
    "preamble": (lambda parts: b"hello\r\n" + write(b"b", named(parts)) + b"goodbye", [200, 200, 200]),
    "another boundary": (lambda parts: write(b"c", named(parts)), ["BROKEN"] * 3),
    "no final boundary": (lambda parts: write(b"b", named(parts))[: -len(b"\r\n--b--\r\n")], [200, 200, "BROKEN"]),
    "cut short": (lambda parts: write(b"b", named(parts))[:-40], [200, 200, "BROKEN"]),
    "nested": (with_part(1, lambda message: write(b"in", [("<response-1>", message)])), ONE_BROKEN),
    "no status line": (with_part(1, lambda message: message.partition(b"\r\n")[2]), ONE_BROKEN),
    "a status of text": (status(b"OK"), ONE_BROKEN),
    "a status of 0": (status(b"000 OK"), ONE_BROKEN),
    "a status of four digits": (status(b"2000 OK"), ONE_BROKEN),
    "a request": (with_part(1, lambda message: b"GET / HTTP/1.1\r\n\r\n"), ONE_BROKEN),
    "nothing": (with_part(1, lambda message: b""), ONE_BROKEN),
    "Content-Length too long": (status(b"200 OK", b"Content-Length: 3\r\n"), ONE_BROKEN),
    "Content-Length too short": (status(b"200 OK", b"Content-Length: 1\r\n"), ONE_BROKEN),
    "gzip": (status(b"200 OK", b"Content-Encoding: gzip\r\n"), ONE_BROKEN),
    "401 inside": (status(b"401 Unauthorized"), [200, 401, 200]),
    "429 inside": (status(b"429 Too Many Requests"), [200, 429, 200]),
    "no reason": (status(b"503"), [200, 503, 200]),
    "too large": (
        with_part(1, lambda message: b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (MAX_BODY + 1)),
        [200, "TOO_LARGE", 200],
    ),
    "endless fields": (status(b"200 OK", b"A: b\r\n" * 10_000), ONE_BROKEN),
    "a flood of parts": (lambda parts: write(b"b", named(parts) * 10_000), ["BROKEN"] * 3),
    "a flood of delimiters": (lambda parts: b"--b\r\n" * 100_000, ["BROKEN"] * 3),
    "no part": (lambda parts: b"--b--", ["BROKEN"] * 3),
    "empty": (lambda parts: b"", ["BROKEN"] * 3),
}


@pytest.mark.behaviour("B16", "B19")
@pytest.mark.parametrize("answer, outcomes", [pytest.param(*row, id=name) for name, row in BAD_ANSWERS.items()])
async def test_a_part_is_judged_by_itself(
    service: Service, transport: BatchTransport, answer: Callable[[Parts], bytes], outcomes: list[int | str]
) -> None:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        return reply_of(answer(parts))

    service.answer = give
    assert shown(await ask_all(transport, 3)) == outcomes
    assert service.singles == []
    service.answer = answered
    assert shown(await ask_all(transport, 3)) == [200, 200, 200]
    assert len(service.batches) == 2


@pytest.mark.parametrize(
    "content_type, outcomes",
    [
        ('multipart/mixed; boundary="b"', [200, 200]),
        ("MULTIPART/MIXED; charset=utf-8; Boundary=b", [200, 200]),
        ("multipart/mixed; boundary=c", ["BROKEN", "BROKEN"]),
    ],
)
async def test_the_boundary_is_the_one_that_the_answer_names(
    service: Service, transport: BatchTransport, content_type: str, outcomes: list[int | str]
) -> None:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        return reply_of(write(b"b", named(parts)), content_type)

    service.answer = give
    assert shown(await ask_all(transport, 2)) == outcomes


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "inner, outer, seconds",
    [
        (b"Retry-After: 7\r\n", {}, 7),
        (b"Retry-After: Mon, 01 Jan 2024 00:01:00 GMT\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n", {}, 60),
        (b"Retry-After: Mon, 01 Jan 2024 00:01:00 GMT\r\n", {"Date": "Mon, 01 Jan 2024 00:00:30 GMT"}, 30),
        (b"", {"Retry-After": "7"}, 0),
    ],
)
async def test_retry_after_is_that_of_the_part(
    service: Service, transport: BatchTransport, inner: bytes, outer: dict[str, str], seconds: float
) -> None:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        message = b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n" % inner
        body = write(b"b", [(name, message) for name, _ in named(parts)])
        return web.Response(body=body, headers={"Content-Type": MIXED, **outer})

    service.answer = give
    for outcome in await ask_all(transport, 2):
        assert isinstance(outcome, Reply)
        assert retry_after(outcome.headers, 0.0) == seconds


# Answers that are bad as a whole.


def always(
    status: int, body: bytes = b"{}", fields: Mapping[str, str] | None = None
) -> Callable[[web.Request, Parts], Any]:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=fields)

    return give


@pytest.mark.behaviour("B16", "B18")
@pytest.mark.parametrize("outside", [401, 408, 429, 500, 502, 503, 504])
async def test_what_passes_is_every_polls_own(service: Service, transport: BatchTransport, outside: int) -> None:
    service.answer = always(outside, fields={"Retry-After": "7", "Content-Type": MIXED})
    outcomes = await ask_all(transport, 3)
    assert shown(outcomes) == [outside] * 3
    assert all(isinstance(outcome, Reply) and retry_after(outcome.headers, 0.0) == 7 for outcome in outcomes)
    service.answer = answered
    assert shown(await ask_all(transport, 3)) == [200] * 3
    assert (len(service.batches), service.singles) == (2, [])


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("outside", [200, 204, 302, 400, 403, 404, 405, 410, 413, 415, 501])
async def test_a_service_that_takes_no_batches_is_polled_one_by_one(
    service: Service, transport: BatchTransport, outside: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lro_poller")
    service.answer = always(outside)
    assert shown(await ask_all(transport, 3)) == [200] * 3
    assert "refused" in repr(transport)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{transport.origin} takes no batches at /batch (HTTP {outside}); polls go out one by one"
    ]
    assert shown(await ask_all(transport, 3)) == [200] * 3
    assert (len(service.batches), len(service.singles)) == (1, 6)
    assert all(one.headers["x-goog-request-params"] for one in service.singles)


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("content_type", ["text/html", "application/json", "multipart/mixed"])
async def test_a_page_from_a_service_that_knew_batches_passes_and_is_nobodys_operation(
    service: Service, transport: BatchTransport, content_type: str
) -> None:
    await ask_all(transport, 2)
    service.answer = always(200, b'{"done": true, "response": {}}', {"Content-Type": content_type})
    assert shown(await ask_all(transport, 2)) == ["BROKEN", "BROKEN"]
    service.answer = answered
    assert shown(await ask_all(transport, 2)) == [200, 200]
    assert service.singles == []


@pytest.mark.behaviour("B27")
async def test_polls_whose_answer_is_too_large_for_all_are_sent_one_by_one_that_once(
    service: Service, transport: BatchTransport
) -> None:
    service.answer = always(200, b" " * (MAX_ANSWER + 1), {"Content-Type": MIXED})
    assert shown(await ask_all(transport, 3)) == [200] * 3
    assert len(service.singles) == 3
    service.answer = answered
    assert shown(await ask_all(transport, 3)) == [200] * 3
    assert (len(service.batches), len(service.singles)) == (2, 3)


@pytest.mark.behaviour("B27")
async def test_an_error_is_as_large_as_that_of_a_poll_may_be(service: Service, transport: BatchTransport) -> None:
    service.answer = always(500, b" " * (MAX_BODY + 1))
    assert shown(await ask_all(transport, 2)) == ["TOO_LARGE", "TOO_LARGE"]


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("resets, outcomes", [(1, [200, 200]), (2, ["UNREACHABLE", "UNREACHABLE"])])
async def test_a_connection_that_breaks_is_tried_once_more(
    service: Service, transport: BatchTransport, resets: int, outcomes: list[int | str]
) -> None:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        if len(service.batches) <= resets:
            assert request.transport is not None
            request.transport.abort()
        return await answered(request, parts)

    service.answer = give
    first, second = await ask_all(transport, 2)
    assert shown([first, second]) == outcomes
    assert first is not second
    assert len(service.batches) == 2


async def test_no_connection_is_said_to_each_with_its_cause() -> None:
    transport = BatchTransport(AiohttpTransport("http://127.0.0.1:1"), "/batch")
    for outcome in await ask_all(transport, 2):
        assert isinstance(outcome, NoReply)
        assert outcome.fault is Fault.UNREACHABLE
        assert isinstance(outcome.__cause__, OSError)
    await transport.aclose()


@pytest.mark.behaviour("B16")
async def test_a_body_that_breaks_off_is_every_polls_fault(service: Service, transport: BatchTransport) -> None:
    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": MIXED, "Content-Length": "100000"})
        await response.prepare(request)
        await response.write(write(b"b", named(parts)))
        assert request.transport is not None
        request.transport.close()
        return response

    service.answer = give
    assert shown(await ask_all(transport, 2)) == ["BROKEN", "BROKEN"]


# Who goes, and what is left.


@pytest.fixture
def hanging(service: Service) -> asyncio.Event:
    """Set when a batch has come, which is answered when this is cleared and set again."""
    come = asyncio.Event()

    async def give(request: web.Request, parts: Parts) -> web.StreamResponse:
        come.set()
        await asyncio.sleep(5)
        return await answered(request, parts)

    service.answer = give
    return come


@pytest.mark.behaviour("B20", "B22")
async def test_a_caller_that_goes_loses_its_own_part(
    service: Service, transport: BatchTransport, hanging: asyncio.Event
) -> None:
    polls = [ask(transport, number) for number in range(3)]
    await hanging.wait()
    polls[1].cancel()
    assert shown([await polls[0]]) == [200]
    assert (await polls[2]).status == 200
    assert polls[1].cancelled()


@pytest.mark.behaviour("B22")
async def test_a_batch_that_nobody_waits_for_is_cut(
    service: Service, transport: BatchTransport, hanging: asyncio.Event
) -> None:
    polls = [ask(transport, number) for number in range(3)]
    await hanging.wait()
    (task,) = batch_tasks()
    for poll in polls:
        poll.cancel()
        assert not task.done()
        await asyncio.wait([poll])
    await asyncio.wait([task], timeout=0.1)
    assert task.cancelled()


@pytest.mark.behaviour("B22")
async def test_a_caller_that_goes_before_the_batch_does_is_not_in_it(
    service: Service, transport: BatchTransport
) -> None:
    for count, sent in ((4, [[path(0), path(2), path(3)]]), (1, [])):
        service.batches.clear()
        polls = [ask(transport, number) for number in range(count)]
        await asyncio.sleep(0)
        polls[min(1, count - 1)].cancel()
        await asyncio.wait(polls)
        await asyncio.sleep(1)
        assert service.paths() == sent
    assert service.singles == []
    assert transport._gathering == {}


@pytest.mark.behaviour("B21", "B22")
async def test_closing_ends_what_gathers_and_what_is_under_way(
    service: Service, transport: BatchTransport, hanging: asyncio.Event
) -> None:
    under_way = [ask(transport, number) for number in range(2)]
    await hanging.wait()
    gathering = [ask(transport, number) for number in range(2)]
    await asyncio.sleep(0)
    await transport.aclose()
    assert not batch_tasks()
    for poll in under_way + gathering:
        with pytest.raises(NoReply, match=r"was closed$"):
            await poll
    assert len(service.batches) == 1


@pytest.mark.behaviour("B22")
async def test_cancelling_at_every_step_of_the_loop_leaves_nothing(service: Service) -> None:
    for steps in range(40):
        transport = BatchTransport(AiohttpTransport(service.origin), "/batch", max_wait=0)
        polls = [ask(transport, number) for number in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for poll in polls:
            poll.cancel()
        await asyncio.wait(polls)
        assert all(poll.cancelled() or poll.result().status == 200 for poll in polls)
        await transport.aclose()
        assert (transport._gathering, transport._under_way, batch_tasks()) == ({}, {}, [])


@pytest.mark.behaviour("B19")
async def test_a_bug_in_the_transport_beneath_is_told_to_everyone_and_leaves_nobody_waiting() -> None:
    class Bug(AiohttpTransport):
        async def send(self, *args: Any, **options: Any) -> Reply:
            raise ZeroDivisionError

    transport = BatchTransport(Bug("http://127.0.0.1:1"), "/batch")
    outcomes = await asyncio.gather(*(ask(transport, number) for number in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    await transport.aclose()


# Anything at all.


class Canned(AiohttpTransport):
    """Answers every batch with the same."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("http://127.0.0.1:1")
        self.reply = reply

    async def send(self, *args: Any, **options: Any) -> Reply:
        return self.reply


JUNK = st.lists(
    st.sampled_from(
        [
            *(b"--b", b"--b--", b"\r\n", b"\n", b"\r\n\r\n", b"HTTP/1.1 200 OK", b"HTTP/1.1 429 ", b"Retry-After: x"),
            *(b"Content-ID: <response-%d>" % number for number in range(3)),
            *(b"Content-Length: 2", b"Content-Encoding: gzip", b"{}"),
        ]
    )
    | st.binary(max_size=4),
    max_size=60,
).map(b"".join)


@given(st.sampled_from([200, 206, 401, 429, 503]), JUNK)
def test_any_answer_comes_to_replies_or_none(outside: int, body: bytes) -> None:
    async def check() -> None:
        transport = BatchTransport(Canned(Reply(outside, {"Content-Type": MIXED}, body)), "/batch")
        for outcome in await ask_all(transport, 3):
            if isinstance(outcome, Reply):
                assert outcome.body in body
                assert 0 <= retry_after(outcome.headers, 0.0) <= 900
        await transport.aclose()

    asyncio.run(check())


# Through the poller, against the emulator.


@contextlib.asynccontextmanager
async def batching(emulator: Emulator, **options: Any) -> AsyncIterator[OperationPoller]:
    transport = BatchTransport(AiohttpTransport(emulator.origin), WORKSPACE_EVENTS.batch_path)
    async with make_poller(emulator.origin, transport=transport, **options) as poller:
        yield poller


@pytest.mark.behaviour("B16", "B19")
@pytest.mark.parametrize(
    "fault",
    [
        *(HttpError(status) for status in (408, 429, 500, 503)),
        *(Reset(), Truncated(), HtmlPage(), Delay(2), RawReply(b"[]"), RawReply(b" " * (MAX_BODY + 1))),
    ],
    ids=lambda fault: repr(fault)[:40],
)
async def test_what_passes_is_survived_in_a_batch(emulator: Emulator, fault: Any) -> None:
    names = [
        emulator.add_operation(response={"n": number}, faults=[fault] if number == 1 else []) for number in range(5)
    ]
    async with batching(emulator) as poller:
        futures = await poller.wait_all(names, deadline=300)
        assert [future.result() for future in futures] == [{"n": number} for number in range(5)]
    assert "/batch" in {request.path for request in emulator.requests}


@pytest.mark.behaviour("B17")
async def test_what_is_final_is_final_for_its_own_operation(emulator: Emulator) -> None:
    names = [emulator.add_operation(response={}, faults=[HttpError(403)]), emulator.add_operation(response={})]
    async with batching(emulator) as poller:
        refused, fine = await poller.wait_all(names, deadline=300)
    error = refused.exception()
    assert isinstance(error, PollError)
    assert error.http_status == 403
    assert fine.result() == {}


@pytest.mark.behaviour("B17", "B28")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # a token is fetched in a thread, which a jumping clock outruns
async def test_a_401_inside_brings_a_new_token(emulator: Emulator) -> None:
    names = [emulator.add_operation(response={}, faults=[HttpError(401)] * (number < 2)) for number in range(4)]
    tokens = Tokens()
    tokens.refresh(None)
    async with batching(emulator, credentials=tokens) as poller:
        assert [future.result() for future in await poller.wait_all(names, deadline=300)] == [{}] * 4
    assert {request.headers["authorization"] for request in emulator.requests} == {"Bearer token-1", "Bearer token-2"}


@pytest.mark.behaviour("B17")
async def test_a_poller_of_a_service_without_batches(emulator: Emulator) -> None:
    names = [emulator.add_operation(polls=2, response={}) for _ in range(5)]
    transport = BatchTransport(AiohttpTransport(emulator.origin), "/nothing/here")
    async with make_poller(emulator.origin, transport=transport) as poller:
        assert [future.result() for future in await poller.wait_all(names, deadline=300)] == [{}] * 5
    assert [request.path for request in emulator.requests].count("/nothing/here") == 1


@pytest.mark.behaviour("B26")
async def test_no_token_is_shown(service: Service, transport: BatchTransport, hanging: asyncio.Event) -> None:
    polls = [ask(transport, number) for number in range(2)]
    await hanging.wait()
    texts = [repr(transport), repr(list(transport._under_way.values())), repr(batch_tasks())]
    assert not any("secret" in text for text in texts)
    await asyncio.gather(*polls)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_path": None}, "has no batch path"),
        ({"batch_path": "batch"}, "must begin with '/'"),
        ({"max_parts": 0}, "max_parts"),
        ({"max_parts": 1001}, "max_parts"),
        ({"max_parts": 1.5}, "max_parts"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchTransport(AiohttpTransport("http://127.0.0.1:1"), **{"batch_path": "/batch", **options})


def test_it_is_a_transport() -> None:
    transport = BatchTransport(AiohttpTransport("http://127.0.0.1:1"), "/batch")
    assert isinstance(transport, Transport)
    assert transport.library == AiohttpTransport.library


@pytest.mark.parametrize(
    "transport",
    [Http2Transport("https://example.com"), Scripted(lambda name, attempt: running()), AiohttpTransport, None, "x"],
    ids=lambda transport: type(transport).__name__,
)
def test_what_sends_no_bodies_is_refused(transport: Any) -> None:
    with pytest.raises(TypeError, match="what sends batches must be a transport that sends bodies"):
        BatchTransport(transport, "/batch")


def test_what_does_not_tell_what_it_takes_is_believed_to_send_bodies() -> None:
    class Odd:
        library, origin, send = "rest/odd", "https://example.com", staticmethod(min)

    assert BatchTransport(Odd(), "/batch").origin == "https://example.com"  # type: ignore[arg-type]


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the other loop is in a thread, which a jumping clock outruns
async def test_a_batch_gathers_polls_of_one_event_loop(emulator: Emulator) -> None:
    transport = BatchTransport(AiohttpTransport(emulator.origin), "/batch", max_wait=1.0)
    path = f"/v1beta/{emulator.add_operation()}"
    polling = asyncio.ensure_future(transport.send("GET", path, {}))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="is in use in another event loop; each loop needs its own"):
        await in_daemon_thread(lambda: asyncio.run(transport.send("GET", path, {})))
    assert (await polling).status == 200
    await transport.aclose()
