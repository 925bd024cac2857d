"""A fleet: a poller, many operations and the people who wait for them, run to the end and checked.

Checked of every run: each future ends exactly once, with what its plot demands or at a
deadline that had truly passed; no deadline is overshot; the cap, the rate and Retry-After
hold; nothing is polled after its end; no task, timer or poll is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import backoff

from lro_poller import (
    BackoffError,
    DecodeError,
    FailedPrecondition,
    LroError,
    OperationFuture,
    OperationPoller,
    PollerClosed,
    PollError,
    PollTimeout,
)

from .clock import SimulatedLoop
from .world import Plot, SimulatedCredentials, World

__all__ = ["Report", "run"]

_KINDS = ("succeeds", "fails", "ends without a result", "refused", "never")
_KIND_WEIGHTS = (60, 15, 5, 5, 5)
_WAITERS = ("patient", "cancels its await", "cancels the future", "decoder raises", "backoff raises", "callback raises")
_WAITER_WEIGHTS = (80, 5, 3, 3, 2, 5)


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


def run(seed: int, operations: int) -> Report:
    """Simulates a fleet; the same seed gives the same run."""
    report = Report(seed, operations)
    logging.getLogger("lro_poller").setLevel(logging.ERROR)  # a fleet in trouble has nothing new to say
    loop = SimulatedLoop()
    threads = functools.partial(_simulated_thread, random.Random(f"threads {seed}"))
    try:
        with mock.patch("lro_poller.auth.in_daemon_thread", threads):
            loop.run_until_complete(_Fleet(seed, operations, loop, report).live())
            loop.run_until_complete(asyncio.sleep(0))
        report.expect(held=not asyncio.all_tasks(loop), otherwise=f"leaked: {asyncio.all_tasks(loop)}")
        report.expect(held=not loop.timers(), otherwise=f"leaked: {loop.timers()} timers")
        for context in loop.unhandled:
            expected = isinstance(context.get("exception"), _ExpectedError)
            report.expect(held=expected, otherwise=f"unhandled: {context}")
    finally:
        loop.close()
    return report


async def _simulated_thread(dice: random.Random, function: Callable[[], Any]) -> Any:
    """A thread takes simulated time: real ones would make a run differ from the next."""
    await asyncio.sleep(dice.uniform(0, 3))
    return function()


class _ExpectedError(Exception):
    """What callbacks, decoders and generators of a fleet raise."""


class _Fleet:
    def __init__(self, seed: int, operations: int, loop: SimulatedLoop, report: Report) -> None:
        self._dice = random.Random(f"fleet {seed}")
        self._loop = loop
        self._report = report
        self._operations = operations
        self._rate = self._dice.choice((math.inf, math.inf, 20.0, 200.0))
        self._cap = self._dice.choice((1, 4, 32, 256))
        fault_rate = self._dice.choice((0.0, 0.05, 0.3))
        self._world = World(seed, loop, self._cap, self._rate, fault_rate)
        self._credentials = SimulatedCredentials(self._world)
        self._closes_early = self._dice.random() < 0.3
        self._poller = OperationPoller(
            credentials=self._credentials,
            transport=self._world,
            max_in_flight=self._cap,
            max_rate=self._rate,
            random=random.Random(f"jitter {seed}").random,
        )
        self._ends: Counter[OperationFuture[Any]] = Counter()
        self._timers: list[asyncio.TimerHandle] = []

    async def live(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        async with self._poller as poller:
            runner = poller._runner
            assert runner is not None
            tasks = [
                asyncio.ensure_future(self._wait(self._plot(number), self._dice.choices(_WAITERS, _WAITER_WEIGHTS)[0]))
                for number in range(self._operations)
            ]
            tasks.append(asyncio.ensure_future(self._submit_many()))
            if self._closes_early:
                await asyncio.sleep(self._dice.uniform(1, 600))
            else:
                await asyncio.wait(tasks)
                await poller.drain()
        await asyncio.wait(tasks)
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            self._report.expect(held=error is None, otherwise=f"a waiter of the fleet broke: {error!r}")
        for timer in self._timers:
            timer.cancel()
        self._check_the_end(runner)

    def _plot(self, number: int) -> Plot:
        dice = random.Random(f"{self._world.seed} {number}")
        kind = dice.choices(_KINDS, _KIND_WEIGHTS)[0]
        ends = math.inf if kind == "never" else self._loop.time() + min(dice.lognormvariate(3.0, 1.5), 900.0)
        plot = Plot(f"operations/{number}", ends, kind, dice)
        self._world.plots[plot.name] = plot
        return plot

    async def _wait(self, plot: Plot, manner: str) -> None:
        """One caller: submits, awaits in its manner, and holds the outcome against the plot."""
        dice = plot.dice
        await asyncio.sleep(dice.uniform(0, 120))
        twins = 2 if dice.random() < 0.1 else 1
        await asyncio.gather(*(self._submit(plot, manner) for _ in range(twins)))

    async def _submit(self, plot: Plot, manner: str) -> None:
        dice = plot.dice
        deadline = dice.uniform(1, 400) if plot.kind == "never" or dice.random() < 0.3 else 2000.0
        try:
            future = self._poller.submit(plot.name, deadline=deadline, **_options(manner, dice))
        except RuntimeError:
            self._report.counts["submitted too late"] += 1
            self._report.expect(held=self._closes_early, otherwise=f"{plot.name}: refused by an open poller")
            return
        submitted = self._loop.time()
        plot.deadlines.append(submitted + deadline)
        future.add_done_callback(self._count_end)
        if manner == "callback raises":
            future.add_done_callback(_raise)
        if manner == "cancels its await":
            await _await_and_cancel(future, dice)
        if manner == "cancels the future":
            self._later(dice.uniform(0, 300), future.cancel)
        if dice.random() < 0.05:
            plot.woken = True
            self._later(dice.uniform(0, 100), future.poll_now)
        await _await(future)
        self._check(plot, manner, future, submitted + deadline)

    async def _submit_many(self) -> None:
        """A caller of wait_all who is cancelled in the middle."""
        await asyncio.sleep(self._dice.uniform(0, 60))
        plots = [self._plot(self._operations + number) for number in range(10)]
        for plot in plots:
            plot.deadlines.append(self._loop.time() + 500)
        try:
            waiting = asyncio.ensure_future(self._poller.wait_all([plot.name for plot in plots], deadline=500))
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
            case "PollError":
                held = plot.told == "been refused" or plot.may_be_refused
            case "PollTimeout":
                held = now >= deadline - 1e-4 and not told
            case "PollerClosed":
                held = self._closes_early and not told
            case "DecodeError":
                held = manner == "decoder raises" and plot.told == "ended"
            case "BackoffError":
                held = manner == "backoff raises"
            case _:
                held = manner == "cancels the future" and not told
        why = None if future.cancelled() else future.exception()
        expect(
            held=held, otherwise=f"{name}: {outcome}, though it {plot.kind}; told {plot.told} at {plot.told_at}: {why}"
        )

    def _check_the_end(self, runner: Any) -> None:
        expect = self._report.expect
        self._report.wrongs += self._world.wrongs
        self._report.counts += self._world.counts
        twice = [future for future, count in self._ends.items() if count != 1]
        expect(held=not twice, otherwise=f"ended more than once: {twice}")
        expect(held=self._world.closed, otherwise="the transport was not closed")
        expect(held=self._world.in_flight == 0, otherwise=f"{self._world.in_flight} polls left in flight")
        left = (
            self._poller.budget.in_flight,
            len(runner._trackers),
            len(runner._queue),
            len(runner._pump.deadlines),
            runner._pump.in_flight,
        )
        expect(held=not any(left), otherwise=f"left in the books: {left}")

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        self._timers.append(self._loop.call_later(seconds, action))

    def _count_end(self, future: OperationFuture[Any]) -> None:
        self._ends[future] += 1


def _outcome(future: OperationFuture[Any]) -> str:
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    known = (FailedPrecondition, PollError, PollTimeout, PollerClosed, DecodeError, BackoffError)
    assert error is None or isinstance(error, known), repr(error)
    return "succeeded" if error is None else type(error).__name__


def _options(manner: str, dice: random.Random) -> dict[str, Any]:
    if manner == "decoder raises":
        return {"decode": _raise}
    if manner == "backoff raises":
        return {"backoff": _raising_backoff}
    if dice.random() < 0.2:
        return {"backoff": functools.partial(backoff.fibo, max_value=60)}
    return {}


def _raising_backoff() -> Any:
    yield
    yield 1
    raise _ExpectedError


def _raise(value: object) -> None:
    raise _ExpectedError


async def _await_and_cancel(future: OperationFuture[Any], dice: random.Random) -> None:
    """An impatient awaiter: what it cancels is its own await, not the future."""
    awaiting = asyncio.ensure_future(_await(future))
    await asyncio.wait([awaiting], timeout=dice.uniform(0, 60))
    awaiting.cancel()
    await asyncio.wait([awaiting])


async def _await(future: OperationFuture[Any]) -> None:
    with contextlib.suppress(LroError, asyncio.CancelledError):
        await future
