"""`lro-poller demo`: hundreds of operations, polled to their ends before one's eyes.

An emulated service and a poller share this process. Subscriptions are created through the
service's own API, with durations, errors and faults drawn from the seed; at the end each
outcome is held against the script it was drawn from.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import logging
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import backoff
from google.auth.credentials import AnonymousCredentials

from ..counting import counted
from ..future import OperationFuture
from ..poller import OperationPoller
from ..testing import Chance, Emulator, Script
from .checking import difference
from .exits import Exit
from .interrupts import run_command
from .output import say, write_json, write_line
from .progress import may_draw, progress
from .records import record_of
from .summary import figures, outcomes, print_tables
from .tally import Tally

__all__ = ["demo"]

_CHANCE = Chance(duration=2.0, error_rate=0.12)
_FAULT_RATE = 0.08
_LONGEST = 10.0  # seconds; the tail of the durations is cut, nobody wants to watch it
_DEADLINE = 300.0  # seconds; a demo that hangs ends all the same
_CREATE_AT_ONCE = 32
_BACKOFF = functools.partial(backoff.expo, base=1.3, factor=0.5, max_value=3.0)


@dataclass
class _Run:
    """A run of the demo, and what it comes to."""

    emulator: Emulator
    tally: Tally
    began: float
    lateness: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def polls(self) -> int:
        """How many polls the service has met."""
        return sum(operation.polls for operation in self.emulator.operations.values())

    def add(self, future: OperationFuture[Any], target: str) -> None:
        """Counts an operation that ended, and holds it against its script."""
        self.counts.append(future.polls)
        scripted = self.emulator.operations[future.name]
        if scripted.ends is not None and future.ended is not None:
            self.lateness.append(max(0.0, future.ended - scripted.ends))
        fault = difference(future, scripted.script, target)
        if fault is not None:
            self.wrong.append(f"{future.name}: {fault}")


def demo(options: argparse.Namespace) -> Exit:
    """Runs the demonstration; succeeds only if every operation ended as scripted.

    Raises:
        Complaint: standard output is lost.
    """
    if not options.verbose:
        logging.getLogger("lro_poller").setLevel(logging.ERROR)  # the faults are part of the show
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # as are failures that an interrupted one never tells
    return run_command(_demo(options))


async def _demo(options: argparse.Namespace) -> Exit:
    dice = random.Random(options.seed)
    scripts = [_script(dice) for _ in range(options.operations)]
    async with Emulator(seed=options.seed, fault_rate=_FAULT_RATE) as emulator:
        emulator.plan(*scripts)
        if options.format != "json":
            operations = counted(options.operations, "operation")
            write_line(f"{operations} on an emulated Workspace Events service at {emulator.origin}")
        run = _Run(emulator, Tally(total=options.operations), asyncio.get_running_loop().time())
        try:
            await _watch(run, options.format)
        except asyncio.CancelledError:
            say(f"interrupted: {run.tally.text()}; the others have ended with the emulated service")
            raise
        _summarize(run, asyncio.get_running_loop().time() - run.began, json=options.format == "json")
    return Exit.FAILED if run.wrong else Exit.SUCCEEDED


async def _watch(run: _Run, form: str) -> None:
    poller = OperationPoller(
        endpoint=run.emulator.origin, credentials=AnonymousCredentials(), backoff=_BACKOFF, deadline=_DEADLINE
    )
    async with poller, progress(run.tally, run.polls, bar=may_draw(form), every=1.0):
        targets = await _create(run.emulator, poller, run.tally.total)
        async for future in poller.as_completed(list(targets)):
            record = record_of(future)
            run.tally.add(record)
            run.add(future, targets[future])
            if form == "json":
                write_json(record.json())


async def _create(emulator: Emulator, poller: OperationPoller, count: int) -> dict[OperationFuture[Any], str]:
    """Creates subscriptions through the service's API; returns the futures with their target resources."""
    gate = asyncio.Semaphore(_CREATE_AT_ONCE)

    async def create(session: aiohttp.ClientSession, number: int) -> tuple[OperationFuture[Any], str]:
        target = f"//chat.googleapis.com/spaces/demo-{number}"
        body = {
            "targetResource": target,
            "eventTypes": ["google.workspace.chat.message.v1.created"],
            "notificationEndpoint": {"pubsubTopic": "projects/demo/topics/events"},
        }
        async with gate, session.post(f"{emulator.origin}/v1beta/subscriptions", json=body) as response:
            response.raise_for_status()
            return poller.submit(await response.json()), target

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CREATE_AT_ONCE)) as session:
        return dict(await asyncio.gather(*(create(session, number) for number in range(count))))


def _script(dice: random.Random) -> Script:
    drawn = _CHANCE.draw(dice)
    assert drawn.duration is not None
    return Script(duration=min(drawn.duration, _LONGEST), error=drawn.error)


def _summarize(run: _Run, elapsed: float, *, json: bool) -> None:
    write: Callable[[str], None] = say if json else write_line
    terminal = not json and sys.stdout.isatty()
    print_tables([outcomes(run.tally), figures(run.counts, run.lateness)], write, terminal=terminal)
    polls = run.polls()
    write(f"\n{counted(polls, 'poll')} in {elapsed:.1f} s, {polls / elapsed:.0f} a second")
    if run.wrong:
        write("\n  ".join([f"{counted(len(run.wrong), 'operation')} did not end as scripted:", *run.wrong]))
    else:
        write(f"{counted(run.tally.total, 'operation')} ended as scripted, and none otherwise")
