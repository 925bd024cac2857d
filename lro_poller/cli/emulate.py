"""`lro-poller emulate`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from ..status import Code
from ..testing import Emulator
from .exits import Exit

__all__ = ["emulate"]


async def emulate(options: argparse.Namespace) -> Exit:
    """Serves until it is interrupted."""
    if not 0 <= options.port < 65536:
        print(f"lro-poller: there is no port {options.port}", file=sys.stderr)
        return Exit.USAGE
    emulator = Emulator(
        port=options.port,
        seed=options.seed,
        duration=options.duration,
        error_rate=options.error_rate,
        fault_rate=options.fault_rate,
    )
    try:
        async with emulator:
            emulator.add_operation("operations/demo-success", duration=options.duration, response={"demo": "success"})
            emulator.add_operation("operations/demo-failure", duration=options.duration, error=Code.FAILED_PRECONDITION)
            emulator.add_operation("operations/demo-endless", duration=None)
            print(emulator.origin, flush=True)
            await asyncio.Event().wait()
    except OSError as error:
        print(f"lro-poller: cannot listen on port {options.port}: {error.strerror or error}", file=sys.stderr)
        return Exit.USAGE
    return Exit.SUCCEEDED
