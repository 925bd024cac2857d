"""`lro-poller emulate`."""

from __future__ import annotations

import argparse
import asyncio
import os

from ..counting import counted
from ..status import Code
from ..testing import Emulator
from .exits import Complaint, Exit
from .interrupts import run_command
from .output import say, write_line

__all__ = ["emulate"]


def emulate(options: argparse.Namespace) -> Exit:
    """Serves until it is interrupted.

    Raises:
        Complaint: it cannot listen on that port, or standard output is lost.
    """
    return run_command(_emulate(options))


async def _emulate(options: argparse.Namespace) -> Exit:
    emulator = Emulator(
        port=options.port,
        seed=options.seed,
        duration=options.duration,
        error_rate=options.error_rate,
        fault_rate=options.fault_rate,
        keep_requests=0,  # it may serve for days, and nobody could look at them
    )
    try:
        await emulator.__aenter__()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # asyncio's own text says the address again
        raise Complaint(f"cannot listen on port {options.port}: {why}; --port 0 takes a free one") from error
    try:
        await _serve(emulator, options.duration)
    finally:
        await emulator.__aexit__(None, None, None)
    return Exit.SUCCEEDED


async def _serve(emulator: Emulator, duration: float) -> None:
    emulator.add_operation("operations/demo-success", duration=duration, response={"demo": "success"})
    emulator.add_operation("operations/demo-failure", duration=duration, error=Code.FAILED_PRECONDITION)
    emulator.add_operation("operations/demo-endless", duration=None)
    write_line(emulator.origin)
    say(
        f"try: lro-poller wait operations/demo-success --endpoint {emulator.origin} --anonymous\n"
        "Ctrl-C ends the service; what runs on it ends with it"
    )
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        now = asyncio.get_running_loop().time()
        ended = [one.over or (one.ends is not None and one.ends <= now) for one in emulator.operations.values()]
        requests, running = counted(emulator.request_count, "request"), counted(ended.count(False), "operation")
        say(f"interrupted after {requests}, with {running} still running")
        raise
