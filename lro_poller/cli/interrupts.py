"""Ctrl-C and SIGTERM: both cancel the command, which says what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

from .exits import Exit

__all__ = ["run_command"]


def run_command(command: Coroutine[Any, Any, Exit]) -> Exit:
    """Runs a command in a loop of its own.

    Returns:
        What it exits with: its own status, INTERRUPTED or TERMINATED.
    """
    try:
        return asyncio.run(_until_terminated(command))
    except KeyboardInterrupt:  # asyncio has cancelled the command and waited for it
        return Exit.INTERRUPTED


async def _until_terminated(command: Coroutine[Any, Any, Exit]) -> Exit:
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows has no SIGTERM that could be caught
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await command
    except asyncio.CancelledError:
        if terminated:
            return Exit.TERMINATED
        raise
