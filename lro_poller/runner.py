"""The books of one poller: which operations are waited for, and by whom.

Joins what the engine decides with the futures that callers hold. Whatever happens to an
operation goes through its tracker, and this is where what follows is done: parked again,
handed to who waits, dropped. When polls start and stop is the pump's business.

Code of the caller's runs in here (backoff generators, decoders, progress functions), and
may do anything, cancelling this very operation included: what it leaves is looked at again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .engine.budget import Limiter
from .engine.cadence import BackoffWaits
from .engine.crowd import Waiter
from .engine.deadlines import Deadlines
from .engine.history import History
from .engine.learning import Learner
from .engine.planner import Planner, PollQueue, worth_after, worth_key
from .engine.queue import Queue
from .engine.tracker import Effect, Event, State, Tracker
from .engine.verdict import Ended, Running, Setback, Verdict
from .errands import Errands
from .errors import BackoffError, LroError, PollerClosed, PollError, PollTimeout, summary, twin
from .future import OperationFuture
from .operation import Operation
from .pump import Pump
from .resume import Token
from .sender import Sender
from .services import Service
from .stats import Stats
from .submission import Submission
from .terms import Terms

__all__ = ["Runner"]

logger = logging.getLogger("lro_poller")

_WARN_EVERY = 60.0  # seconds between two warnings that polls fail
_CLOSED_AT_ONCE = 500  # futures that closing ends in one step of the loop

_Ending = TypeVar("_Ending", PollTimeout, PollerClosed)


class Runner:
    """Polls the operations of one service while its loop runs. Made and used inside that loop."""

    def __init__(
        self,
        service: Service,
        origin: str,
        sender: Sender,
        limiter: Limiter,
        history: History,
        *,
        max_failures: int | None,
        cancel_grace: float,
        random: Callable[[], float],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self._closing = asyncio.Lock()
        self._closer: asyncio.Task[Any] | None = None
        self._service = service
        self._origin = origin
        self._sender = sender
        self._limiter = limiter
        self._learner = Learner(history, service.id)
        self._max_failures = max_failures
        self._cancel_grace = cancel_grace
        self._random = random
        self._trackers: dict[str, Tracker] = {}
        self._queue: PollQueue = Queue(worth_key, worth_after)
        self._planner = Planner(self._queue, limiter, self._learner)
        self._deadlines = Deadlines(self._queue, self._planner, limiter, lambda: sender.latency, self._time_out)
        self._pump = Pump(self, sender, limiter, self._queue, self._deadlines)
        self.errands = Errands(self._queue, self._pump, self._stop, self._wake_name)
        self._quiet_until = -math.inf

    # What the poller asks for.

    def submit(self, submission: Submission, terms: Terms) -> OperationFuture[Any]:
        """A future for the operation, which joins those that wait for it already."""
        if self.closed:  # by the caller's code that was asked for the name
            raise RuntimeError("the poller is closed")
        now = self.loop.time()
        tracker = self._trackers.get(submission.name)
        operation = submission.operation
        if operation is not None and operation.done:
            if tracker is not None:
                self.wake(tracker)  # what this caller knows, the others may hear at once
            return self._finished(operation, terms, now)
        new = tracker is None
        if tracker is None:
            tracker = self._trackers[submission.name] = self._tracker(submission, now)
        elif tracker.operation is None:
            tracker.operation = operation
        self._advise(tracker, terms, 0 if new else tracker.sightings)
        future: OperationFuture[Any] = OperationFuture(tracker, terms.decoder(), now, terms.deadline, terms.at_deadline)
        tracker.join(future, self)
        if terms.deadline is not None:
            self._deadlines.add(tracker, future)
        if new:
            self._schedule_first(tracker, now)
        self._pump.arm(min(tracker.due, tracker.alarm))
        return future

    def _schedule_first(self, tracker: Tracker, now: float) -> None:
        """Schedules the first poll: at once, or of an operation that was just seen running after a wait."""
        if tracker.operation is None:
            self._planner.at_once(tracker, now)
            return
        try:
            self._planner.park(tracker, now, self._draw())
        except BaseException as error:
            self._survive(tracker, error, now)

    def _advise(self, tracker: Tracker, terms: Terms, before: int) -> None:
        """Takes what a caller says of how to wait for an operation, unless another one who waits for it has said so.

        Args:
            before: How many polls found it running before this caller came.
        """
        if tracker.backoff is None and terms.backoff is not None:
            tracker.backoff = BackoffWaits(terms.backoff, before)
        if (hints := terms.hints()) is not None:
            self._learner.advise(tracker, hints)

    def _tracker(self, submission: Submission, now: float) -> Tracker:
        tracker = Tracker.start(submission.name, now)
        if submission.age:
            tracker.began = now - submission.age
        tracker.learns = not submission.resumed
        tracker.operation, tracker.sightings = submission.operation, submission.sightings
        return tracker

    def _finished(self, operation: Operation, terms: Terms, now: float) -> OperationFuture[Any]:
        """A future for an operation that needs no poll."""
        tracker = Tracker.start(operation.name, now)
        tracker.operation = operation
        tracker.on(Event.ABANDON)
        future: OperationFuture[Any] = OperationFuture(tracker, terms.decoder(), now, _ended_host=self)
        future._finish(operation, now)
        return future

    def wake(self, tracker: Tracker) -> None:
        """Polls `tracker` now, or once more when a poll of it is under way, or when the service lets it."""
        tracker.wait = 0.0  # should the poll fail, it is not put off by as much as is usual
        if tracker.on(Event.WAKE) is Effect.HURRY:
            self._planner.hurry(tracker, self.loop.time())
            self._pump.arm()

    def _wake_name(self, name: str) -> None:
        tracker = self._trackers.get(name)
        if tracker is not None:
            self.wake(tracker)

    def abandon(self, future: OperationFuture[Any]) -> None:
        """`future` waits no more; polling goes on only if somebody else does."""
        tracker = future._tracker
        if not self._detach(tracker, future) and tracker.state is not State.ENDED:
            self._stop(tracker)
            self._detach_all(tracker)

    def token(self, tracker: Tracker) -> str:
        """What resumes the wait for this operation."""
        return Token(
            version=1,
            service=self._service.id,
            origin=self._origin,
            name=tracker.name,
            sightings=tracker.sightings,
            age=round(self.loop.time() - tracker.began, 3),
        ).write()

    def pending(self) -> list[OperationFuture[Any]]:
        """The futures that have no outcome yet."""
        return [
            who for tracker in self._trackers.values() for who in tracker.waiters() if isinstance(who, OperationFuture)
        ]

    def stats(self) -> Stats:
        """How polling goes."""
        now = self.loop.time()
        return Stats(
            service=self._service.id,
            pending=len(self._trackers),
            in_flight=self._pump.in_flight,
            overdue=self._queue.overdue(now),
            polls=self._sender.polls,
            polls_per_second=self._limiter.recent_rate(now),
            max_rate=self._limiter.rate(now),
            lateness=self._pump.lateness,
            throttled=self._limiter.throttled_polls,
        )

    async def aclose(self) -> None:
        """Ends every future that is pending, every worker, and every connection; who asks again waits for the first."""
        if self._closer is asyncio.current_task():
            return  # code of the caller's that closing runs
        async with self._closing:
            if self.closed:
                return
            self._closer = asyncio.current_task()
            try:
                await self.errands.finish()
            finally:
                await self._close()

    async def _close(self) -> None:
        self.closed = True
        try:
            self._pump.stop()
            while self._trackers:
                self._pump.deal()  # an outcome that is here is told
                self._end(itertools.islice(self._trackers.values(), _CLOSED_AT_ONCE))
                await asyncio.sleep(0)
        finally:
            self._end([*self._trackers.values(), *self.errands.under_way])
            try:
                await self._pump.aclose()
                await self.errands.aclose()
            finally:
                await self._sender.aclose()

    def _end(self, trackers: Iterable[Tracker]) -> None:
        now = self.loop.time()
        for tracker in list(trackers):
            self._stop(tracker)
            closed = {who: self._unfinished(PollerClosed, tracker, who, now) for who in tracker.waiters()}
            for who in self._detach_all(tracker):
                who._fail(closed[who], now)

    # What the pump tells.

    def settle(self, tracker: Tracker, verdict: Verdict) -> None:
        """See `pump.Owner`."""
        now = self.loop.time()
        try:
            self._tell_budget(verdict, now)
            self._queue.heard(tracker, ended=_has_ended(verdict))
            self._apply(tracker, verdict, now)
        except BaseException as error:
            self._survive(tracker, error, now)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: poll %d: %s", tracker.name, tracker.polls, self._describe(tracker, verdict, now))

    def _time_out(self, tracker: Tracker, future: Waiter) -> None:
        """The deadline of one who waits for `tracker` has passed."""
        assert isinstance(future, OperationFuture)  # errands have no deadline
        now = self.loop.time()
        again, future._came_to_deadline = future._came_to_deadline, True
        if future.at_deadline != "leave" and not again:
            self.errands.cancel_unattended(tracker.name)
            if future.at_deadline == "cancel_and_wait":
                tracker.postpone(future, now + self._cancel_grace)
                return
        error = self._unfinished(PollTimeout, tracker, future, now)
        self.abandon(future)
        future._fail(error, now)

    def _describe(self, tracker: Tracker, verdict: Verdict, now: float) -> str:
        """For the log: what a poll brought, and when the next is due."""
        if isinstance(verdict, Ended):
            return "ended"
        brought = "still running" if isinstance(verdict, Running) else summary(verdict.error)
        following = max(min(tracker.due, tracker.alarm) - now, 0)  # a last poll comes before a deadline
        return f"{brought}; the next in {following:.1f} s" if tracker in self._queue else brought

    # What follows from a poll.

    def _tell_budget(self, verdict: Verdict, now: float) -> None:
        """Tells the budget how the service is doing."""
        if isinstance(verdict, (Running, Ended)):
            self._limiter.answered(now)
        elif isinstance(verdict, Setback):
            if verdict.error.http_status == 429:
                self._limiter.throttled(now, verdict.delay)
            elif verdict.no_token:
                self._pump.rest(now)
        elif verdict.error.http_status is not None:
            self._limiter.answered(now)

    def _apply(self, tracker: Tracker, verdict: Verdict, now: float) -> None:
        match tracker.hear(verdict, now, self._max_failures):
            case Effect.PARK:
                self._planner.park(tracker, now, self._draw())
            case Effect.RETRY:
                self._planner.retry(tracker, now, self._draw())
                self._deadlines.failed(tracker, now)
                self._warn(tracker, now)
            case Effect.HURRY:
                self._planner.hurry(tracker, now)
            case Effect.RESOLVE:
                self._learner.ended(tracker, now)
                self._untrack(tracker)
                self._resolve(tracker, now)
            case Effect.REJECT:
                assert tracker.error is not None
                enough = isinstance(verdict, Setback) and tracker.failures > 1
                self._fail(tracker, _last_of(tracker.failures, tracker.error) if enough else tracker.error, now)
        if tracker.streams and isinstance(verdict, Running):
            for who in tracker.waiters():
                who._see(verdict.operation)

    def _warn(self, tracker: Tracker, now: float) -> None:
        """Logs that a poll has failed and is made again."""
        if tracker.error is not None and now >= self._quiet_until:
            self._quiet_until = now + _WARN_EVERY
            logger.warning("%s: a poll failed: %s; %s", tracker.name, summary(tracker.error), self._what_follows(now))

    def _what_follows(self, now: float) -> str:
        """For the log: how polling goes on after a poll that failed."""
        if halted := self._limiter.halted_for(now):
            return f"no poll starts for {halted:.0f} s, and then {self._limiter.rate(now):.2g} a second at the most"
        return "polling goes on"

    def _resolve(self, tracker: Tracker, now: float) -> None:
        """Hands an operation that is done to who waits. A decoder that ends the program takes nobody else's outcome."""
        assert tracker.operation is not None
        ending: BaseException | None = None
        for who in tracker.waiters():
            self._detach(tracker, who)
            try:
                who._finish(tracker.operation, now)
            except BaseException as error:
                ending = error
                who._fail(_unexpected(tracker, error), now)
        if ending is not None:
            raise ending

    def _draw(self) -> float:
        drawn = self._random()
        if not isinstance(drawn, (int, float)) or not 0 <= drawn <= 1:
            raise ValueError("random() must return a number from 0 to 1")
        return drawn

    def _survive(self, tracker: Tracker, error: BaseException, now: float) -> None:
        """What code of the caller's has raised in here, or a bug of ours: heard of on this operation's own futures.

        An error of a backoff generator is told as it is, anything else as the cause of a PollError.
        """
        failure: LroError
        if isinstance(error, BackoffError):
            failure = error
        else:
            failure = _unexpected(tracker, error)
            logger.error("%s", failure)
        self._stop(tracker)
        self._fail(tracker, failure, now)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error

    def _fail(self, tracker: Tracker, error: LroError, now: float) -> None:
        for who in self._detach_all(tracker):
            who._fail(twin(error), now)

    def _stop(self, tracker: Tracker) -> None:
        """Polls it no more: it leaves the queue, or the poll that is under way is cut."""
        match tracker.on(Event.ABANDON):
            case Effect.DROP:
                self._queue.remove(tracker)
            case Effect.CUT:
                self._queue.heard(tracker, ended=None)
                self._pump.cut(tracker)

    def _detach_all(self, tracker: Tracker) -> tuple[Waiter, ...]:
        """Takes an operation whose end is not heard of out of the books; returns who waited for it."""
        self._untrack(tracker)
        self._learner.lost_sight(tracker, self.loop.time())
        waiters = tracker.waiters()
        for who in waiters:
            self._detach(tracker, who)
        return waiters

    def _detach(self, tracker: Tracker, who: Waiter) -> bool:
        """`who` waits no more; whether anybody still does."""
        if isinstance(who, OperationFuture):
            who._ended_host = self
        waited_for = tracker.leave(who)
        if not waited_for:
            self._deadlines.forget(tracker)
        return waited_for

    def _untrack(self, tracker: Tracker) -> None:
        if self._trackers.get(tracker.name) is tracker:
            del self._trackers[tracker.name]
        tracker.let_go()

    def _unfinished(self, ending: type[_Ending], tracker: Tracker, who: Waiter, now: float) -> _Ending:
        """The error that ends a wait whose operation may still run."""
        elapsed, token = now - who.submitted, self.token(tracker)
        return ending(tracker.name, tracker.operation, tracker.polls, elapsed, tracker.error, token)


def _unexpected(tracker: Tracker, error: BaseException) -> PollError:
    failure = PollError(tracker.name, f"{type(error).__name__} in dealing with what was seen of it")
    failure.__cause__ = error
    return failure


def _has_ended(verdict: Verdict) -> bool | None:
    """Whether the operation has ended; None where the poll did not tell."""
    return True if isinstance(verdict, Ended) else False if isinstance(verdict, Running) else None


def _last_of(failures: int, error: PollError) -> PollError:
    """The same error, which was one failure too many in a row."""
    reason = f"{error.reason}, the last of {failures} failures in a row"
    last = PollError(error.name, reason, error.http_status, error.status, error.scopes)
    last.__cause__ = error.__cause__
    return last
