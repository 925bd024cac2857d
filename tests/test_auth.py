"""Credentials: fresh ones in place, one refresh for all who wait, and what a 401 does."""

from __future__ import annotations

import asyncio
import datetime
import functools
import gc
import threading
import traceback
from collections.abc import Callable
from typing import Any

import backoff
import pytest
from google.auth.api_key import Credentials as ApiKey
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2.credentials import Credentials as StaticCredentials

from lro_poller import Budget, CredentialsError, OperationPoller, PollError, PollTimeout
from lro_poller.auth import Authorizer, Grant
from lro_poller.testing import Emulator, HttpError
from lro_poller.wire import NoReply, Reply

from .scripted import Scripted, done, open_scripted, running

ORIGIN = "https://example.com"


def now() -> float:
    return asyncio.get_running_loop().time()


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
    assert authorizer.current(now()) is None
    first = await authorizer.grant()
    assert authorizer.current(now()) == first
    authorizer.reject(first)
    assert authorizer.current(now()) is None
    second = await authorizer.grant()
    assert second.fields["authorization"] == "Bearer token-2"
    authorizer.reject(first)  # late: the token has changed since
    assert authorizer.current(now()) == second


async def test_no_token_is_sent_without_credentials() -> None:
    assert (await Authorizer(AnonymousCredentials(), ORIGIN).grant()).fields == {}


@pytest.mark.behaviour("B17")
async def test_a_401_to_nobody_is_final_and_ends_no_other_wait(emulator: Emulator) -> None:
    refused = emulator.add_operation(faults=[HttpError(401), HttpError(401)])
    async with OperationPoller(endpoint=emulator.origin, credentials=AnonymousCredentials()) as poller:
        with pytest.raises(PollError, match="HTTP 401"):
            await poller.submit(refused)
        assert await poller.submit(emulator.add_operation(response={})) == {}


@pytest.mark.parametrize(
    "error, raised",
    [
        (RefreshError("secret answer", retryable=True), NoReply),
        (RefreshError("secret answer", retryable=False), CredentialsError),
        (ConnectionResetError("secret answer"), NoReply),
        (TimeoutError("secret answer"), NoReply),
        (PermissionError("secret answer"), CredentialsError),
        (ValueError("secret answer"), CredentialsError),
    ],
)
async def test_a_refresh_that_fails_is_passing_or_final(error: Exception, raised: type[Exception]) -> None:
    authorizer = Authorizer(Tokens(error), ORIGIN)
    with pytest.raises(raised) as caught:
        await authorizer.grant()
    assert "secret" not in str(caught.value)


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "said, told",
    [
        ("invalid_grant: Token of alice@example.com has expired or was revoked", "RefreshError (invalid_grant; it has"),
        ("invalid_client: secret answer", "RefreshError (invalid_client)"),
        ("unsupported_grant_type: secret answer", "RefreshError (unsupported_grant_type)"),
        ("unauthorized_client: secret answer", "RefreshError (unauthorized_client; ask for those scopes alone that"),
        ("invalid_scope: secret answer", "RefreshError (invalid_scope; ask for those scopes alone that"),
        ("secret answer", "RefreshError"),
        ("The credentials do not contain the necessary fields need to refresh", "RefreshError (it is a token alone"),
    ],
)
async def test_of_what_a_token_server_says_only_the_words_of_the_standard_are_told(said: str, told: str) -> None:
    authorizer = Authorizer(Tokens(RefreshError(said, {"error_description": said})), ORIGIN)
    with pytest.raises(CredentialsError) as caught:
        await authorizer.grant()
    assert f"refreshing Tokens failed: {told}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "alice" not in str(caught.value)


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
    name = emulator.add_operation(faults=[HttpError(401)] * 2)
    async with OperationPoller(endpoint=emulator.origin, credentials=StaticCredentials("static")) as poller:
        with pytest.raises(PollError, match=r"HTTP 401; refreshing Credentials failed.*it is a token alone") as caught:
            await poller.submit(name)
    assert caught.value.http_status == 401
    assert emulator.polls(name) == 2


@pytest.mark.behaviour("B17")
async def test_a_401_after_which_there_is_no_token_any_more_keeps_its_status() -> None:
    class Gone(Tokens):
        def refresh(self, request: Any) -> None:
            super().refresh(request)
            if self.refreshes > 1:
                self.token = None
                raise RefreshError("invalid_grant")

    transport = Scripted(lambda name, attempt: Reply(401, {}, b""))
    async with open_scripted(transport, credentials=Gone()) as poller:
        with pytest.raises(PollError, match="refreshing Gone failed") as caught:
            await poller.submit("operations/a")
    assert (caught.value.http_status, len(transport.sent)) == (401, 1)


class Same(Tokens):
    """Whose token server has one and no other, as the metadata server's until it nearly expires."""

    def refresh(self, request: Any) -> None:
        super().refresh(request)
        self.token = "token-same"


@pytest.mark.behaviour("B17", "B19")
@pytest.mark.parametrize("make", [Same, lambda: StaticCredentials("token-same")])
async def test_a_401_about_one_operation_ends_no_other_ones_wait(
    emulator: Emulator, make: Callable[[], Credentials]
) -> None:
    once, twice = (emulator.add_operation(faults=[HttpError(401)] * times, duration=0.3) for times in (1, 2))
    others = [emulator.add_operation(duration=0.3) for _ in range(20)]
    async with emulator.poller(credentials=make()) as poller:
        futures = await poller.wait_all([once, twice, *others], deadline=10)
    assert [future.name for future in futures if future.exception() is not None] == [twice]


@pytest.mark.behaviour("B17", "B19")
async def test_a_401_while_refreshes_rest_ends_no_other_ones_wait(emulator: Emulator) -> None:
    """A token that is stale, and cannot be renewed: it is used until it runs out, whatever one poll is told."""
    credentials = Tokens(RefreshError("invalid_grant"))
    credentials.token = "stale"
    credentials.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(minutes=1)
    names = [
        emulator.add_operation(duration=0.6, faults=[None] * 3 + [HttpError(401)] * (number == 0))
        for number in range(9)
    ]
    async with emulator.poller(credentials=credentials) as poller:
        futures = await poller.wait_all(names, deadline=10)
    assert [future.exception() for future in futures] == [None] * 9


@pytest.mark.behaviour("B28")
async def test_a_token_that_came_although_the_refresh_failed_is_used() -> None:
    class Shared(Tokens):
        """Another one who has the same credentials was faster, and the token to refresh by is spent."""

        def refresh(self, request: Any) -> None:
            super().refresh(request)
            if self.refreshes > 1:
                raise RefreshError("invalid_grant")

    authorizer = Authorizer(Shared(), ORIGIN)
    first = await authorizer.grant()
    authorizer.reject(first)
    assert await authorizer.grant() != first


@pytest.mark.behaviour("B28")
async def test_refreshes_that_hang_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lro_poller.auth._LONGEST_REFRESH", 0.02)
    monkeypatch.setattr("lro_poller.auth.retry_wait", lambda failures, wait: 0.0)
    credentials = Hanging(held=True)
    authorizer, said = Authorizer(credentials, ORIGIN), []
    for _ in range(6):
        with pytest.raises(NoReply) as caught:
            await authorizer.grant()
        said.append(str(caught.value))
    monkeypatch.undo()
    credentials.gate.set()
    assert said == ["refreshing Hanging took more than 0.02 s"] * 3 + ["refreshing Hanging hangs"] * 3
    while authorizer._threads:
        await asyncio.sleep(0)
    with pytest.raises(CredentialsError, match="the refreshed token of Hanging is not usable"):  # it was asked again
        await authorizer.grant()


@pytest.mark.behaviour("B28")
async def test_a_timeout_of_the_credentials_own_is_told_as_such() -> None:
    with pytest.raises(NoReply, match="refreshing Tokens failed: TimeoutError"):
        await Authorizer(Tokens(TimeoutError()), ORIGIN).grant()


@pytest.mark.behaviour("B28")
async def test_a_refresh_without_end_is_given_up_and_begun_again(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lro_poller.auth._LONGEST_REFRESH", 0.05)
    credentials = Tokens(held=True)
    refresh, begun = credentials.refresh, list[Any]()

    def count(request: Any) -> None:
        begun.append(request)
        if len(begun) == 2:
            credentials.gate.set()
        refresh(request)

    monkeypatch.setattr(credentials, "refresh", count)
    async with emulator.poller(credentials=credentials) as poller:
        future = poller.submit(emulator.add_operation())
        await future
        assert len(begun) == 2


@pytest.mark.behaviour("B17")
async def test_why_a_refreshed_token_is_of_no_use_is_told() -> None:
    class Aware(Tokens):
        def refresh(self, request: Any) -> None:
            self.token, self.expiry = "t", datetime.datetime.now(datetime.UTC)

    class Late(Tokens):
        def refresh(self, request: Any) -> None:
            self.token, self.expiry = "t", datetime.datetime(2001, 1, 1)  # noqa: DTZ001 - as google-auth has it

    for credentials, why in ((Aware(), "Aware cannot be used: TypeError"), (Late(), "has expired by this clock")):
        with pytest.raises(CredentialsError, match=why):
            await Authorizer(credentials, ORIGIN).grant()


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


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "raised", [RefreshError("secret"), TransportError("secret"), ValueError("secret"), OSError("secret")]
)
async def test_no_error_of_a_refresh_is_chained_for_it_may_quote_the_token_server(raised: Exception) -> None:
    with pytest.raises((NoReply, CredentialsError)) as caught:
        await Authorizer(Tokens(raised), ORIGIN).grant()
    assert type(raised).__name__ in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.behaviour("B28")
async def test_after_a_refresh_that_failed_the_token_server_is_left_alone_for_a_second() -> None:
    credentials = Tokens(RefreshError("no", retryable=True))
    authorizer = Authorizer(credentials, ORIGIN)
    assert not authorizer.ready(now())
    for _ in range(3):
        with pytest.raises(NoReply, match="refreshing Tokens failed: RefreshError"):
            await authorizer.grant()
        assert authorizer.ready(now())  # to say so at once
    assert credentials.refreshes == 1


@pytest.mark.behaviour("B28")
async def test_the_more_refreshes_failed_in_a_row_the_longer_the_token_server_is_left_alone() -> None:
    authorizer, rests = Authorizer(Tokens(RefreshError("no", retryable=True)), ORIGIN), list[float]()
    for _ in range(4):
        authorizer._rests_until = 0.0  # a while later
        with pytest.raises(NoReply):
            await authorizer.grant()
        rests.append(authorizer._rests_until - now())
    assert rests == pytest.approx([1, 2, 4, 8], abs=0.5)


@pytest.mark.behaviour("B28")
async def test_a_stale_token_is_used_while_one_refresh_goes_on() -> None:
    credentials = Tokens(held=True)
    credentials.token = "token-0"
    credentials.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=60)
    authorizer = Authorizer(credentials, ORIGIN)
    for _ in range(3):
        grant = authorizer.current(now())
        assert grant is not None
        assert grant.fields["authorization"] == "Bearer token-0"
    credentials.gate.set()
    assert grant is not None
    authorizer.reject(grant)
    assert (await authorizer.grant()).fields["authorization"] == "Bearer token-1"
    assert credentials.refreshes == 1


class Short(Tokens):
    """Whose tokens are so near their end when they come that google-auth calls them stale."""

    def refresh(self, request: Any) -> None:
        super().refresh(request)
        self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=200)


async def refreshed(authorizer: Authorizer, when: float) -> None:
    """Somebody asks for a token at `when`; returns when no refresh is under way any more."""
    assert authorizer.current(when) is not None
    if authorizer._refreshing is not None:
        await asyncio.wait([authorizer._refreshing])


@pytest.mark.behaviour("B28")
async def test_a_token_that_is_stale_as_it_comes_is_not_renewed_at_every_poll() -> None:
    credentials = Short()
    authorizer = Authorizer(credentials, ORIGIN)
    await authorizer.grant()
    for _ in range(30):
        await refreshed(authorizer, now())
    assert credentials.refreshes == 1
    await refreshed(authorizer, now() + 31)
    assert credentials.refreshes == 2


@pytest.mark.behaviour("B28")
async def test_a_stale_token_that_cannot_be_renewed_is_not_renewed_at_every_poll() -> None:
    credentials = Tokens(RefreshError("no", retryable=True))
    credentials.token = "token-0"
    credentials.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=60)
    authorizer = Authorizer(credentials, ORIGIN)
    for _ in range(30):
        await refreshed(authorizer, now())
    assert credentials.refreshes == 1


@pytest.mark.behaviour("B28")
async def test_closing_waits_for_no_refresh_and_has_nothing_reported() -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    credentials = Tokens(held=True)
    authorizer = Authorizer(credentials, ORIGIN)
    await authorizer.aclose()
    waiting = asyncio.ensure_future(authorizer.grant())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await authorizer.aclose()
    assert "lro-poller refresh" not in {task.get_name() for task in asyncio.all_tasks()}
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not reported
    credentials.gate.set()


@pytest.mark.behaviour("B17")
async def test_the_only_token_there_is_is_used_again_and_asked_for_once() -> None:
    credentials = Same()
    authorizer = Authorizer(credentials, ORIGIN)
    first = await authorizer.grant()
    assert authorizer.reject(first) == ""
    for _ in range(3):
        again = await authorizer.grant()
        assert again == first
        assert authorizer.reject(again) == "Same gave the same token that was refused with 401"
    assert credentials.refreshes == 2


@pytest.mark.behaviour("B17")
async def test_the_only_token_there_was_is_asked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lro_poller.auth._LAST_RESORT", 0.0)
    credentials = Same()
    authorizer = Authorizer(credentials, ORIGIN)
    authorizer.reject(await authorizer.grant())
    assert authorizer.reject(await authorizer.grant()) == ""
    await authorizer.grant()
    assert credentials.refreshes == 3
    credentials.token = "another"
    authorizer._fresh_until = 0.0  # a moment later
    assert authorizer.reject(await authorizer.grant()) == ""


@pytest.mark.behaviour("B25", "B26")
@pytest.mark.parametrize("token", ["line\r\nx-evil: 1", "nul\0", "\u2028", "del\x7f"])
async def test_a_token_that_would_add_header_fields_is_not_sent(token: str) -> None:
    class Broken(Tokens):
        def refresh(self, request: Any) -> None:
            super().refresh(request)
            self.token = token

    with pytest.raises(CredentialsError) as caught:
        await Authorizer(Broken(), ORIGIN).grant()
    assert "evil" not in str(caught.value)


@pytest.mark.behaviour("B28")
async def test_an_api_key_is_sent_without_a_refresh_and_cannot_be_rejected() -> None:
    authorizer = Authorizer(ApiKey("key-abcdefgh"), ORIGIN)
    assert authorizer.ready(now())
    assert authorizer.current(now()) is None
    grant = await authorizer.grant()
    assert grant == Grant({"x-goog-api-key": "key-abcdefgh"}, (b"key-abcdefgh",))
    authorizer.reject(grant)
    assert await authorizer.grant() == grant


@pytest.mark.behaviour("B26")
async def test_an_api_key_that_cannot_be_sent_is_an_error_without_it() -> None:
    with pytest.raises(CredentialsError, match=r"^Credentials cannot be used: ValueError$"):
        await Authorizer(ApiKey("secret\n"), ORIGIN).grant()


@pytest.mark.behaviour("B26")
async def test_a_token_that_a_server_echoes_is_blotted_out() -> None:
    grant = await Authorizer(StaticCredentials("abcdefgh-token"), ORIGIN).grant()
    censored = grant.censor(Reply(403, {"A": "b"}, b"you sent abcdefgh-token, twice: abcdefgh-token"))
    assert censored == Reply(403, {"A": "b"}, b"you sent [token], twice: [token]")
    untouched = Reply(200, {}, b"{}")
    assert grant.censor(untouched) is untouched
    for token, secrets in (("done", ()), ("seven77", ()), ("eight888", (b"eight888",))):
        assert (await Authorizer(StaticCredentials(token), ORIGIN).grant()).secrets == secrets


class Capital(StaticCredentials):
    """Writes the name of the field as people do."""

    def apply(self, headers: dict[str, str], token: str | None = None) -> None:
        headers["Authorization"] = f"Bearer {self.token}"


@pytest.mark.behaviour("B26")
async def test_a_token_is_secret_however_the_name_of_its_field_is_written() -> None:
    grant = await Authorizer(Capital("abcdefgh-token"), ORIGIN).grant()  # type: ignore[no-untyped-call]
    assert grant.censor(Reply(403, {}, b"you sent abcdefgh-token")).body == b"you sent [token]"


@pytest.mark.behaviour("B28")
async def test_a_refresh_that_nobody_waits_for_fails_without_a_word() -> None:
    heard = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["message"]))
    credentials = Tokens(RefreshError("no"))
    credentials.token = "token-0"
    credentials.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=60)
    authorizer = Authorizer(credentials, ORIGIN)
    await refreshed(authorizer, now())
    assert credentials.refreshes == 1
    authorizer._refreshing = credentials.error = None  # what was raised leads to the task
    await asyncio.sleep(0)
    gc.collect()
    assert heard == []


@pytest.mark.behaviour("B28")
async def test_whoever_comes_while_refreshes_rest_is_told_by_an_error_of_their_own() -> None:
    authorizer = Authorizer(Tokens(RefreshError("no")), ORIGIN)
    errors = []
    for _ in range(3):
        with pytest.raises(CredentialsError) as caught:
            await authorizer.grant()
        errors.append(caught.value)
    assert len({str(error) for error in errors}) == 1
    assert errors[1] is not errors[2]


@pytest.mark.behaviour("B28")
async def test_a_grant_is_the_same_for_as_long_as_its_token_is() -> None:
    credentials = Tokens()
    authorizer = Authorizer(credentials, ORIGIN)
    grant = await authorizer.grant()
    assert authorizer.current(now() + 2) is grant
    authorizer.reject(grant)  # by a poll that was sent before
    assert authorizer.current(now() + 4) is None


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize("raised", [ValueError("secret"), asyncio.CancelledError("secret")])
async def test_credentials_that_raise_when_they_are_looked_at_are_of_no_use(raised: BaseException) -> None:
    class Broken(Tokens):
        @property
        def token_state(self) -> Any:
            raise raised

    authorizer = Authorizer(Broken(), ORIGIN)
    assert authorizer.current(now()) is None
    with pytest.raises(CredentialsError, match=rf"Broken cannot be used: {type(raised).__name__}$"):
        await authorizer.grant()


@pytest.mark.behaviour("B22")
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
async def test_what_stops_the_program_is_no_fault_of_the_credentials(stop: type[BaseException]) -> None:
    class Stopping(Tokens):
        @property
        def token_state(self) -> Any:
            raise stop

    with pytest.raises(stop):
        Authorizer(Stopping(), ORIGIN).current(now())


@pytest.mark.behaviour("B11", "B28")
async def test_what_only_waited_for_a_token_counts_as_no_poll() -> None:
    credentials, transport = Hanging(held=True), Scripted(lambda name, attempt: done())
    async with open_scripted(transport, credentials=credentials) as poller:
        with pytest.raises(PollTimeout, match=r"0 polls; .* It was not polled: no turn came for it .*, or no token$"):
            await poller.submit("operations/a", deadline=0.1)
        credentials.gate.set()
        assert poller.stats().polls == 0


@pytest.mark.behaviour("B11", "B28")
async def test_a_token_that_cannot_be_had_is_told_as_that_and_counts_as_no_poll() -> None:
    credentials = Tokens(RefreshError("no", retryable=True))
    async with open_scripted(Scripted(lambda name, attempt: done()), credentials=credentials) as poller:
        with pytest.raises(PollTimeout, match=r"0 polls; .* It was not polled: refreshing Tokens failed") as caught:
            await poller.submit("operations/a", deadline=1.5)
        assert caught.value.last_poll_error is not None
        assert poller.stats().polls == 0


@pytest.mark.behaviour("B19", "B28")
async def test_a_token_that_cannot_be_had_is_the_failure_of_one_poll_and_no_others() -> None:
    credentials = Tokens(TransportError("down"))
    transport = Scripted(lambda name, attempt: done())
    async with open_scripted(transport, credentials=credentials, max_poll_failures=0) as poller:
        futures = [poller.submit(f"operations/{number}") for number in range(20)]
        while not credentials.refreshes:
            await asyncio.sleep(0.01)
        credentials.error = None
        await poller.wait_all(futures)
    failed = [future.exception() for future in futures if future.exception() is not None]
    assert [type(error) for error in failed] == [PollError]
