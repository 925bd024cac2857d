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
from collections.abc import Callable
from typing import Any

from .decoding import Decoder
from .engine.budget import Budget
from .engine.cadence import DEFAULT_CADENCE, Cadence, clip, jittered
from .engine.retry import retry_wait
from .engine.schedule import Schedule
from .engine.tracker import Effect, Errand, Event, Listener, Tracker
from .engine.verdict import Running, Setback, Verdict
from .errors import BackoffError, LroError, PollerClosed, PollError, PollTimeout
from .future import AtDeadline, OperationFuture
from .operation import Operation
from .resume import Token
from .sender import Sender
from .services import Service

__all__ = ["Runner"]

logger = logging.getLogger("lro_poller")

_WARN_EVERY = 60.0  # seconds between two warnings that polls fail
_SHORTEST_LEAD = 0.02  # seconds kept for the last poll before a deadline, however fast the server is
_LAST_CANCELLATIONS = 10.0  # seconds in which closing lets requests to cancel be answered
_TIMER_SLACK = 1e-6  # seconds; a loop may ring a timer one tick of its clock early


class Runner:
    """Polls the operations of one service while its loop runs. Made and used inside that loop."""

    def __init__(
        self,
        service: Service,
        origin: str,
        sender: Sender,
        budget: Budget,
        *,
        max_failures: int | None,
        cancel_grace: float,
        random: Callable[[], float],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self._service = service
        self._origin = origin
        self._sender = sender
        self._budget = budget
        self._max_failures = max_failures
        self._cancel_grace = cancel_grace
        self._random = random
        self._trackers: dict[str, Tracker] = {}
        self._errands: set[Errand] = set()
        self._cancellations: set[asyncio.Task[None]] = set()
        self._schedule: Schedule[Tracker] = Schedule()
        self._deadlines: Schedule[Listener] = Schedule()
        self._in_flight: dict[Tracker, asyncio.Task[None]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._scout: Tracker | None = None  # the poll that waits for a token
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
        at_deadline: AtDeadline,
    ) -> OperationFuture[Any]:
        """A future for the operation, which joins those that wait for it already.

        Args:
            operation: As just seen by the caller; None when nothing is known of it.
            sightings: How often it was seen running, now and before.
            deadline: Seconds from now.
            at_deadline: What becomes of the operation then.
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
        future: OperationFuture[Any] = OperationFuture(
            self, tracker, decoder, submitted=now, deadline=until, at_deadline=at_deadline
        )
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
        future: OperationFuture[Any] = OperationFuture(self, tracker, decoder, submitted=now)
        future._finish(operation, now)
        return future

    async def look(self, name: str) -> Operation:
        """One poll of one operation, in its turn.

        Raises:
            PollError: it failed, for whatever reason.
        """
        return await self._run_errand(name, "GET", "")

    async def cancel(self, name: str) -> None:
        """Asks the service to cancel an operation, in its turn; who waits for it is told soon.

        Raises:
            PollError: the request failed, for whatever reason.
        """
        await self._run_errand(name, "POST", ":cancel")
        tracker = self._trackers.get(name)
        if tracker is not None:
            self.wake(tracker)

    async def _run_errand(self, name: str, method: str, suffix: str) -> Operation:
        errand = Errand(name, self.loop.time(), method, suffix)
        listener = _Once(self.loop)
        errand.audience = (listener,)
        self._errands.add(errand)
        self._schedule.put(errand, errand.submitted)
        self._arm()
        try:
            return await listener.answer
        finally:
            self._errands.discard(errand)
            self._stop(errand)

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
        return Token(
            version=1,
            service=self._service.id,
            origin=self._origin,
            name=tracker.name,
            sightings=tracker.sightings,
        ).write()

    def pending(self) -> list[OperationFuture[Any]]:
        """The futures that have no outcome yet."""
        return [who for tracker in self._trackers.values() for who in tracker.audience if type(who) is OperationFuture]

    async def aclose(self) -> None:
        """Ends every future that is pending, every worker, and every connection."""
        try:
            if self._cancellations:  # they were promised
                await asyncio.wait(self._cancellations, timeout=_LAST_CANCELLATIONS)
        finally:
            await self._close()

    async def _close(self) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.loop.time()
        for tracker in [*self._trackers.values(), *self._errands]:
            self._stop(tracker)
            for who in self._release(tracker):
                who._fail(PollerClosed(*self._facts(tracker, who, now)), now)
        try:
            for task in self._cancellations:
                task.cancel()
            if self._workers or self._cancellations:
                await asyncio.wait(self._workers | self._cancellations)
        finally:
            await self._sender.aclose()

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
        poll = self._schedule.next_time() if self._open() else None
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
        if self.closed or not self._open() or self._budget.next_time() > now:
            return None
        tracker = self._schedule.pop_due(now)
        if tracker is not None:
            self._budget.start(self.loop.time())
            tracker.on(Event.START)
            if not self._sender.ready():
                self._scout = tracker
        return tracker

    def _open(self) -> bool:
        """Whether another poll may be under way.

        While there is no token one poll fetches it and the others stay parked: they would all
        start at once when it comes, whatever the rate.
        """
        return self._budget.free() and self._scout is None

    def _time_out(self, future: OperationFuture[Any]) -> None:
        now, tracker = self.loop.time(), future._tracker
        choice, future.at_deadline = future.at_deadline, AtDeadline.LEAVE
        if choice is not AtDeadline.LEAVE:
            task = self.loop.create_task(self._cancel_late(tracker.name), name="lro-poller cancellation")
            self._cancellations.add(task)
            task.add_done_callback(self._cancellations.discard)
        if choice is AtDeadline.CANCEL_AND_WAIT:
            future.deadline = now + self._cancel_grace
            self._deadlines.put(future, future.deadline)
            return
        error = PollTimeout(*self._facts(tracker, future, now))
        self.abandon(future)
        future._fail(error, now)

    async def _cancel_late(self, name: str) -> None:
        """Cancels an operation whose deadline has passed. Nobody awaits this: a failure is logged."""
        try:
            await self.cancel(name)
        except LroError as error:
            logger.warning("%s; the operation was not cancelled", error)

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
        if self._scout is tracker:
            self._scout = None
        return task

    async def _poll(self, tracker: Tracker) -> Verdict:
        if tracker is self._scout:
            fault = await self._sender.fetch_token(tracker)
            if fault is not None:
                return fault
            await self._take_another_turn()
            self._scout = None
            self._arm()
        return await self._sender.ask(tracker)

    async def _take_another_turn(self) -> None:
        """The turn that a poll took before it waited for a token is long over."""
        while (wait := self._budget.next_time() - self.loop.time()) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(wait)
        self._budget.take_turn(self.loop.time())

    # What follows from a poll.

    def _settle(self, tracker: Tracker, verdict: Verdict) -> None:
        now = self.loop.time()
        logger.debug("%s: %s", tracker.name, type(verdict).__name__)
        self._account(verdict, now)
        match tracker.hear(verdict):
            case Effect.PARK:
                self._park(tracker, now, verdict.delay if isinstance(verdict, Running) else 0.0)
            case Effect.RETRY:
                own = jittered(retry_wait(tracker.failures, tracker.wait), self._random())
                self._schedule_at(tracker, now, max(own, verdict.delay if isinstance(verdict, Setback) else 0.0))
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
        if verdict.general:
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
        lead = max(3 * self._sender.latency, _SHORTEST_LEAD)
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


class _Once:
    """Who waits for one answer and no more."""

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
