"""Credentials: fresh ones in place, one refresh for all who wait, and what a 401 does."""

from __future__ import annotations

import asyncio
import datetime
import functools
import subprocess
import sys
import threading
from typing import Any

import backoff
import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials as StaticCredentials

from lro_poller import Budget, CredentialsError, OperationPoller, PollError
from lro_poller.auth import Authorizer
from lro_poller.testing import Emulator, HttpError
from lro_poller.wire import NoReply

from .scripted import Scripted, done, open_scripted, running

ORIGIN = "https://example.com"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The real clock: refreshes are done in threads, which a jumping one would outrun."""
    return "asyncio", {}


class Tokens(Credentials):
    """Gives `token-1`, `token-2` and so on; each refresh waits until it is let through."""

    def __init__(self, error: Exception | None = None, *, held: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refreshes = 0
        self.error = error
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def refresh(self, request: Any) -> None:
        self.gate.wait(10)
        self.refreshes += 1
        if self.error is not None:
            raise self.error
        self.token = f"token-{self.refreshes}"
        self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)


@pytest.mark.behaviour("B28")
async def test_many_wait_for_one_refresh_and_one_that_is_cancelled_stops_nobody() -> None:
    credentials = Tokens(held=True)
    authorizer = Authorizer(credentials, ORIGIN)
    waiting = [asyncio.ensure_future(authorizer.grant()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    credentials.gate.set()
    grants = await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    assert {grant.fields["authorization"] for grant in grants} == {"Bearer token-1"}
    assert credentials.refreshes == 1


@pytest.mark.behaviour("B28")
async def test_a_fresh_token_is_there_without_waiting_and_a_rejected_one_is_not() -> None:
    authorizer = Authorizer(Tokens(), ORIGIN)
    assert authorizer.current() is None
    first = await authorizer.grant()
    assert authorizer.current() == first
    authorizer.reject(first)
    assert authorizer.current() is None
    second = await authorizer.grant()
    assert second.fields["authorization"] == "Bearer token-2"
    authorizer.reject(first)  # late: the token has changed since
    assert authorizer.current() == second


async def test_no_token_is_sent_without_credentials() -> None:
    assert (await Authorizer(AnonymousCredentials(), ORIGIN).grant()).fields == {}


@pytest.mark.parametrize("retryable, raised", [(True, NoReply), (False, CredentialsError)])
async def test_a_refresh_that_fails_is_passing_or_final(retryable: bool, raised: type[Exception]) -> None:
    authorizer = Authorizer(Tokens(RefreshError("secret answer", retryable=retryable)), ORIGIN)
    with pytest.raises(raised) as caught:
        await authorizer.grant()
    assert "secret" not in str(caught.value)


@pytest.mark.behaviour("B17")
async def test_a_401_brings_one_new_token_and_a_second_is_final(emulator: Emulator) -> None:
    once = emulator.add_operation(response={}, faults=[HttpError(401)])
    twice = emulator.add_operation(response={}, faults=[HttpError(401), HttpError(401)])
    async with OperationPoller(endpoint=emulator.origin, credentials=Tokens()) as poller:
        assert await poller.submit(once) == {}
        with pytest.raises(PollError, match="HTTP 401: UNAUTHENTICATED"):
            await poller.submit(twice)
    sent = [request.headers["authorization"] for request in emulator.requests]
    assert sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-3"]


@pytest.mark.behaviour("B17")
async def test_a_401_to_a_token_that_cannot_be_refreshed_keeps_its_status(emulator: Emulator) -> None:
    name = emulator.add_operation(faults=[HttpError(401)])
    async with OperationPoller(endpoint=emulator.origin, credentials=StaticCredentials("static")) as poller:
        with pytest.raises(PollError, match="refreshing Credentials failed") as caught:
            await poller.submit(name)
    assert caught.value.http_status == 401


class Hanging(Tokens):
    """A token server that never answers."""

    def refresh(self, request: Any) -> None:
        self.gate.wait(30)


@pytest.mark.behaviour("B16", "B28")
async def test_a_refresh_that_hangs_is_not_blamed_on_the_service() -> None:
    credentials = Hanging(held=True)
    async with open_scripted(
        Scripted(lambda name, attempt: done()), credentials=credentials, poll_timeout=0.2, max_poll_failures=0
    ) as poller:
        with pytest.raises(PollError, match=r"no token came within 0\.2 s"):
            await poller.submit("operations/a")
    credentials.gate.set()


_LEAVES_A_REFRESH_BEHIND = """
import asyncio, time
from lro_poller import OperationPoller, PollTimeout
from google.auth.credentials import Credentials

class Hanging(Credentials):
    def refresh(self, request):
        time.sleep(60)

async def main():
    async with OperationPoller(endpoint="http://127.0.0.1:1", credentials=Hanging()) as poller:
        try:
            await poller.submit("operations/a", deadline=0.1)
        except PollTimeout:
            print("ended")

asyncio.run(main())
"""


@pytest.mark.behaviour("B21", "B28")
def test_a_refresh_that_hangs_holds_up_no_exit() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _LEAVES_A_REFRESH_BEHIND], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ended.stdout, ended.stderr) == ("ended\n", "")


@pytest.mark.behaviour("B23", "B28")
async def test_a_poller_whose_token_came_gets_its_turn_between_those_of_others() -> None:
    budget = Budget(32, 20.0)
    busy, late = Scripted(lambda name, attempt: running()), Scripted(lambda name, attempt: done())
    every_moment = functools.partial(backoff.constant, interval=0)
    async with (
        open_scripted(busy, budget=budget, backoff=every_moment) as one,
        open_scripted(late, budget=budget, credentials=Tokens()) as other,
    ):
        for number in range(50):
            one.submit(f"operations/{number}")
        await asyncio.sleep(0.1)
        assert await other.submit("operations/a", deadline=2) == {}


@pytest.mark.behaviour("B26")
async def test_no_repr_holds_the_token() -> None:
    authorizer = Authorizer(Tokens(), ORIGIN)
    await authorizer.grant()
    assert "token-1" not in repr(authorizer)
