"""A fleet: one poller or two, many operations and the people who wait for them, run to the end and checked.

Checked of every run: each future ends exactly once, with what its plot demands or at a
deadline that had truly passed; no deadline is overshot; the cap and the rate hold over all
pollers, and so does Retry-After; whoever has been due for longest is polled within the turns
that the queue promises; nobody who is due waits while there is room; nothing is polled after its
end; no task, timer or poll is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import google.auth.transport.requests  # noqa: F401 - the first refresh would load it, inside the loop here

from lro_poller import (
    WORKSPACE_EVENTS,
    BackoffError,
    Budget,
    Cancelled,
    DecodeError,
    FailedPrecondition,
    OperationFuture,
    OperationPoller,
    PollerClosed,
    PollError,
    PollTimeout,
)
from lro_poller.engine.orders import FAIR_TURN

from .callers import EXPECTED, MANNER_WEIGHTS, MANNERS, Caller, await_and_cancel, await_outcome
from .clock import SimulatedLoop
from .http2 import Http2Line
from .world import Line, Plot, SimulatedCredentials, World

__all__ = ["Report", "run"]

_KINDS = ("succeeds", "fails", "ends without a result", "refused", "never")
_KIND_WEIGHTS = (60, 15, 5, 5, 5)
_SERVICE = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
_GRACE = 60.0


@dataclass
class Report:
    """What a run came to. `wrongs` is empty, or says what promise was broken and when."""

    seed: int
    operations: int
    counts: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)

    def expect(self, *, held: bool, otherwise: str) -> None:
        if not held and len(self.wrongs) < 20:
            self.wrongs.append(otherwise)


def run(seed: int, operations: int, line: type[Line | Http2Line] = Line) -> Report:
    """Simulates a fleet, which sends its polls through lines of that kind; the same seed gives the same run."""
    report = Report(seed, operations)
    logging.getLogger("lro_poller").setLevel(logging.CRITICAL)  # a fleet in trouble has nothing new to say
    loop = SimulatedLoop()
    threads = functools.partial(_simulated_thread, random.Random(f"threads {seed}"))
    try:
        with mock.patch("lro_poller.auth.in_daemon_thread", threads):
            loop.run_until_complete(_Fleet(seed, operations, loop, report, line).live())
            loop.run_until_complete(asyncio.sleep(0))
        report.expect(held=not asyncio.all_tasks(loop), otherwise=f"leaked: {asyncio.all_tasks(loop)}")
        report.expect(held=not loop.timers(), otherwise=f"leaked: {loop.timers()} timers")
        for context in loop.unhandled:
            expected = isinstance(context.get("exception"), EXPECTED)
            report.expect(held=expected, otherwise=f"unhandled: {context}")
    finally:
        loop.close()
    return report


async def _simulated_thread(dice: random.Random, function: Callable[[], Any]) -> Any:
    """A thread takes simulated time: real ones would make a run differ from the next."""
    await asyncio.sleep(dice.uniform(0, 3))
    return function()


class _Fleet:
    def __init__(
        self, seed: int, operations: int, loop: SimulatedLoop, report: Report, line: type[Line | Http2Line]
    ) -> None:
        self._dice = random.Random(f"fleet {seed}")
        self._loop = loop
        self._report = report
        self._operations = operations
        self._rate = self._dice.choice((math.inf, math.inf, 20.0, 200.0))
        self._cap = self._dice.choice((1, 4, 32, 256))
        fault_rate = self._dice.choice((0.0, 0.05, 0.3))
        self._world = World(seed, loop, self._cap, self._rate, fault_rate, line.frames_replies)
        self._closes_early = self._dice.random() < 0.3
        self._one_leaves = self._dice.random() < 0.3
        budget = Budget(self._cap, self._rate)
        credentials = SimulatedCredentials(self._world)
        self._lines = [line(self._world) for _ in range(self._dice.choice((1, 2)))]
        self._pollers = [
            OperationPoller(
                _SERVICE,
                credentials=credentials,
                transport=line,
                budget=budget,
                cancel_grace=_GRACE,
                random=random.Random(f"jitter {seed} {number}").random,
            )
            for number, line in enumerate(self._lines)
        ]
        self._ends: Counter[OperationFuture[Any]] = Counter()
        self._futures: list[OperationFuture[Any]] = []
        self._timers: list[asyncio.TimerHandle] = []

    async def live(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        async with contextlib.AsyncExitStack() as stack:
            for poller in self._pollers:
                await stack.enter_async_context(poller)
            runners = [poller._runner for poller in self._pollers]
            watching = [
                asyncio.ensure_future(watch(runner))
                for runner in runners
                for watch in (self._watch_the_queue, self._watch_the_pump)
            ]
            tasks = [asyncio.ensure_future(self._wait(self._plot(number))) for number in range(self._operations)]
            tasks.append(asyncio.ensure_future(self._submit_many()))
            if self._one_leaves:
                await asyncio.sleep(self._dice.uniform(1, 300))
                await self._pollers[-1].__aexit__(None, None, None)
            if self._closes_early:
                await asyncio.sleep(self._dice.uniform(1, 600))
            else:
                await asyncio.wait(tasks)
            for watch in watching:
                watch.cancel()
        await asyncio.wait([*tasks, *watching])
        for task in [*tasks, *watching]:
            error = None if task.cancelled() else task.exception()
            self._report.expect(held=error is None, otherwise=f"a waiter or a watch of the fleet broke: {error!r}")
        for timer in self._timers:
            timer.cancel()
        for runner in runners:
            self._check_the_books(runner)
        self._check_the_end()

    async def _watch_the_queue(self, runner: Any) -> None:
        """Whoever has been due for longest is polled within so many turns, whatever the others are worth."""
        queue, first, polls, turns = runner._queue, None, 0, 0
        while True:
            await asyncio.sleep(0.5)
            head = next(iter(queue._due), None)
            if head is not first or head is None or head.polls != polls:
                first, polls, turns = head, 0 if head is None else head.polls, queue._turns
            elif queue._turns - turns > FAIR_TURN:
                self._report.expect(held=False, otherwise=f"{head.name} starves: {queue._turns - turns} turns")

    async def _watch_the_pump(self, runner: Any) -> None:
        """While the budget has room for a poll that is due, one is started."""
        pump, sender, limiter, seen, stalled = runner._pump, runner._sender, runner._limiter, -1, 0
        while not runner.closed:
            await asyncio.sleep(0.5)
            now = self._loop.time()
            due = max(runner._queue.next_time(now), pump._turns.rests_until, limiter.next_time(now, pump)) <= now
            stalled = stalled + 1 if due and pump._token_poll is None and sender.polls == seen else 0
            seen = sender.polls
            self._report.expect(held=stalled < 4, otherwise=f"{pump} has stood still for two seconds, at {now}")

    def _plot(self, number: int) -> Plot:
        dice = random.Random(f"{self._world.seed} {number}")
        kind = dice.choices(_KINDS, _KIND_WEIGHTS)[0]
        ends = math.inf if kind == "never" else self._loop.time() + min(dice.lognormvariate(3.0, 1.5), 900.0)
        plot = Plot(f"operations/{number}", ends, kind, dice, dice.randrange(len(self._pollers)))
        self._world.plots[plot.name] = plot
        return plot

    async def _wait(self, plot: Plot) -> None:
        """The callers of one operation, each with its own manner and deadline."""
        dice = plot.dice
        await asyncio.sleep(dice.uniform(0, 120))
        manners = dice.choices(list(MANNERS), MANNER_WEIGHTS, k=dice.choice((1, 1, 1, 1, 2, 3)))
        plot.manners.update(manners)
        await asyncio.gather(*(self._submit(plot, manner) for manner in manners))

    async def _submit(self, plot: Plot, manner: str) -> None:
        """One caller: submits, awaits in its manner, and holds the outcome against the plot."""
        dice, poller = plot.dice, self._pollers[plot.poller]
        await asyncio.sleep(dice.choice((0, 0, dice.uniform(0, 60))))
        if plot.told is not None:
            return  # or it would be polled again after its end
        caller = Caller(plot.name, manner, dice, self._futures)
        options = caller.options(dice.uniform(1, 400) if plot.kind == "never" or dice.random() < 0.3 else 2000.0)
        if poller._runner is not None and plot.name not in poller._runner._trackers:
            plot.refused_in_a_row, plot.not_before = 0, 0.0  # nobody remembers
        submitted = self._loop.time()
        deadline = submitted + options["deadline"]
        plot.deadlines += [deadline, deadline + _GRACE]
        try:
            future = poller.submit(caller.submission(), **options)
        except RuntimeError:
            self._report.counts["submitted too late"] += 1
            self._report.expect(held=self._may_close(plot), otherwise=f"{plot.name}: refused by an open poller")
            return
        self._futures.append(future)
        future.add_done_callback(self._count_end)
        caller.listen(future)
        if manner == "cancels its await":
            await await_and_cancel(future, dice)
        if manner == "cancels the future":
            self._later(dice.uniform(0, 300), future.cancel)
        for _ in range(dice.choice((0,) * 10 + (1, 20))):
            self._later(dice.uniform(0, 100), future.poll_now)
        await await_outcome(future)
        self._check(plot, manner, future, deadline + _GRACE * (options.get("at_deadline") == "cancel_and_wait"))

    def _may_close(self, plot: Plot) -> bool:
        """Whether the poller of an operation may have been closed before its end."""
        return self._closes_early or (self._one_leaves and plot.poller == len(self._pollers) - 1)

    async def _submit_many(self) -> None:
        """A caller of wait_all who is cancelled in the middle."""
        await asyncio.sleep(self._dice.uniform(0, 60))
        plots = [self._plot(self._operations + number) for number in range(10)]
        for plot in plots:
            plot.deadlines.append(self._loop.time() + 500)
        try:
            names = [plot.name for plot in plots]
            waiting = asyncio.ensure_future(self._pollers[0].wait_all(names, deadline=500))
            await asyncio.wait([waiting], timeout=self._dice.uniform(0, 100))
            waiting.cancel()
            await asyncio.wait([waiting])
            for future in [] if waiting.cancelled() or waiting.exception() else waiting.result():
                future.exception()
        except RuntimeError:
            self._report.counts["submitted too late"] += 1

    def _check(self, plot: Plot, manner: str, future: OperationFuture[Any], deadline: float) -> None:
        expect, name, now = self._report.expect, plot.name, self._loop.time()
        outcome = _outcome(future)
        self._report.counts[f"outcome: {outcome}"] += 1
        expect(held=future.ended == now, otherwise=f"{name}: heard of at {now}, ended at {future.ended}")
        expect(held=now <= deadline + 1e-4, otherwise=f"{name}: overshot its deadline by {now - deadline} s")
        told = plot.told is not None and plot.told_at <= now
        match outcome:
            case "succeeded":
                wanted = plot.kind in ("succeeds", "ends without a result") and plot.told == "ended"
                value = None if plot.kind == "ends without a result" else name
                got = future.result()
                held = wanted and (got["name"] if isinstance(got, dict) else got) == value
            case "FailedPrecondition":
                error = future.exception()
                held = plot.kind == "fails" and isinstance(error, FailedPrecondition) and error.message == name
            case "Cancelled":
                held = plot.cancelled and plot.told == "ended"
            case "PollError":
                held = plot.told == "been refused" or plot.may_be_refused or "backoff raises" in plot.manners
            case "PollTimeout":
                held = now >= deadline - 1e-4 and not told
            case "PollerClosed":
                held = self._may_close(plot) and not told
            case "DecodeError":
                held = manner == "decoder raises" and plot.told == "ended"
            case "BackoffError":
                held = "backoff raises" in plot.manners
            case _:
                held = manner == "decoder cancels" or (manner in ("cancels the future", "backoff cancels") and not told)
        why = None if future.cancelled() else future.exception()
        expect(
            held=held, otherwise=f"{name}: {outcome}, though it {plot.kind}; told {plot.told} at {plot.told_at}: {why}"
        )

    def _check_the_end(self) -> None:
        expect = self._report.expect
        self._report.wrongs += self._world.wrongs
        self._report.counts += self._world.counts
        twice = [future for future, count in self._ends.items() if count != 1]
        expect(held=not twice, otherwise=f"ended more than once: {twice}")
        expect(held=all(line.closed for line in self._lines), otherwise="a transport was not closed")
        expect(held=self._world.in_flight == 0, otherwise=f"{self._world.in_flight} polls left in flight")

    def _check_the_books(self, runner: Any) -> None:
        left = (
            self._pollers[0].budget.in_flight,
            len(runner._limiter._in_line),
            len(runner._trackers),
            len(runner.errands.under_way),
            len(runner._queue),
            len(runner._queue._polled),
            len(runner._deadlines),
            runner._pump.in_flight,
            len(runner._pump._workers),
        )
        self._report.expect(held=not any(left), otherwise=f"left in the books: {left}")

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        self._timers.append(self._loop.call_later(seconds, action))

    def _count_end(self, future: OperationFuture[Any]) -> None:
        self._ends[future] += 1


def _outcome(future: OperationFuture[Any]) -> str:
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    known = (FailedPrecondition, Cancelled, PollError, PollTimeout, PollerClosed, DecodeError, BackoffError)
    assert error is None or isinstance(error, known), repr(error)
    return "succeeded" if error is None else type(error).__name__
