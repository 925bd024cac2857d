"""Waiting for several futures: all of them, or each as it comes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable
from typing import Any, NoReturn

from .counting import counted
from .future import OperationFuture, check_loop

__all__ = ["Completions", "all_done"]


class Completions:
    """The futures, each when it has its outcome. One that was given several times comes as often."""

    def __init__(self, futures: Iterable[OperationFuture[Any]]) -> None:
        self._times: dict[OperationFuture[Any], int] = {}  # those that have not come yet, and how often each is to come
        self._done: asyncio.Queue[OperationFuture[Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._put = self._done.put_nowait  # one method for all
        self._left = 0  # how many are to come, less those that a reader waits for already
        context = contextvars.copy_context()
        for future in futures:
            self._times[future] = self._times.get(future, 0) + 1
            self._left += 1
            future.add_done_callback(self._put, context=context)

    def __del__(self) -> None:
        """Whoever waits again and again for the same futures, a second at a time, must leave nothing on them."""
        for future in self._times:
            future.remove_done_callback(self._put)

    def __iter__(self) -> NoReturn:
        raise TypeError("use 'async for', not 'for': 'async for future in …'")

    def __aiter__(self) -> Completions:
        return self

    def __repr__(self) -> str:
        return f"<as_completed, {counted(len(self._times), 'operation')} to come>"

    async def __anext__(self) -> OperationFuture[Any]:
        check_loop(self._loop, self)
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1  # before it is there: another reader may ask meanwhile
        try:
            future = await self._done.get()
        except asyncio.CancelledError:
            self._left += 1
            raise
        self._times[future] -= 1
        if not self._times[future]:
            del self._times[future]  # what it came to is not kept any longer than its reader keeps it
        return future


async def all_done(futures: Iterable[OperationFuture[Any]]) -> None:
    """Returns when every future has an outcome. Looks at none of them, and leaves nothing on them when cancelled."""
    for future in futures:  # one after another: whoever has ended meanwhile is passed over
        if not future.done():
            await future._wait()
