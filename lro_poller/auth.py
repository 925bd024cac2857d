"""google-auth's credentials, used without blocking the loop.

Decides which token a poll carries. A fresh token is applied in place; a stale one is used
while one refresh goes on in a thread; without a usable one every poll awaits that same
refresh. Whoever is cancelled while waiting cancels nobody's refresh (B28).
"""

from __future__ import annotations

import asyncio
import functools
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import google.auth
import google.auth.environment_vars
import google.auth.exceptions
from google.auth.credentials import AnonymousCredentials, TokenState

from .engine.retry import retry_wait
from .errors import CredentialsError
from .threads import in_daemon_thread
from .wire import Fault, NoReply, Reply

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["Authorizer", "Grant", "Headers"]

Headers: TypeAlias = Mapping[str, str]

_NO_TOKEN = object()
_TRUSTED_FOR = 1.0  # seconds in which a fresh token is not looked at again
_SECRET_FIELDS = frozenset({"authorization", "x-goog-api-key"})
_SHORTEST_SECRET = 8  # characters; what is shorter is no token, and may be a part of any word
_FIELD = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, section 5.5

_OAUTH_ERRORS = (
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_request",
)
_REMEDIES = {
    "invalid_grant": "; it has expired or was revoked: sign in again, or supply another",
    "invalid_scope": "; ask for those scopes alone that were granted",
    "unauthorized_client": "; ask for those scopes alone that were granted",
}
_NOT_REFRESHABLE = "do not contain the necessary fields"  # in google-auth's words, of a token without a refresh_token
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # of files that hold a token
_LONGEST_REFRESH = 60.0  # seconds; a token server that sends byte by byte is not waited for for ever
_RENEWED_APART = 30.0  # seconds between two renewals of a token that is stale as it comes
_MOST_THREADS = 3  # of refreshes that hang
_LAST_RESORT = 60.0  # seconds in which nobody asks for another token than the only one
_REFRESH_TIMEOUT = 30  # seconds for one request to a token server; google-auth's own default is 120


class Grant(NamedTuple):
    """What authorizes a poll: header fields, and what in them is secret."""

    fields: Headers
    secrets: tuple[bytes, ...]

    def __repr__(self) -> str:
        """Whoever reports a failure with the variables of each frame must not report the token."""
        return "<Grant>"

    def censor(self, reply: Reply) -> Reply:
        """The reply, with what is secret blotted out where a server echoes it: its words end in errors and logs."""
        for secret in self.secrets:
            if secret in reply.body:
                reply = Reply(reply.status, reply.headers, reply.body.replace(secret, b"[token]"))
        return reply


class _LastResort(NamedTuple):
    """A token that was refused once, and is the only one that there is."""

    token: object
    until: float
    """When another one is asked for again."""
    why: str


class Authorizer:
    """The header fields that authorize a poll.

    `current()` gives the fields if they can be had without waiting, and `grant()` waits
    for them. `reject()` says that the server did not accept some. None of them raises
    anything but what `grant` says, whatever the credentials do.
    """

    def __init__(self, credentials: Credentials, origin: str) -> None:
        self._credentials = credentials
        self._kind = type(credentials).__name__
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._refreshing: asyncio.Task[None] | None = None
        self._cached = Grant({}, ())
        self._cached_token: object = None
        self._fresh_until = math.inf if isinstance(credentials, AnonymousCredentials) else -math.inf
        self._rejected: object = _NO_TOKEN
        self._last_resort: _LastResort | None = None
        self._threads: set[object] = set()  # in which refreshes are under way, those that were given up included
        self._per_request = _is_per_request(credentials)
        self._failures = 0
        self._renewed_at = -math.inf
        self._failure: CredentialsError | NoReply | None = None
        self._rests_until = -math.inf

    def __repr__(self) -> str:
        return f"<Authorizer with {self._kind} for {self._origin}>"

    def current(self, now: float) -> Grant | None:
        """The header fields if there is a usable token at `now`, else None. Starts a refresh when it is stale."""
        if now < self._fresh_until:
            return self._cached
        if self._per_request:
            return None
        try:
            return self._look(now)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the credentials are the caller's
            self._rest(CredentialsError(f"{self._kind} cannot be used: {type(error).__name__}"))
            return None

    def ready(self, now: float) -> bool:
        """Whether `grant()` would return, or raise, without waiting for a refresh."""
        fresh = now < self._fresh_until or self._per_request
        return fresh or self.current(now) is not None or now < self._rests_until

    async def grant(self) -> Grant:
        """The header fields, after a refresh if one is needed.

        Raises:
            NoReply: the token server could not be reached; the next try may succeed.
            CredentialsError: the credentials do not work.
        """
        if self._per_request:
            return self._sign()
        grant = self.current(self._loop.time())
        if grant is None:
            if self._failure is not None and self._loop.time() < self._rests_until:
                if isinstance(self._failure, CredentialsError) and (old := self._fall_back(self._failure)) is not None:
                    return old
                raise type(self._failure)(*self._failure.args)
            refreshing = self._refresh()
            await asyncio.wait([refreshing])  # in place of shield, which reports a failure when nobody waits for it
            refreshing.result()
            grant = self.current(self._loop.time())
        if grant is None:
            expired = f"the refreshed token of {self._kind} is not usable: it is none, or has expired by this clock"
            raise CredentialsError(expired if self._failure is None else str(self._failure))
        return grant

    def reject(self, grant: Grant) -> str:
        """The server answered 401 to these fields: a poll that still has their token gets a new one.

        Returns why there is no other, where that has just been found out; "" where there may be one.
        """
        if grant is not self._cached or self._fresh_until == math.inf:
            return ""
        last = self._last_resort
        if last is not None and last.token == self._cached_token and self._loop.time() < last.until:
            return last.why
        self._rejected, self._fresh_until = self._cached_token, -math.inf
        return ""

    async def aclose(self) -> None:
        """Stops waiting for a refresh that is under way. Its thread is left behind."""
        task, self._refreshing = self._refreshing, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    def _look(self, now: float) -> Grant | None:
        credentials = self._credentials
        state, token = credentials.token_state, credentials.token
        if state is TokenState.INVALID or token == self._rejected:
            return None
        if state is TokenState.STALE and now >= max(self._rests_until, self._renewed_at + _RENEWED_APART):
            self._refresh()
        if token != self._cached_token:
            fields: dict[str, str] = {}
            credentials.apply(fields)
            self._cached, self._cached_token = _grant(fields), token
        if state is TokenState.FRESH:
            self._fresh_until = now + _TRUSTED_FOR
        return self._cached

    def _sign(self) -> Grant:
        """Fields made for each request. Signing takes processor time only, and its result is cached."""
        fields: dict[str, str] = {}
        try:
            self._credentials.before_request(None, "GET", self._origin + "/", fields)
            return _grant(fields)
        except Exception as error:
            what = f"{self._kind} cannot be used: {type(error).__name__}"
        raise CredentialsError(what)

    def _refresh(self) -> asyncio.Task[None]:
        """The refresh that is under way, begun if there is none."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(self._run_refresh(), name="lro-poller refresh")
            self._refreshing.add_done_callback(_retrieve)
        return self._refreshing

    async def _run_refresh(self) -> None:
        failure = await self._try_refresh()
        if failure is None:
            self._failures, self._failure, self._renewed_at = 0, None, self._loop.time()
            return
        self._failures += 1
        self._rest(failure)
        raise failure

    async def _try_refresh(self) -> CredentialsError | NoReply | None:
        """Refreshes; returns what went wrong. google-auth's own errors quote the token server: none is chained."""
        if len(self._threads) >= _MOST_THREADS:
            return NoReply(Fault.UNAUTHORIZED, f"refreshing {self._kind} hangs")
        failure, limit = None, asyncio.timeout(_LONGEST_REFRESH)
        try:
            async with limit:
                await in_daemon_thread(self._refresh_here)
        except Exception as error:
            if limit.expired():
                return NoReply(Fault.UNAUTHORIZED, f"refreshing {self._kind} took more than {_LONGEST_REFRESH:g} s")
            what = f"refreshing {self._kind} failed: {type(error).__name__}{_oauth_error(error)}"
            if _passes(error):
                return NoReply(Fault.UNAUTHORIZED, what)
            failure = CredentialsError(what)
        else:
            if self._credentials.token == self._rejected:
                failure = CredentialsError(f"{self._kind} gave the same token that was refused with 401")
        return None if failure is None or self._fall_back(failure) is not None else failure

    def _refresh_here(self) -> None:
        """Refreshes, in a thread."""
        this = object()
        self._threads.add(this)
        try:
            self._credentials.refresh(_request())
        finally:
            self._threads.discard(this)

    def _fall_back(self, failure: CredentialsError) -> Grant | None:
        """What may be used where there is no new token: one that was refused once may be good for other operations.

        An operation whose poll is refused twice has ended by then, and no other has. None where nothing may.
        """
        now = self._loop.time()
        rejected, self._rejected = self._rejected, _NO_TOKEN
        grant = None if rejected is _NO_TOKEN else self.current(now)
        if grant is None:
            self._rejected = rejected
        elif self._cached_token == rejected:  # else somebody has come by another one meanwhile
            self._last_resort = _LastResort(rejected, now + _LAST_RESORT, str(failure))
        return grant

    def _rest(self, failure: CredentialsError | NoReply) -> None:
        """Until when the token server is left alone: whoever needs a token is told of the last failure."""
        self._failure = failure
        self._rests_until = self._loop.time() + retry_wait(max(self._failures, 1), 0.0)


def _passes(error: Exception) -> bool:
    """Whether the next refresh may go well."""
    match error:
        case google.auth.exceptions.TransportError():
            return True
        case google.auth.exceptions.GoogleAuthError():
            return bool(error.retryable)
    return isinstance(error, OSError) and not isinstance(error, _LASTING)


def _oauth_error(error: Exception) -> str:
    """What a token server said, where it is one of the words of RFC 6749, section 5.2; its own text is not quoted."""
    if not isinstance(error, google.auth.exceptions.GoogleAuthError):
        return ""
    if _NOT_REFRESHABLE in str(error):
        return " (it is a token alone, which is wrong or has expired: supply credentials that can be refreshed)"
    word = next((word for word in _OAUTH_ERRORS if word in str(error)), None)
    if word is None:
        return ""
    return f" ({word}{_REMEDIES.get(word, '')})"


def _grant(fields: dict[str, str]) -> Grant:
    """Raises ValueError for fields that cannot be sent: a line break in a token would add fields of its own."""
    if not all(isinstance(value, str) and _FIELD.fullmatch(value) for value in fields.values()):
        raise ValueError("not fit for a header")
    secrets = (value.rpartition(" ")[2] for name, value in fields.items() if name.lower() in _SECRET_FIELDS)
    return Grant(fields, tuple(secret.encode() for secret in secrets if len(secret) >= _SHORTEST_SECRET))


def _is_per_request(credentials: Credentials) -> bool:
    """Whether these have no token to refresh: each request is signed or marked with a key.

    Told by name: google.auth.jwt alone takes as long to import as everything else here.
    """
    kinds = {(kind.__module__, kind.__name__) for kind in type(credentials).__mro__}
    return bool(kinds & {("google.auth.api_key", "Credentials"), ("google.auth.jwt", "OnDemandCredentials")})


def _request() -> Any:
    import google.auth.transport.requests  # loads requests and urllib3, which only a refresh needs

    return functools.partial(google.auth.transport.requests.Request(), timeout=_REFRESH_TIMEOUT)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Whoever awaits the refresh has its error; a refresh that nobody awaits fails in silence and is tried again."""
    if not task.cancelled():
        task.exception()
