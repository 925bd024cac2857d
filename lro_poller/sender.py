"""Asks a service about one operation, and says what came of it.

Joins the credentials, a transport and the verdicts. It raises nothing but cancellation:
whatever goes wrong with a request is an answer too, about that operation alone. Asking
and judging are two steps, because many answers are judged in a row.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import time

import msgspec

from .auth import Authorizer, Grant
from .engine.tracker import Tracker
from .engine.verdict import Refused, Unauthorized, Verdict, acknowledge, judge, judge_fault
from .errors import CredentialsError, PollError
from .names import encode
from .services import Service
from .transports import Limited, Transport
from .version import __version__
from .wire import Fault, NoReply, Reply

__all__ = ["Answer", "Sender"]

logger = logging.getLogger("lro_poller")

_LAST_MOMENTS = 10.0  # seconds in which a transport has to close


class Answer(msgspec.Struct, frozen=True):
    """The reply to a request, with what had authorized it and when it was sent."""

    reply: Reply
    grant: Grant
    began: float


class Sender:
    """One service at one origin.

    Args:
        timeout: Seconds that a poll may take, or a token. Whoever calls cuts a poll that takes longer.

    Attributes:
        latency: Seconds that a request takes, smoothed.
        polls: How many requests were handed to the transport.
    """

    def __init__(
        self, service: Service, origin: str, transport: Transport, authorizer: Authorizer, timeout: float
    ) -> None:
        self.latency = 0.0
        self.polls = 0
        self.timeout = timeout
        self._service = service
        self._origin = origin
        self._prefix = f"/{service.version}/"
        self._transport = transport
        self._capacity = transport.capacity if isinstance(transport, Limited) else None
        self._authorizer = authorizer
        self._loop = asyncio.get_running_loop()
        self._reached = False
        self._client = f"gl-python/{platform.python_version()} {transport.library} gapic/{__version__}"

    def can_send(self, in_flight: int) -> bool:
        """Whether the transport takes one more request at once while so many are under way."""
        if self._capacity is None or not in_flight:  # of those that say 0, none would ever be asked again
            return True
        try:
            return in_flight < self._capacity()
        except Exception:  # a transport of the caller's own, which does not know
            return True

    def ready(self, now: float) -> bool:
        """Whether a request can be sent at `now` without waiting for a token."""
        return self._authorizer.ready(now)

    async def fetch_token(self) -> Exception | None:
        """Waits for a token; None once there is one, else why there is none."""
        try:
            async with asyncio.timeout(self.timeout):
                await self._authorizer.grant()
        except TimeoutError:
            return NoReply(Fault.UNAUTHORIZED, f"no token came within {self.timeout:g} s")
        except Exception as error:
            return error
        return None

    async def ask(self, tracker: Tracker) -> Answer | Exception:
        """Sends the request of `tracker`; returns the reply, or why there is none."""
        began = self._loop.time()
        try:
            grant = self._authorizer.current(began)
            if grant is None:
                grant = await self._authorizer.grant()
            encoded = encode(tracker.name)
            fields = {
                "x-goog-api-client": self._client,
                "x-goog-request-params": "name=" + encoded,
                **grant.fields,
            }
            tracker.polls += 1
            self.polls += 1
            reply = await self._transport.send(tracker.method, self._prefix + encoded + tracker.suffix, fields)
        except Exception as error:
            return error
        self.latency += (self._loop.time() - began - self.latency) / 8
        return Answer(reply, grant, began)

    def judge(self, tracker: Tracker, answer: Answer | Exception) -> Verdict:
        """What came of the request of `tracker`. Raises nothing but what ends a program."""
        if isinstance(answer, Exception):
            return self._explain(tracker, answer)
        grant, age = answer.grant, answer.began - tracker.submitted
        read = acknowledge if tracker.method == "POST" else self._service.dialect
        try:
            reply = grant.censor(answer.reply)
            verdict = judge(self._service, tracker.name, reply, read, age=age, arrived=time.time())
        except Exception as error:  # a transport of the caller's own, whose reply is none
            return self._explain(tracker, error)
        self._reached = True
        if isinstance(verdict, Unauthorized) and (why := self._authorizer.reject(grant)):
            told = verdict.error
            return Unauthorized(PollError(told.name, f"{told.reason}; {why}", told.http_status, told.status))
        return verdict

    def timed_out(self, tracker: Tracker) -> Verdict:
        """What it means that a poll was stopped because it took too long."""
        return self._no_reply(
            tracker, NoReply(Fault.TIMED_OUT, f"{self._origin} sent no whole reply within {self.timeout:g} s")
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        try:
            await self._authorizer.aclose()
        finally:
            try:
                async with asyncio.timeout(_LAST_MOMENTS):
                    await self._transport.aclose()
            except TimeoutError:
                logger.warning("the transport to %s did not close, and is left behind", self._origin)

    def _explain(self, tracker: Tracker, error: Exception) -> Verdict:
        """What it means that a request failed with `error`."""
        match error:
            case NoReply():
                return self._no_reply(tracker, error)
            case CredentialsError():
                refusal = tracker.error if tracker.token_refused else None  # the 401 that made a new token necessary
                return _refused(tracker.name, str(error), error, refusal)
            case _:
                return _refused(tracker.name, f"{type(error).__name__} in the transport or the credentials", error)

    def _no_reply(self, tracker: Tracker, fault: NoReply) -> Verdict:
        configured = self._origin != self._service.origin
        return judge_fault(tracker.name, fault, reached=self._reached, configured=configured)


def _refused(name: str, reason: str, cause: Exception, refusal: PollError | None = None) -> Refused:
    error = PollError(name, reason) if refusal is None else PollError(name, reason, refusal.http_status, refusal.status)
    error.__cause__ = cause
    return Refused(error)
