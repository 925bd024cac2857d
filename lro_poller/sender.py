"""Asks a service about one operation, and says what came of it.

Joins the credentials, a transport and the verdicts. It raises nothing but cancellation:
whatever goes wrong with a request is an answer too, about that operation alone.
"""

from __future__ import annotations

import asyncio
import logging
import platform

from .auth import Authorizer
from .engine.tracker import Tracker
from .engine.verdict import Refused, Unauthorized, Verdict, acknowledge, judge, judge_fault
from .errors import CredentialsError, PollError
from .names import encode
from .services import Service
from .transports import Transport
from .version import __version__
from .wire import Fault, NoReply

__all__ = ["Sender"]

logger = logging.getLogger("lro_poller")

_LAST_MOMENTS = 10.0  # seconds in which a transport has to close


class Sender:
    """One service at one origin.

    Args:
        timeout: Seconds that a poll may take, or a token. Whoever calls cuts a poll that takes longer.

    Attributes:
        latency: Seconds that a request takes, smoothed.
    """

    def __init__(
        self, service: Service, origin: str, transport: Transport, authorizer: Authorizer, timeout: float
    ) -> None:
        self.latency = 0.0
        self.timeout = timeout
        self._service = service
        self._origin = origin
        self._prefix = f"/{service.version}/"
        self._transport = transport
        self._authorizer = authorizer
        self._loop = asyncio.get_running_loop()
        self._reached = False
        self._client = f"gl-python/{platform.python_version()} {transport.library} gapic/{__version__}"

    def ready(self, now: float) -> bool:
        """Whether a request can be sent at `now` without waiting for a token."""
        return self._authorizer.ready(now)

    async def fetch_token(self, tracker: Tracker) -> Verdict | None:
        """Waits for a token; None once there is one, else what its lack means for the operation."""
        try:
            async with asyncio.timeout(self.timeout):
                await self._authorizer.grant()
        except TimeoutError:
            return self._no_reply(tracker, NoReply(Fault.UNAUTHORIZED, f"no token came within {self.timeout:g} s"))
        except Exception as error:
            return self._explain(tracker, error)
        return None

    async def ask(self, tracker: Tracker) -> Verdict:
        """Sends the request of `tracker`."""
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
            path = self._prefix + encoded + tracker.suffix
            reply = await self._transport.send(tracker.method, path, fields)
            read = acknowledge if tracker.method == "POST" else self._service.dialect
            verdict = judge(self._service, tracker.name, grant.censor(reply), began - tracker.submitted, read)
        except Exception as error:
            return self._explain(tracker, error)
        self._reached = True
        self.latency += (self._loop.time() - began - self.latency) / 8
        if isinstance(verdict, Unauthorized):
            self._authorizer.reject(grant)
        return verdict

    def cut(self, tracker: Tracker) -> Verdict:
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
                refusal = tracker.error if tracker.renewed else None  # the 401 that made a new token necessary
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
