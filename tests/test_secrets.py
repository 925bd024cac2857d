"""No log line, repr, exception or trace holds a token or a response body (B26)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import RefreshError, TransportError
from rich.pretty import pretty_repr

from lro_poller import WORKSPACE_EVENTS, DecodeError, InvalidOperationName, LroError, NotFound, PollError
from lro_poller.auth import Grant
from lro_poller.engine.verdict import Ended
from lro_poller.sender import Answer
from lro_poller.wire import Reply

from .scripted import Scripted, done, open_scripted, running

A = "operations/a"
SECRET = "s3cret-" + "x" * 30


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The real clock: refreshes are done in threads, which a jumping one would outrun."""
    return "asyncio", {}


class Token(Credentials):
    """A token that is as it is."""

    def __init__(self, token: str | None, error: Exception | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = token
        self.refreshes = 0
        self._error = error

    @property
    def token_state(self) -> TokenState:
        return TokenState.INVALID if self._error is not None else TokenState.FRESH

    def refresh(self, request: Any) -> None:
        self.refreshes += 1
        assert self._error is not None
        raise self._error


def everything(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    """All that somebody could see of an error: its chain, with the locals' reprs left out, and the log."""
    told = "".join(traceback.format_exception(error)) + caplog.text
    chain: BaseException | None = error
    while chain is not None:
        told += repr(chain) + str(chain)
        chain = chain.__cause__ or chain.__context__
    return told


async def fail(poller: Any, **options: Any) -> LroError:
    with pytest.raises(LroError) as caught:
        await poller.submit(A, **options)
    return caught.value


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "error",
    [
        RefreshError("failed", {"error": SECRET}),
        RefreshError(SECRET, retryable=True),
        TransportError(SECRET),
        KeyError(SECRET),
    ],
)
async def test_what_a_token_server_answers_is_told_nowhere(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lro_poller")
    async with open_scripted(
        Scripted(lambda name, attempt: done()), credentials=Token(None, error), max_poll_failures=0
    ) as poller:
        failure = await fail(poller)
    assert isinstance(failure, PollError)
    assert "Token" in str(failure)
    assert SECRET not in everything(failure, caplog)


@pytest.mark.behaviour("B26")
async def test_what_a_service_says_of_a_failure_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lro_poller")
    body = json.dumps({"error": {"code": 503, "message": SECRET * 10_000}}).encode()
    answers = [Reply(503, {}, body), done()]
    async with open_scripted(Scripted(lambda name, attempt: answers[attempt - 1])) as poller:
        assert await poller.submit(A) == {}
    assert "HTTP 503" in caplog.text
    assert SECRET not in caplog.text
    assert len(caplog.text) < 1000


@pytest.mark.behaviour("B26")
async def test_a_token_that_a_service_echoes_is_told_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"error": {"code": 403, "message": f"Bearer {SECRET} is not enough"}}).encode()
    async with open_scripted(Scripted(lambda name, attempt: Reply(403, {}, body)), credentials=Token(SECRET)) as poller:
        failure = await fail(poller)
    assert "is not enough" in str(failure)
    assert SECRET not in everything(failure, caplog)


class Typed(msgspec.Struct):
    n: int


@pytest.mark.behaviour("B6", "B26")
async def test_a_response_that_does_not_fit_is_quoted_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    replies: list[Any] = [{"n": SECRET}, {SECRET: 1}, SECRET]
    for response in replies:
        async with open_scripted(Scripted(lambda name, attempt, response=response: done(response))) as poller:  # type: ignore[misc]
            failure = await fail(poller, decode=Typed)
        assert isinstance(failure, DecodeError)
        assert SECRET not in everything(failure, caplog)
        assert SECRET in failure.operation.raw.decode()


@pytest.mark.behaviour("B19", "B25")
@pytest.mark.parametrize("token", ["abc\r\nX-Evil: 1", "abc\n", "abc\x00", "abc\ud800"])
async def test_a_token_that_is_no_header_field_is_final_and_sent_nowhere(token: str) -> None:
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport, credentials=Token(token)) as poller:
        failure = await fail(poller, deadline=5)
    assert isinstance(failure, PollError)
    assert transport.sent == []


@pytest.mark.behaviour("B19", "B25")
@pytest.mark.parametrize("name", ["operations/\ud800", "operations/a\udfff", "operations/\ud800\udc00"])
async def test_a_lone_surrogate_is_no_name(name: str) -> None:
    async with open_scripted(Scripted(lambda name, attempt: done())) as poller:
        for ask in (poller.submit, lambda given: poller.submit({"name": given, "done": False})):
            with pytest.raises((InvalidOperationName, ValueError)):
                ask(name)
        assert poller.stats().pending == 0


@pytest.mark.behaviour("B16", "B28")
async def test_a_token_server_that_fails_is_left_alone_for_a_while() -> None:
    credentials = Token(None, TransportError("down"))
    async with open_scripted(Scripted(lambda name, attempt: done()), credentials=credentials) as poller:
        futures = [poller.submit(f"operations/{number}", deadline=2.5) for number in range(50)]
        await asyncio.sleep(2.4)
        assert 1 <= credentials.refreshes <= 3
        for future in futures:
            future.cancel()


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize("show", [repr, pretty_repr])
async def test_neither_repr_nor_rich_shows_a_token_or_a_body(show: Callable[[object], str]) -> None:
    """Reporters of errors show the variables of every frame."""
    status = {"code": 5, "message": SECRET, "details": [{"@type": "type.googleapis.com/x.Y", "z": SECRET}]}
    reply = done(error=status)
    async with open_scripted(Scripted(lambda name, attempt: reply)) as poller:
        future = poller.submit(A)
        with pytest.raises(NotFound):
            await asyncio.wait_for(future, 10)
    assert future.operation is not None
    grant = Grant({"authorization": SECRET}, (SECRET.encode(),))
    answer = Answer(Reply(200, {"x": SECRET}, reply.body), grant, 0.0)
    verdict = Ended(future.operation)
    for one in (future, future._tracker, future.operation, future.operation.error, reply, grant, answer, verdict):
        assert SECRET not in show(one)


@pytest.mark.behaviour("B20")
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"not json", b"\xff", b'{"done": "perhaps"}', b'{"error": {"code": 5}}']
)
async def test_whatever_is_said_to_a_cancellation_it_was_accepted(body: bytes) -> None:
    service = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
    async with open_scripted(
        Scripted(lambda name, attempt: Reply(200, {}, body) if name.endswith(":cancel") else running()), service=service
    ) as poller:
        assert await poller.cancel(A) is None  # type: ignore[func-returns-value]
