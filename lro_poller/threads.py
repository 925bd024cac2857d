"""Blocking work that a process must be able to leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_daemon_thread"]

T = TypeVar("T")


async def in_daemon_thread(function: Callable[[], T]) -> T:
    """Runs `function` in a thread of its own, and returns what it returns or raises what it raises.

    Cancelling abandons the thread, and so does the end of the process: the threads of executors
    and of anyio are joined at exit, and a server that hangs would hold that up.

    Raises:
        OSError: no thread can be started now.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if answer.done() else action())

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # whatever it is, somebody waits
            fit = isinstance(error, Exception) and not isinstance(error, StopIteration)
            failure = error if fit else RuntimeError(type(error).__name__)
            deliver(lambda: answer.set_exception(failure))
        else:
            deliver(lambda: answer.set_result(result))

    try:
        threading.Thread(target=work, name="lro-poller thread", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return await answer
