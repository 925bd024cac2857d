"""The timer and the workers.

The one place where polls are started and cut. An operation that waits for its turn is an
entry in a queue; a worker is a task that exists only while something is due, and is given
the next that is due when it is done with one. One timer is set for whatever comes first: a poll
that falls due and may start, something about a deadline, or a poll that has taken too long.

What arrives in one turn of the loop is dealt with in the next turns, many replies in a row: code that
runs again and again stays in the processor's caches, from which a client library's would drive it out
between two polls.

What a reply means for an operation is the owner's business.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import math
import sys
from collections import deque
from typing import Protocol

from .engine.budget import Limiter
from .engine.deadlines import Deadlines
from .engine.planner import PollQueue
from .engine.tracker import Event, Tracker
from .engine.verdict import Setback, Verdict
from .errors import PollError
from .sender import Answer, Sender
from .turns import TIMER_SLACK, Turns

__all__ = ["Pump"]

logger = logging.getLogger("lro_poller")

_START = Event.START  # before Python 3.12 naming a member runs a function of enum's
_AFTER_EARLY = 1e-3  # seconds; a loop that rounds to milliseconds would ring over and over
_DEALT_AT_ONCE = 16  # replies: a poll has some forty objects, and after 700 new ones the garbage collector runs
_STOOD_STILL = 0.1  # seconds by which a timer rings late
_TURNS_TO_READ = 3  # of the loop until what a socket holds has become a reply; a part of a batch takes the most
_LAST_POLLS = 10.0  # seconds in which polls that are cancelled have to end


class Owner(Protocol):
    """Who owns the operations."""

    def settle(self, tracker: Tracker, verdict: Verdict) -> None:
        """A poll of `tracker` brought this. Never raises."""


class _Worker:
    """A task that polls one operation after another."""

    __slots__ = ("answer", "began", "resume", "task", "tracker")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.tracker: Tracker | None = None
        self.began = math.inf  # when its poll was sent; not before there is a token for it, and a turn
        self.answer: Answer | Exception | None = None  # what its poll brought, until that is dealt with
        self.resume: asyncio.Future[None] | None = None  # done when it may go on, with what `tracker` says, or end


class Pump:
    """Polls what is due in `queue`, and has done in time what `deadlines` ask for."""

    def __init__(self, owner: Owner, sender: Sender, limiter: Limiter, queue: PollQueue, deadlines: Deadlines) -> None:
        self.lateness = 0.0
        """Seconds between the time a poll was due and the time it started, smoothed."""
        self._loop = self.home = asyncio.get_running_loop()
        # Who happens to be the first to submit something is not whom a decoder or a transport works for.
        self._context = contextvars.copy_context()
        self._owner = owner
        self._sender = sender
        self._limiter = limiter
        self._queue = queue
        self._deadlines = deadlines
        self._closed = False
        self._in_flight: dict[Tracker, _Worker] = {}  # in the order in which they were sent
        self._arrived: deque[_Worker] = deque()  # whose polls are over
        self._idle: deque[_Worker] = deque()  # whose replies are settled, and that have no new poll yet
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Handle | None = None
        self._rings_at = math.inf
        self._rang_early = False
        self._token_poll: Tracker | None = None  # the poll that waits for a token, and then for a turn
        self._just_cut = False  # whether a poll was cut in this step of the loop
        self._turns = Turns(sender, limiter, self)
        limiter.join(self)

    @property
    def in_flight(self) -> int:
        """How many polls are under way: one that waits for a token or a turn is not."""
        return len(self._in_flight) - (self._token_poll is not None)

    def arm(self, news: float = -math.inf) -> None:
        """Sets the timer for the first thing that is to be done, soon if that is due.

        Args:
            news: When the earliest is due of what has come to be since the timer was set, where that is known.
        """
        if self._rings_at <= news or self._closed or self._loop.is_closed() or self._rings_at <= self._loop.time():
            return  # it rings before, or is about to ring, and then is set anew
        when = self._next_time()
        if self._rings_at <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        if self._rang_early and when > (now := self._loop.time()):
            when = max(when, now + _AFTER_EARLY)
        self._timer = self._loop.call_at(when, self._ring, context=self._context)

    def nudge(self) -> None:
        """See `Claimant`."""
        if not self._loop.is_closed() and self._turns.announce():
            return
        now = self._loop.time()
        if self._loop.is_closed() or self._token_poll is not None or not self._may_start(now):
            self._turns.leave_line()
        self.arm()  # in either case: while it stood in line no timer was set for a poll

    def is_over(self) -> bool:
        """See `Claimant`."""
        return self._loop.is_closed()

    def rest(self, now: float) -> None:
        """See `Turns.rest`."""
        self._turns.rest(now)

    def cut(self, tracker: Tracker) -> None:
        """Stops the poll of `tracker` that is under way."""
        worker = self._in_flight.get(tracker)
        if worker is not None and self._poll_over(worker, tracker):
            assert worker.task is not None
            worker.task.cancel()  # it ends by that; whoever is due meanwhile gets another
            if not self._just_cut:
                self._just_cut = True
                self._loop.call_soon(self._have_heard, context=self._context)
        self.arm()

    def stop(self) -> None:
        """Starts no poll and passes no deadline any more."""
        self._closed = True
        try:
            self.deal()  # what has come is told, and nobody is given another poll
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._turns.leave_line()

    async def aclose(self) -> None:
        """Ends every worker. One whose transport swallows the cancellation is left behind after a while."""
        for tracker in list(self._in_flight):
            self.cut(tracker)
        self._limiter.forget(self)
        here = asyncio.current_task()  # a worker, where a transport closes its poller: that ends after this
        if workers := [worker for worker in self._workers if worker is not here]:
            _, deaf = await asyncio.wait(workers, timeout=_LAST_POLLS)
            if deaf:
                logger.warning("polls that went on after they were cancelled, and are left behind: %d", len(deaf))

    # The timer.

    def _next_time(self) -> float:
        now = self._loop.time()
        when = self._deadlines.next_time(now)
        if self._token_poll is None and (poll := self._queue.next_time(now)) < math.inf:
            when = min(when, self._turns.next_time(now, poll))
        if self._in_flight:
            oldest = next(iter(self._in_flight.values()))
            when = min(when, oldest.began + self._sender.timeout)
        return when

    def _ring(self, turns: int = 0) -> None:
        if turns < _TURNS_TO_READ and self._in_flight and self._loop.time() - self._rings_at > _STOOD_STILL:
            # Whatever held the loop up, a suspended machine perhaps: what waits in the sockets is read first.
            self._timer = self._loop.call_soon(self._ring, turns + 1, context=self._context)
            return
        self._rang_early = self._loop.time() + TIMER_SLACK < self._rings_at
        self._timer, self._rings_at = None, math.inf
        self.deal()  # an outcome that is here was in time
        now = self._loop.time() + TIMER_SLACK
        try:
            self._deadlines.ring(now)
            self._stop_slow_polls(now)
            while not self._just_cut and self._start_worker():  # who is cut hears of it before its room is taken
                pass
        finally:
            self.arm()

    def _have_heard(self) -> None:
        """Those whose polls were cut have heard of it."""
        self._just_cut = False
        self.arm()

    def _stop_slow_polls(self, now: float) -> None:
        slow = []
        for tracker, worker in self._in_flight.items():
            if worker.began + self._sender.timeout > now:
                break
            slow.append(tracker)
        for tracker in slow:
            self.cut(tracker)
            self._owner.settle(tracker, self._sender.timed_out(tracker))

    def _start_worker(self) -> bool:
        worker = _Worker()
        if not self._admit(worker):
            return False
        try:
            task = self._loop.create_task(self._work(worker), name="lro-poller worker", context=self._context.copy())
        except BaseException as error:  # a task that starts eagerly has ended the program in its first step
            self._recover(worker, error)
            raise
        worker.task = task
        self._workers.add(task)
        task.add_done_callback(functools.partial(self._worker_done, worker))
        return True

    def _worker_done(self, worker: _Worker, task: asyncio.Task[None]) -> None:
        """The task of `worker` has ended."""
        self._workers.discard(task)
        self._recover(worker, None if task.cancelled() else task.exception())

    def _recover(self, worker: _Worker, error: BaseException | None) -> None:
        """A worker is gone. Should its poll not have ended, nobody would poll that operation any more.

        So it is when somebody cancels every task there is, or ends the program and goes on after all.
        """
        tracker = worker.tracker
        if tracker is not None and worker.answer is None and self._poll_over(worker, tracker):
            try:
                self._settle_lost(tracker, error)
            finally:
                self.arm()

    def _settle_lost(self, tracker: Tracker, error: BaseException | None) -> None:
        what = "was cancelled from outside" if error is None else f"was ended by {type(error).__name__}"
        lost = PollError(tracker.name, f"the poll {what}")
        lost.__cause__ = error
        self._owner.settle(tracker, Setback(lost))

    def _admit(self, worker: _Worker) -> bool:
        """Gives `worker` the next operation to poll, if one is due and the budget has room for it.

        While there is no token one poll fetches it and the others stay parked: they would all
        start at once when it comes, whatever the rate.
        """
        now = self._loop.time() + TIMER_SLACK
        if self._token_poll is not None:
            return False
        if self._closed or not self._may_start(now):
            self._turns.leave_line()
            return False
        # Asked before a turn is taken: code of the caller's runs in there, and may raise, close this or cancel what is due.
        ready = self._sender.ready(now)
        if self._closed or (ready and not self._turns.take(now)):
            return False
        tracker = self._queue.pop(now, contended=not self._limiter.has_room(now))
        if tracker is None:
            if ready:
                self._turns.give_back()
            return False
        tracker.on(_START)
        worker.tracker = tracker
        self._in_flight[tracker] = worker
        if ready:
            self._begin(worker, tracker, now)
        else:
            self._token_poll, worker.began = tracker, math.inf
            self._turns.leave_line()
        return True

    def _begin(self, worker: _Worker, tracker: Tracker, now: float) -> None:
        """The poll of `worker` has its turn, and its time counts."""
        worker.began = now
        late = now - tracker.due
        self.lateness += ((late if late > 0 else 0.0) - self.lateness) / 16

    def _may_start(self, now: float) -> bool:
        """Whether somebody is due at `now` and nothing but the budget and a token stands in the way."""
        return self._queue.next_time(now) <= now and self._turns.are_open(now)

    def _poll_over(self, worker: _Worker, tracker: Tracker) -> bool:
        """Counts a poll as over, once: when it is cut, or else when its worker is done with it. False when it was."""
        if self._in_flight.get(tracker) is not worker:
            return False
        del self._in_flight[tracker]
        if self._token_poll is tracker:
            self._token_poll = None
        else:
            self._turns.give_back()
        return True

    # What has arrived.

    def deal(self, most: int = sys.maxsize) -> None:
        """Settles what has arrived, `most` at the most, then gives each worker its next poll, or lets it end."""
        if not (self._arrived or self._idle):
            return
        try:
            while self._arrived and len(self._idle) < most:
                worker = self._arrived.popleft()
                self._idle.append(worker)
                tracker, answer = worker.tracker, worker.answer
                worker.tracker = worker.answer = None
                if tracker is not None and self._poll_over(worker, tracker) and answer is not None:
                    self._judge(tracker, answer)
            while self._idle:
                self._release(self._idle.popleft())
        finally:
            # There are more; or something ends the program, and should it go on, nothing is lost.
            if self._arrived or self._idle:
                self._loop.call_soon(self.deal, _DEALT_AT_ONCE, context=self._context)
            self.arm()

    def _judge(self, tracker: Tracker, answer: Answer | Exception) -> None:
        try:
            verdict = self._sender.judge(tracker, answer)
        except BaseException as error:  # the program is being ended, by code of the caller's that reads replies
            self._settle_lost(tracker, error)
            raise
        self._owner.settle(tracker, verdict)

    def _release(self, worker: _Worker) -> None:
        """Lets `worker` go on with what is due next, or end."""
        assert worker.resume is not None
        if not worker.resume.done():  # as it is when somebody has cancelled the task
            try:
                self._admit(worker)
            finally:
                if not worker.resume.done():  # code of the caller's runs in there
                    worker.resume.set_result(None)

    # A worker.

    async def _work(self, worker: _Worker) -> None:
        worker.task = asyncio.current_task()  # for one that starts eagerly, before whoever made it has the task
        while (tracker := worker.tracker) is not None:
            fault = await self._fetch_token(worker, tracker) if self._token_poll is tracker else None
            worker.answer = await self._sender.ask(tracker) if fault is None else fault
            worker.resume = self._loop.create_future()
            if not self._arrived:
                self._loop.call_soon(self.deal, _DEALT_AT_ONCE, context=self._context)
            self._arrived.append(worker)
            await worker.resume

    async def _fetch_token(self, worker: _Worker, tracker: Tracker) -> Exception | None:
        """Has its poll sent once there are a token and a turn for it; returns why there is no token."""
        fault = await self._turns.take_with_a_new_token()
        if fault is None:
            self._token_poll = None
            self._in_flight[tracker] = self._in_flight.pop(tracker)
            self._begin(worker, tracker, self._loop.time())
            self.arm()
        return fault
