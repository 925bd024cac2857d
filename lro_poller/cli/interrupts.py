"""Ctrl-C, SIGTERM and SIGHUP: each cancels the command, which says what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

from .exits import Exit

__all__ = ["run_command"]

_ENDINGS = {"SIGTERM": Exit.TERMINATED, "SIGHUP": Exit.HUNG_UP}


def run_command(command: Coroutine[Any, Any, Exit]) -> Exit:
    """Runs a command in a loop of its own.

    Returns:
        What it exits with: its own status, INTERRUPTED, TERMINATED or HUNG_UP.
    """
    try:
        return asyncio.run(_until_ended(command))
    except KeyboardInterrupt:  # asyncio has cancelled the command and waited for it
        return Exit.INTERRUPTED


async def _until_ended(command: Coroutine[Any, Any, Exit]) -> Exit:
    task = asyncio.current_task()
    assert task is not None
    ended: list[Exit] = []

    def end(status: Exit) -> None:
        ended.append(status)
        task.cancel()

    for name, status in _ENDINGS.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP, and no SIGTERM that could be caught
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, end, status)
    try:
        return await command
    except (asyncio.CancelledError, OSError):  # nothing can be said to a terminal that is gone
        if ended:
            return ended[0]
        raise
