"""`lro-poller get`."""

from __future__ import annotations

import argparse
import asyncio

from ..errors import PollError
from ..poller import OperationPoller
from .access import make_poller
from .exits import Exit
from .interrupts import run_command
from .names import check_names
from .output import say, write_json, write_line
from .records import Record, record_of_error, record_of_operation

__all__ = ["get"]


def get(options: argparse.Namespace) -> Exit:
    """Polls once, and shows what the operation is.

    Raises:
        Complaint: the name or an option is wrong, there are no credentials, or standard output is lost.
    """
    check_names([options.name], options.service.names)
    return run_command(_get(options))


async def _get(options: argparse.Namespace) -> Exit:
    async with await make_poller(options) as poller:
        try:
            record = await _poll(poller, options.name)
        except asyncio.CancelledError:
            say(f"interrupted; {options.name} was not looked at, and may still be running remotely")
            raise
    if options.format == "json":
        write_json(record.json())
    else:
        write_line(record.whole_text())
    return record.exit


async def _poll(poller: OperationPoller, name: str) -> Record:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        operation = await poller.get(name)
    except PollError as error:
        return record_of_error(name, error, None, 1, loop.time() - began)
    return record_of_operation(operation, 1, loop.time() - began)
