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
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import backoff
from google.auth.credentials import AnonymousCredentials

from ..future import OperationFuture
from ..poller import OperationPoller
from ..status import Code
from ..testing import Chance, Emulator, Script
from .exits import Exit
from .progress import progress
from .records import Record, Tally, print_json, record_of

__all__ = ["demo"]

_CHANCE = Chance(duration=2.0, error_rate=0.12)
_FAULT_RATE = 0.08
_LONGEST = 10.0  # seconds; the tail of the durations is cut, nobody wants to watch it
_CREATE_AT_ONCE = 32
_BACKOFF = functools.partial(backoff.expo, base=1.3, factor=0.5, max_value=3.0)


@dataclass
class _Run:
    """What a run of the demo comes to."""

    tally: Tally
    began: float
    lateness: list[float] = field(default_factory=list)
    polls: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, future: OperationFuture[Any], emulator: Emulator, target: str) -> Record:
        """Counts an operation that ended, and holds it against its script."""
        record = record_of(future)
        self.tally.add(record)
        self.polls.append(future.polls)
        scripted = emulator.operations[future.name]
        if scripted.ends is not None and future.ended is not None:
            self.lateness.append(max(0.0, future.ended - scripted.ends))
        fault = _difference(record, scripted.script, target)
        if fault is not None:
            self.wrong.append(f"{future.name}: {fault}")
        return record


async def demo(options: argparse.Namespace) -> Exit:
    """Runs the demonstration; succeeds only if every operation ended as scripted."""
    if not options.verbose:
        logging.getLogger("lro_poller").setLevel(logging.ERROR)  # the faults are part of the show
    dice = random.Random(options.seed)
    scripts = [_script(dice) for _ in range(options.operations)]
    loop = asyncio.get_running_loop()
    async with Emulator(seed=options.seed, fault_rate=_FAULT_RATE) as emulator:
        emulator.plan(*scripts)
        if options.format != "json":
            print(f"{options.operations} operations on an emulated Workspace Events service at {emulator.origin}")
        poller = OperationPoller(
            endpoint=emulator.origin,
            credentials=AnonymousCredentials(),
            backoff=_BACKOFF,
            deadline=300,
        )
        run = _Run(Tally(total=options.operations), loop.time())
        details = functools.partial(_details, emulator, run, loop)
        async with poller:
            with progress(run.tally, bar=options.format == "auto", every=1.0, details=details) as show:
                targets = await _create(emulator, poller, options.operations)
                async for future in poller.as_completed(list(targets)):
                    record = run.add(future, emulator, targets[future])
                    if options.format == "json":
                        print_json(record.json())
                    show()
        _summarize(run, emulator, loop.time() - run.began, sys.stderr if options.format == "json" else sys.stdout)
    return Exit.FAILED if run.wrong else Exit.SUCCEEDED


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


def _difference(record: Record, script: Script, target: str) -> str | None:
    """How an outcome differs from what was scripted; None where it does not."""
    if isinstance(script.error, Code):
        return None if record.code == script.error.name else f"{record.outcome} {record.code}, not {script.error.name}"
    if record.outcome != "succeeded":
        return f"{record.outcome} {record.code} {record.message}, but it was to succeed"
    found = record.response.get("targetResource") if isinstance(record.response, dict) else None
    return None if found == target else f"its response is of {found}, not {target}"


def _details(emulator: Emulator, run: _Run, loop: asyncio.AbstractEventLoop) -> str:
    polls = _polls(emulator)
    return f"{polls} polls, {polls / max(loop.time() - run.began, 0.001):.0f} a second"


def _polls(emulator: Emulator) -> int:
    return sum(operation.polls for operation in emulator.operations.values())


def _summarize(run: _Run, emulator: Emulator, elapsed: float, out: Any) -> None:
    rows = [(code, str(count), f"{count / run.tally.total:.1%}") for code, count in run.tally.codes.most_common()]
    _table(out, ("outcome", "operations", "share"), rows)
    polls, lateness = sorted(run.polls), sorted(run.lateness)
    spread = [
        ("polls an operation", f"{sum(polls) / len(polls):.1f}", *(str(_percentile(polls, q)) for q in (50, 95, 100))),
        (
            "lateness, s",
            f"{sum(lateness) / len(lateness):.2f}",
            *(f"{_percentile(lateness, q):.2f}" for q in (50, 95, 100)),
        ),
    ]
    _table(out, ("", "mean", "p50", "p95", "max"), spread)
    total = _polls(emulator)
    print(f"\n{total} polls in {elapsed:.1f} s, {total / elapsed:.0f} a second", file=out)
    if run.wrong:
        print(f"{len(run.wrong)} operations did not end as scripted:", *run.wrong, sep="\n  ", file=out)
    else:
        print(f"every one of the {run.tally.total} operations ended as scripted", file=out)


def _table(out: Any, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(file=out)
    for row in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]), file=out)


def _percentile(ordered: Sequence[Any], share: int) -> Any:
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]
