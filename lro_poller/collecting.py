"""Waiting for several futures: all of them, or each as it comes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable
from typing import Any

from .future import OperationFuture

__all__ = ["Completions", "settled"]


class Completions:
    """The futures, each when it has its outcome. One that was given several times comes as often."""

    def __init__(self, futures: Iterable[OperationFuture[Any]]) -> None:
        self._done: asyncio.Queue[OperationFuture[Any]] = asyncio.Queue()
        self._futures = list(futures)
        self._left = len(self._futures)
        context = contextvars.copy_context()
        for future in self._futures:
            future.add_done_callback(self._done.put_nowait, context=context)

    def __del__(self) -> None:
        """Whoever waits again and again for the same futures, a second at a time, must leave nothing on them."""
        if self._left:
            for future in self._futures:
                future.remove_done_callback(self._done.put_nowait)

    def __aiter__(self) -> Completions:
        return self

    async def __anext__(self) -> OperationFuture[Any]:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1  # before it is there: another reader may ask meanwhile
        try:
            return await self._done.get()
        except asyncio.CancelledError:
            self._left += 1
            raise


async def settled(futures: Iterable[OperationFuture[Any]]) -> None:
    """Returns when every future has an outcome. Looks at none of them, and leaves nothing on them when cancelled."""
    for future in futures:  # one after another: whoever has ended meanwhile is passed over
        if not future.done():
            await future._wait()
