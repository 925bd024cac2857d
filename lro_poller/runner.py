"""The one place with a clock, a timer and workers.

Joins the engine, which decides, with a transport, which sends, and futures, which are
awaited. An operation that waits for its turn is an entry in a heap; a worker is a task
that exists only while something is due, and takes the next due operation when it is done
with one. One timer is set for whatever comes first: a poll that falls due, a deadline, or
the budget's leave to go on. Deadlines are a schedule of their own, so that a poll which
hangs cannot hold one up.
"""

from __future__ import annotations

import asyncio
import logging
import math
import platform
from collections.abc import Callable
from typing import Any

from .auth import Authorizer
from .decoding import Decoder
from .engine.budget import Budget
from .engine.cadence import DEFAULT_CADENCE, Cadence, clip, jittered
from .engine.retry import retry_wait
from .engine.schedule import Schedule
from .engine.tracker import Effect, Event, Listener, Tracker
from .engine.verdict import Refused, Running, Setback, Unauthorized, Verdict, judge, judge_fault
from .errors import BackoffError, CredentialsError, LroError, PollerClosed, PollError, PollTimeout
from .future import OperationFuture
from .names import encode
from .operation import Operation
from .resume import Token
from .services import Service
from .transports import Transport
from .version import __version__
from .wire import Fault, NoReply

__all__ = ["Runner"]

logger = logging.getLogger("lro_poller")

_WARN_EVERY = 60.0  # seconds between two warnings that polls fail
_SHORTEST_LEAD = 0.02  # seconds kept for the last poll before a deadline, however fast the server is
_TIMER_SLACK = 1e-6  # seconds; a loop may ring a timer one tick of its clock early


class Runner:
    """Polls the operations of one service while its loop runs. Made and used inside that loop."""

    def __init__(
        self,
        service: Service,
        origin: str,
        transport: Transport,
        authorizer: Authorizer,
        budget: Budget,
        *,
        poll_timeout: float,
        max_failures: int | None,
        random: Callable[[], float],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self._service = service
        self._origin = origin
        self._transport = transport
        self._authorizer = authorizer
        self._budget = budget
        self._poll_timeout = poll_timeout
        self._max_failures = max_failures
        self._random = random
        self._trackers: dict[str, Tracker] = {}
        self._looks: set[Tracker] = set()
        self._schedule: Schedule[Tracker] = Schedule()
        self._deadlines: Schedule[Listener] = Schedule()
        self._in_flight: dict[Tracker, asyncio.Task[None]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fields = {
            "x-goog-api-client": f"gl-python/{platform.python_version()} {transport.library} gapic/{__version__}"
        }
        self._reached = False
        self._latency = 0.0  # seconds a poll takes, smoothed
        self._quiet_until = -math.inf

    # What the poller asks for.

    def watch(
        self,
        name: str,
        *,
        operation: Operation | None,
        sightings: int,
        cadence: Callable[[], Cadence],
        decoder: Decoder | None,
        deadline: float | None,
    ) -> OperationFuture[Any]:
        """A future for the operation, which joins those that wait for it already.

        Args:
            operation: As just seen by the caller; None when nothing is known of it.
            sightings: How often it was seen running, now and before.
            deadline: Seconds from now.
        """
        now = self.loop.time()
        tracker = self._trackers.get(name)
        if operation is not None and operation.done:
            if tracker is not None:
                self.wake(tracker)  # what this caller knows, the others may hear at once
            return self._finished(name, operation, decoder, now)
        new = tracker is None
        if tracker is None:
            tracker = self._trackers[name] = Tracker(name, cadence(), now, self._max_failures)
            tracker.operation, tracker.sightings = operation, sightings
        until = None if deadline is None else now + deadline
        future: OperationFuture[Any] = OperationFuture(self, tracker, decoder, now, until)
        tracker.audience += (future,)
        if until is not None:
            self._deadlines.put(future, until)
        if new and operation is not None:
            self._park(tracker, now, 0.0)  # it was just seen running: looking again at once would be wasted
        elif new:
            self._schedule.put(tracker, now)
        self._arm()
        return future

    def _finished(self, name: str, operation: Operation, decoder: Decoder | None, now: float) -> OperationFuture[Any]:
        """A future for an operation that needs no poll."""
        tracker = Tracker(name, DEFAULT_CADENCE, now)
        tracker.operation = operation
        tracker.on(Event.ABANDON)
        future: OperationFuture[Any] = OperationFuture(self, tracker, decoder, now, None)
        future._finish(operation, now)
        return future

    async def look(self, name: str) -> Operation:
        """One poll of one operation, in its turn.

        Raises:
            PollError: it failed, for whatever reason.
        """
        look = _Look(self.loop)
        tracker = Tracker(name, DEFAULT_CADENCE, self.loop.time(), max_failures=0)
        tracker.audience = (look,)
        self._looks.add(tracker)
        self._schedule.put(tracker, tracker.submitted)
        self._arm()
        try:
            return await look.answer
        finally:
            self._looks.discard(tracker)
            self._stop(tracker)

    def wake(self, tracker: Tracker) -> None:
        """Polls `tracker` now, or once more when a poll of it is under way."""
        if tracker.on(Event.WAKE) is Effect.HURRY:
            self._schedule.put(tracker, self.loop.time())
            self._arm()

    def abandon(self, future: OperationFuture[Any]) -> None:
        """`future` waits no more; polling goes on only if somebody else does."""
        self._deadlines.remove(future)
        tracker = future._tracker
        tracker.audience = tuple(who for who in tracker.audience if who is not future)
        if not tracker.audience:
            self._stop(tracker)
            self._release(tracker)

    def token(self, tracker: Tracker) -> str:
        """What resumes the wait for this operation."""
        return Token(self._service.id, self._origin, tracker.name, tracker.sightings).write()

    def pending(self) -> list[OperationFuture[Any]]:
        """The futures that have no outcome yet."""
        return [who for tracker in self._trackers.values() for who in tracker.audience if type(who) is OperationFuture]

    async def aclose(self) -> None:
        """Ends every future that is pending, every worker, and every connection."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.loop.time()
        for tracker in [*self._trackers.values(), *self._looks]:
            self._stop(tracker)
            for who in self._release(tracker):
                who._fail(PollerClosed(*self._facts(tracker, who, now)), now)
        try:
            if self._workers:
                await asyncio.wait(self._workers)
        finally:
            try:
                await self._authorizer.aclose()
            finally:
                await self._transport.aclose()

    # The timer: what is due now, and when to look again.

    def _arm(self) -> None:
        """Sets the timer for the first thing that is to be done, soon if that is due."""
        if self.closed:
            return
        when = self._next_time()
        if self._timer is not None:
            if self._timer.when() <= when:
                return  # it rings early enough, and then is set anew
            self._timer.cancel()
            self._timer = None
        if when < math.inf:
            self._timer = self.loop.call_at(when, self._ring)

    def _next_time(self) -> float:
        deadline = self._deadlines.next_time()
        poll = self._schedule.next_time() if self._budget.free() else None
        return min(
            math.inf if deadline is None else deadline,
            math.inf if poll is None else max(poll, self._budget.next_time()),
        )

    def _ring(self) -> None:
        self._timer = None
        now = self.loop.time() + _TIMER_SLACK
        while (who := self._deadlines.pop_due(now)) is not None:
            assert isinstance(who, OperationFuture)
            self._time_out(who)
        while (tracker := self._admit(now)) is not None:
            task = self.loop.create_task(self._work(tracker), name="lro-poller worker")
            self._in_flight[tracker] = task
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)
        self._arm()

    def _admit(self, now: float) -> Tracker | None:
        """The next operation to poll, if one is due and the budget has room for it."""
        if self.closed or not self._budget.free() or self._budget.next_time() > now:
            return None
        tracker = self._schedule.pop_due(now)
        if tracker is not None:
            self._budget.start(self.loop.time())
            tracker.on(Event.START)
        return tracker

    def _time_out(self, future: OperationFuture[Any]) -> None:
        now, tracker = self.loop.time(), future._tracker
        error = PollTimeout(*self._facts(tracker, future, now))
        self.abandon(future)
        future._fail(error, now)

    # A worker: polls one operation after another while any is due.

    async def _work(self, tracker: Tracker) -> None:
        task = asyncio.current_task()
        assert task is not None
        following: Tracker | None = tracker
        try:
            while following is not None:
                tracker, following = following, None
                self._in_flight[tracker] = task
                try:
                    verdict = await self._poll(tracker)
                finally:
                    self._land(tracker)
                self._settle(tracker, verdict)
                following = self._admit(self.loop.time())
                self._arm()
        finally:
            self._arm()

    def _land(self, tracker: Tracker) -> asyncio.Task[None] | None:
        """Counts a poll as over, once: when it is cut, or else when its worker is done with it."""
        task = self._in_flight.pop(tracker, None)
        if task is not None:
            self._budget.finish()
        return task

    async def _poll(self, tracker: Tracker) -> Verdict:
        """Sends one request for the operation; returns what came of it. Raises nothing but cancellation."""
        name, began = tracker.name, self.loop.time()
        try:
            async with asyncio.timeout(self._poll_timeout):
                credentials = self._authorizer.current()
                if credentials is None:
                    credentials = await self._authorizer.headers()
                fields = {**self._fields, **credentials, "x-goog-request-params": f"name={encode(name)}"}
                reply = await self._transport.get(self._service.path(name), fields)
        except TimeoutError:
            return self._no_reply(name, NoReply(Fault.TIMED_OUT, f"{self._origin} sent no whole reply in time"))
        except NoReply as fault:
            return self._no_reply(name, fault)
        except CredentialsError as error:
            refusal = tracker.error if tracker.renewed else None  # the 401 that made a new token necessary
            return _refused(name, str(error), error, refusal)
        except Exception as error:
            return _refused(name, f"{type(error).__name__} in the transport or the credentials", error)
        now = self.loop.time()
        self._reached = True
        self._latency += (now - began - self._latency) / 8
        verdict = judge(self._service, name, reply, began - tracker.submitted)
        if isinstance(verdict, Unauthorized):
            self._authorizer.reject(credentials)
        return verdict

    def _no_reply(self, name: str, fault: NoReply) -> Verdict:
        configured = self._origin != self._service.origin
        return judge_fault(name, fault, reached=self._reached, configured=configured)

    # What follows from a poll.

    def _settle(self, tracker: Tracker, verdict: Verdict) -> None:
        now = self.loop.time()
        logger.debug("%s: %s", tracker.name, type(verdict).__name__)
        self._account(verdict, now)
        match tracker.hear(verdict):
            case Effect.PARK:
                self._park(tracker, now, verdict.delay if isinstance(verdict, Running) else 0.0)
            case Effect.RETRY:
                delay = verdict.delay if isinstance(verdict, Setback) else 0.0
                self._schedule_at(
                    tracker, now, jittered(retry_wait(tracker.failures, tracker.wait, delay), self._random())
                )
            case Effect.HURRY:
                self._schedule.put(tracker, now)
            case Effect.RESOLVE:
                operation = tracker.operation
                assert operation is not None
                for who in self._release(tracker):
                    who._finish(operation, now)
            case Effect.REJECT:
                assert tracker.error is not None
                self._fail(tracker, tracker.error, now)
        if isinstance(verdict, Running):
            for who in tracker.audience:
                who._see(verdict.operation)

    def _account(self, verdict: Verdict, now: float) -> None:
        """Tells the budget, and the log, how the service is doing."""
        if not isinstance(verdict, Setback):
            self._budget.answered()
            return
        if verdict.throttled:
            self._budget.throttled(now, verdict.delay)
        if now >= self._quiet_until:
            self._quiet_until = now + _WARN_EVERY
            logger.warning("%s; polling goes on", verdict.error)

    def _park(self, tracker: Tracker, now: float, asked: float) -> None:
        """Schedules the next poll by the operation's cadence, or later if the service asked for that."""
        operation = tracker.operation
        assert operation is not None
        try:
            tracker.wait = tracker.cadence.wait(tracker.sightings, operation)
        except BackoffError as error:
            self._stop(tracker)
            self._fail(tracker, error, now)
        else:
            self._schedule_at(tracker, now, max(jittered(tracker.wait, self._random()), asked))

    def _schedule_at(self, tracker: Tracker, now: float, wait: float) -> None:
        lead = max(3 * self._latency, _SHORTEST_LEAD)
        self._schedule.put(tracker, clip(now + wait, now, tracker.earliest_deadline(), lead))

    def _fail(self, tracker: Tracker, error: LroError, now: float) -> None:
        for who in self._release(tracker):
            who._fail(error, now)

    def _stop(self, tracker: Tracker) -> None:
        """Ends the polling of an operation that nobody waits for."""
        match tracker.on(Event.ABANDON):
            case Effect.DROP:
                self._schedule.remove(tracker)
            case Effect.CUT:
                task = self._land(tracker)
                assert task is not None
                task.cancel()
                self._arm()

    def _release(self, tracker: Tracker) -> tuple[Listener, ...]:
        """Takes an ended operation out of the books; returns who waited for it."""
        audience, tracker.audience = tracker.audience, ()
        if self._trackers.get(tracker.name) is tracker:
            del self._trackers[tracker.name]
        for who in audience:
            self._deadlines.remove(who)
        return audience

    def _facts(
        self, tracker: Tracker, who: Listener, now: float
    ) -> tuple[str, Operation | None, int, float, PollError | None, str]:
        """What an error about an unfinished wait tells."""
        return tracker.name, tracker.operation, tracker.polls, now - who.submitted, tracker.error, self.token(tracker)


class _Look:
    """Who waits for one poll and no more."""

    deadline: float | None = None
    ticket = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.submitted = loop.time()
        self.answer: asyncio.Future[Operation] = loop.create_future()

    def _see(self, operation: Operation) -> None:
        if not self.answer.done():
            self.answer.set_result(operation)

    def _finish(self, operation: Operation, now: float) -> None:
        self._see(operation)

    def _fail(self, error: LroError, now: float) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def _refused(name: str, reason: str, cause: Exception, refusal: PollError | None = None) -> Refused:
    error = PollError(name, reason) if refusal is None else PollError(name, reason, refusal.http_status, refusal.status)
    error.__cause__ = cause
    return Refused(error)
