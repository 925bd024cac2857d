"""`lro-poller wait`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..counting import counted
from ..future import OperationFuture
from ..poller import OperationPoller
from .access import make_poller
from .exits import Complaint, Exit
from .interrupts import run_command
from .names import read_names
from .output import say, write_json
from .progress import may_draw, progress
from .records import record_of, record_of_interrupted
from .tally import Tally

__all__ = ["wait"]

_EVERY = 10.0  # seconds between two lines of progress off a terminal
_LISTED = 20  # names that are listed on a terminal


def wait(options: argparse.Namespace) -> Exit:
    """Waits for the operations that are named; reports each as it ends.

    Raises:
        Complaint: a name or an option is wrong, there are no credentials, or standard output is lost.
    """
    names = read_names(options.names, options.service.names)
    return run_command(_wait(names, options))


async def _wait(names: Sequence[str], options: argparse.Namespace) -> Exit:
    async with await make_poller(options) as poller:
        untold = dict.fromkeys(poller.submit(name, deadline=options.deadline) for name in names)
        tally = Tally(total=len(untold))
        try:
            await _report(poller, untold, tally, options.format)
        except asyncio.CancelledError:
            _tell_what_goes_on(untold, options.format)
            raise
        except Complaint as complaint:
            _give_up(untold)
            left = len(untold)
            raise Complaint(
                f"{complaint.text}; {left} of {counted(tally.total, 'operation')} not reported", complaint.status
            ) from complaint
    if tally.total > 1:
        say(tally.text())
    return tally.exit


async def _report(poller: OperationPoller, untold: dict[OperationFuture[Any], None], tally: Tally, form: str) -> None:
    """Reports each operation as it ends; `untold` keeps those that were not."""
    told = 0  # polls of those that were reported

    def polls() -> int:
        return told + sum(future.polls for future in untold)

    async with progress(tally, polls, bar=may_draw(form), every=_EVERY) as print_line:
        async for future in poller.as_completed(list(untold)):
            record = record_of(future)
            tally.add(record)
            if form == "json":
                write_json(record.json())
            else:
                print_line(record.text() if tally.total > 1 else record.whole_text())
            del untold[future]
            told += future.polls


def _give_up(futures: Iterable[OperationFuture[Any]]) -> None:
    """Looks at the outcomes that came too late to be reported, or they would be logged."""
    for future in futures:
        if future.done():
            future.exception()


def _tell_what_goes_on(untold: Iterable[OperationFuture[Any]], form: str) -> None:
    """To programs a line for each, from which to go on; to people those that may still be running."""
    if form == "json":
        with contextlib.suppress(Complaint):  # who reads it may have been interrupted too
            for future in untold:
                write_json(record_of_interrupted(future).json())
    pending = [future.name for future in untold if not future.done()]
    _give_up(untold)
    if not pending:
        return
    whole = len(pending) <= _LISTED or not (form == "json" or sys.stderr.isatty())
    shown = pending if whole else pending[:_LISTED]
    more = [] if whole else [f"and {len(pending) - len(shown)} more"]
    say("\n  ".join(["interrupted; these operations may still be running remotely:", *shown, *more]))
