"""What a poller is made of is checked where it is handed in: mistakes that people make, and what they are told."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from lro_poller import Code, OperationPoller, PollError
from lro_poller.testing import Emulator
from lro_poller.testing.faults import Delay, HtmlPage, HttpError, RawReply, Trickle, WrongName
from lro_poller.testing.operations import Script
from lro_poller.transports.aiohttp import AiohttpTransport
from lro_poller.transports.batch import BatchTransport
from lro_poller.transports.http2 import Http2Transport

from .conftest import make_poller


async def async_generator() -> AsyncIterator[float]:
    yield 1.0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"budget": 8}, "budget must be a Budget, not 8"),
        ({"budget": 0}, "budget must be a Budget, not 0"),
        ({"history": "h.json"}, "history must be a History, not 'h.json'"),
        ({"history": {}}, "history must be a History, not {}"),
        ({"random": 0.5}, "random must be a function, not 0.5"),
        ({"random": None}, "random must be a function, not None"),
        ({"transport": "http2"}, "transport must have library, send and aclose"),
        ({"credentials": "key.json"}, "not str; google.auth.load_credentials_from_file"),
        ({"credentials": AnonymousCredentials}, "an object, not a class: AnonymousCredentials()"),
        ({"transport": AiohttpTransport}, "transport must have library, send and aclose"),
        ({"credentials": {"private_key": "secret"}}, "not dict"),
    ],
)
def test_a_part_of_a_wrong_kind_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        OperationPoller(**options)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("batched", [False, True])
async def test_a_transport_to_somewhere_else_is_refused(batched: bool) -> None:
    transport: Any = AiohttpTransport("https://elsewhere.example")
    transport = BatchTransport(transport, "/batch") if batched else transport
    with pytest.raises(ValueError, match=r"sends to https://elsewhere\.example.*endpoint='https://elsewhere\.example'"):
        OperationPoller(transport=transport)
    assert OperationPoller(transport=transport, endpoint="https://ELSEWHERE.example:443/")


@pytest.mark.behaviour("B26")
async def test_a_transport_in_the_clear_to_another_machine_is_refused_as_an_endpoint_is() -> None:
    transport = AiohttpTransport("http://192.0.2.2")
    with pytest.raises(ValueError, match="plain HTTP to another machine"):
        OperationPoller(transport=transport, credentials=AnonymousCredentials())


CARRIER = AiohttpTransport("https://example.com")
Aiohttp: Any = AiohttpTransport
Http2: Any = Http2Transport
Batch: Any = BatchTransport
Poller: Any = OperationPoller


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Aiohttp("nonsense"), ValueError, "must be an origin"),
        (lambda: Aiohttp("https://user:SECRET@host"), ValueError, "must be an origin"),
        (lambda: Aiohttp("https://host", ssl_context=False), TypeError, "ssl_context must be a SSLContext"),
        (lambda: Aiohttp("https://host", ssl_context="ca.pem"), TypeError, "ssl_context must be a SSLContext"),
        (lambda: Aiohttp("https://host", proxy_from_environment="http://p"), TypeError, "must be a bool"),
        (lambda: Http2("https://host", ssl_context=True), TypeError, "ssl_context must be a SSLContext"),
        (lambda: Batch(CARRIER, 5), TypeError, "batch_path must be a str"),
        (lambda: Batch(CARRIER, "batch"), ValueError, "batch_path must begin with '/'"),
        (lambda: Batch(CARRIER, "/batch", max_wait="x"), ValueError, "max_wait must be a number of seconds"),
        (lambda: Batch(CARRIER, "/batch", max_wait=2), ValueError, "max_wait must be a number of seconds fr"),
        (lambda: Poller(scopes=5), TypeError, "scopes must be several texts"),
        (lambda: Poller(scopes=b"x"), TypeError, "scopes must be several texts"),
    ],
)
def test_an_argument_that_is_none_is_refused_where_it_is_given(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("origin", ["https://127.0.0.1/x", "https://user@127.0.0.1", "ftp://127.0.0.1"])
async def test_http2_goes_to_an_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="must be an origin"):
        Http2Transport(origin)


def test_http2_says_which_extra_it_needs() -> None:
    script = "import sys; sys.modules['hpack'] = None; import lro_poller.transports.http2"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stderr
    assert (
        said.splitlines()[-1]
        == "ImportError: HTTP/2 needs the extra http2 of lro-poller: pip install hpack aiohappyeyeballs"
    )


async def test_a_choice_that_is_none_is_told_the_choices(poller: OperationPoller) -> None:
    with pytest.raises(ValueError, match="one of 'leave', 'cancel', 'cancel_and_wait', not 'x'"):
        poller.submit("operations/a", at_deadline="x")  # type: ignore[call-overload]


async def test_an_option_that_is_none_is_told_the_options(poller: OperationPoller) -> None:
    token = poller.submit("operations/a").token
    calls: list[Callable[..., Any]] = [
        functools.partial(poller.wait_all, ["operations/a"]),
        functools.partial(poller.as_completed, ["operations/a"]),
        functools.partial(poller.resume, token),
    ]
    for call in calls:
        with pytest.raises(
            TypeError, match=r"no option 'timeout'; the options are at_deadline, backoff, deadline, dec"
        ):
            await call(timeout=5)


@pytest.mark.parametrize("given", [5, None, "operations/a", {"name": "operations/a"}])
async def test_several_operations_are_asked_for_where_one_is_given(poller: OperationPoller, given: Any) -> None:
    with pytest.raises(TypeError, match="operations must be several, such as a list of names"):
        await poller.wait_all(given)
    with pytest.raises(TypeError, match="operations must be several, such as a list of names"):
        poller.as_completed(given)
    with pytest.raises(TypeError, match="operations must be several, such as a list of names, not OperationFuture"):
        await poller.wait_all(poller.submit("operations/a"))  # type: ignore[call-overload]


class Asynchronous:
    async def __call__(self, _: object) -> object: ...


async def asynchronous(_: object) -> object: ...


@pytest.mark.parametrize("given", [asynchronous, Asynchronous(), functools.partial(asynchronous)])
async def test_what_would_have_to_be_awaited_is_refused_beforehand(poller: OperationPoller, given: Any) -> None:
    for option in ("decode", "progress"):
        with pytest.raises(TypeError, match=f"{option} must be a plain function, for nobody would await"):
            poller.submit("operations/a", **{option: given})
    with pytest.raises(TypeError, match="a callback must be a plain function"):
        poller.submit("operations/a").add_done_callback(given)


class AwaitedInTheEnd:
    def __init__(self, future: object = None) -> None:
        self.future = future

    async def __call__(self) -> None:
        """Made by a call that nobody has to await."""


async def test_what_is_made_may_want_to_be_awaited_where_its_making_does_not(poller: OperationPoller) -> None:
    future = poller.submit("operations/a")
    future.add_done_callback(AwaitedInTheEnd)
    with pytest.raises(TypeError, match="a callback must be a plain function"):
        future.add_done_callback(AwaitedInTheEnd())  # type: ignore[arg-type]


def test_a_rate_is_told_as_polls_a_second() -> None:
    with pytest.raises(ValueError, match="max_rate must be a number of polls a second above 0, not 0"):
        OperationPoller(max_rate=0)


def test_a_rate_too_large_to_be_one_is_none() -> None:
    assert OperationPoller(max_rate=10**400).budget.max_rate == sys.float_info.max


async def test_a_single_look_that_fails_is_told_once(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    name = emulator.add_operation(faults=[HttpError(503)])
    with caplog.at_level(logging.WARNING, "lro_poller"):
        async with make_poller(emulator.origin) as poller:
            with pytest.raises(PollError):
                await poller.get(name)
    assert not caplog.records


@pytest.mark.parametrize(
    "script, message",
    [
        ({"faults": [503]}, "a fault must be one of"),
        ({"faults": [HttpError]}, "a fault must be one of"),
        ({"error": Code.OK}, "a Code of a failure"),
        ({"duration": "2s"}, "duration must be a number of seconds"),
        ({"duration": True}, "duration must be a number of seconds"),
        ({"faults": 503}, "faults must be several"),
        ({"error": "X"}, "error must be a Code"),
        ({"response": {1}}, "response must be the JSON of an object"),
        ({"response": {"a": {1}}}, "not JSON serializable"),
        ({"response": {"a": float("nan")}}, "not JSON compliant"),
        ({"response": 5}, "response must be the JSON of an object"),
        ({"metadata": 5}, "metadata must be the JSON of an object"),
        ({"metadata": [{}, 5]}, "metadata must be the JSON of an object"),
        ({"metadata": []}, "metadata must be an object or several of them"),
        ({"polls": "3"}, "polls must be a whole number"),
        ({"polls": 1.5}, "polls must be a whole number"),
        ({"polls": -1}, "polls must be a whole number"),
        ({"duration": math.nan}, "duration must be a number of seconds"),
    ],
)
def test_a_script_that_nobody_can_play_is_refused(script: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Script(**script)
    assert message in str(caught.value)


@pytest.mark.parametrize("status", ["x", 200, 600])
def test_an_error_of_http_has_a_status_of_an_error(status: Any) -> None:
    with pytest.raises(ValueError, match="300 to 599"):
        HttpError(status)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Delay("x"),  # type: ignore[arg-type]
        lambda: Trickle(-1.0),
        lambda: HttpError(503, retry_after="1\n2"),
        lambda: HttpError(503, message=b"x"),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_nobody_can_play_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError), match="must be"):
        make()


def test_a_pause_may_be_none_at_all() -> None:
    assert (Delay(0).seconds, Trickle(0).interval, Script(duration=0).duration) == (0, 0, 0)


def test_allowing_plain_http_is_a_choice_of_two() -> None:
    with pytest.raises(TypeError, match="allow_http must be a bool, not 'no'"):
        OperationPoller(endpoint="http://example.com", allow_http="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [asyncio.sleep, async_generator])
def test_waits_that_would_have_to_be_awaited_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="backoff must be a plain function"):
        OperationPoller(backoff=make)


@pytest.mark.parametrize("kind", ["report-\udcff.csv", "\ud800"])
async def test_a_kind_that_cannot_be_written_down_is_refused_where_it_is_named(
    poller: OperationPoller, kind: str
) -> None:
    with pytest.raises(ValueError, match=r"^kind cannot be written in UTF-8"):
        poller.submit("operations/a", kind=kind)
    with pytest.raises(ValueError, match=r"^kind cannot be written in UTF-8"):
        poller.history.add("workspaceevents:v1beta", kind, 1.0)
    for wrong in (None, 5, poller.history):
        with pytest.raises(TypeError, match="service must be a"):
            poller.history.add(_any(wrong), "kind", 1.0)
    assert poller.history.save()


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("bound, goes_on", [(0, False), (1, True)])
async def test_that_polling_goes_on_is_said_only_where_it_does(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, bound: int, goes_on: bool
) -> None:
    caplog.set_level(logging.WARNING, "lro_poller")
    async with make_poller(emulator.origin, max_poll_failures=bound) as poller:
        (future,) = await poller.wait_all([emulator.add_operation(faults=[HttpError(503)])])
    assert (future.exception() is None) is goes_on
    assert ("polling goes on" in caplog.text) is goes_on


@pytest.mark.behaviour("B18")
async def test_a_429_is_told_with_what_it_does_to_all_polls(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lro_poller")
    async with make_poller(emulator.origin) as poller:
        await poller.submit(emulator.add_operation("operations/a", faults=[HttpError(429, retry_after=20)]))
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == (
        "operations/a: a poll failed: HTTP 429: RESOURCE_EXHAUSTED; "
        "no poll starts for 20 s, and then 0.5 a second at the most"
    )


@pytest.mark.parametrize("options", [{"deadline": 1}, {"decode": int}, {"kind": "a", "expected": None}])
async def test_what_a_future_cannot_be_given_any_more_is_not_asked_of_it(
    poller: OperationPoller, options: dict[str, Any]
) -> None:
    future = poller.submit("operations/a")
    (option, *_) = options
    with pytest.raises(TypeError, match=f"keeps what it was submitted with: pass its name, or leave out {option}$"):
        await poller.wait_all([future], **options)
    with pytest.raises(TypeError, match="keeps what it was submitted with"):
        poller.as_completed(["operations/b", future], **options)
    assert poller.pending() == [future]


def _any(given: Any) -> Any:
    """As callers without a type checker have it."""
    return given


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: _any(HtmlPage)(status="x"), "status must be a whole number"),
        (lambda: _any(RawReply)(status="x"), "status must be a whole number"),
        (lambda: _any(RawReply)(body=5), "body must be a bytes"),
        (lambda: _any(RawReply)(headers=5), "headers must be a dict"),
        (lambda: _any(RawReply)(headers={"a": 5}), "the value of a header field must be a str"),
        (lambda: _any(HttpError)(details=5), "details must be several JSON objects"),
        (lambda: _any(HttpError)(details=[{"a": {1}}]), "not JSON serializable"),
        (lambda: _any(WrongName)(object()), "name must be a str"),
        (lambda: _any(Emulator()).plan(5), "a script must be a Script"),
        (lambda: _any(Emulator)(ssl_context=5), "ssl_context must be a SSLContext"),
    ],
)
def test_a_fault_that_cannot_be_played_is_refused_where_it_is_given(make: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


async def test_a_duration_beyond_all_numbers_is_for_ever(emulator: Emulator) -> None:
    name = emulator.add_operation(duration=10**400)
    async with make_poller(emulator.origin) as poller:
        assert not (await poller.get(name)).done
