"""Single requests: one poll of one operation, or its cancellation at the service.

Each takes its turn as the polls do, within the same cap and rate, and is made once, except
that a first 401 brings a new token and a second try. Whoever asked waits for the answer;
for a cancellation that a deadline brought about, nobody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from .engine.planner import PollQueue
from .engine.tracker import Cancellation, Errand, Tracker
from .errors import LroError, summary
from .operation import Operation
from .pump import Pump

__all__ = ["Errands"]

logger = logging.getLogger("lro_poller")

_LAST_CANCELLATIONS = 10.0  # seconds in which closing lets requests to cancel be answered


class Errands:
    """The single requests of one poller.

    Args:
        stop: Ends the polling of an errand, whatever its state.
        cancelled: Told the name of an operation that the service has accepted to cancel.
    """

    def __init__(
        self, queue: PollQueue, pump: Pump, stop: Callable[[Tracker], None], cancelled: Callable[[str], None]
    ) -> None:
        self.under_way: set[Errand] = set()
        self._loop = asyncio.get_running_loop()
        self._queue = queue
        self._pump = pump
        self._stop = stop
        self._cancelled = cancelled
        self._unattended: dict[str, asyncio.Task[None]] = {}  # by the name of what is cancelled

    async def poll(self, name: str) -> Operation:
        """One poll of one operation, in its turn.

        Raises:
            PollError: it failed, for whatever reason.
        """
        return await self._run(Errand.start(name, self._loop.time()))

    async def cancel(self, name: str) -> None:
        """Asks the service to cancel an operation, in its turn; who waits for it is told soon.

        Raises:
            PollError: the request failed, for whatever reason.
        """
        await self._run(Cancellation.start(name, self._loop.time()))
        self._cancelled(name)

    def cancel_unattended(self, name: str) -> None:
        """The same for somebody who does not wait for it, once for all who want it meanwhile: a failure is logged."""
        if name not in self._unattended:
            task = self._loop.create_task(self._cancel_and_log(name), name="lro-poller cancellation")
            self._unattended[name] = task
            task.add_done_callback(lambda _: self._unattended.pop(name))

    async def finish(self) -> None:
        """Lets cancellations that were promised be sent and answered, for some time; so too what falls due in it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CANCELLATIONS):
                while self._unattended:
                    await asyncio.wait(self._unattended.values())

    async def aclose(self) -> None:
        """Gives up cancellations that nobody waits for."""
        await asyncio.sleep(0)  # those that closing has failed hear of it, and tell
        for task in self._unattended.values():
            task.cancel()
        if self._unattended:
            await asyncio.wait(self._unattended.values())

    async def _run(self, errand: Errand) -> Operation:
        waiter = _Once(self._loop)
        errand.join(waiter)
        self.under_way.add(errand)
        self._queue.put_first(errand)
        self._pump.arm()
        try:
            return await waiter.answer
        finally:
            self.under_way.discard(errand)
            self._stop(errand)

    async def _cancel_and_log(self, name: str) -> None:
        try:
            await self.cancel(name)
        except LroError as error:
            logger.warning("%s: the operation was not cancelled: %s", name, summary(error))


class _Once:
    """Who waits for one answer and no more."""

    deadline: float | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.submitted = loop.time()
        self.answer: asyncio.Future[Operation] = loop.create_future()

    def _postpone(self, until: float) -> None:
        raise AssertionError("it has no deadline")

    def _see(self, operation: Operation) -> None:
        raise AssertionError("that it runs is an answer")

    def _finish(self, operation: Operation, now: float) -> None:
        if not self.answer.done():
            self.answer.set_result(operation)

    def _fail(self, error: LroError, now: float) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
