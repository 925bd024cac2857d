"""The people who wait for a simulated fleet: what they hand in, and what their code does inside the library."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import random
from collections.abc import Callable, Iterator
from typing import Any

import backoff

from lro_poller import LroError, OperationFuture

__all__ = ["EXPECTED", "MANNERS", "MANNER_WEIGHTS", "Caller", "await_and_cancel", "await_outcome"]

MANNERS = {
    "patient": 70,
    "cancels its await": 5,
    "cancels the future": 3,
    "decoder raises": 3,
    "decoder cancels": 3,
    "decoder re-enters": 3,
    "backoff raises": 2,
    "backoff cancels": 2,
    "backoff re-enters": 2,
    "callback raises": 4,
    "callback re-enters": 3,
}
MANNER_WEIGHTS = list(MANNERS.values())


class ExpectedError(Exception):
    """What callbacks, decoders and generators of a fleet raise."""


class OddError(BaseException):
    """No Exception: what pytest.fail raises is none either."""


EXPECTED = (ExpectedError, OddError, asyncio.CancelledError)


class Caller:
    """One who waits for one operation, in one manner.

    Args:
        others: Futures of the fleet, with which its code does as it likes.
    """

    def __init__(self, name: str, manner: str, dice: random.Random, others: list[OperationFuture[Any]]) -> None:
        self.manner = manner
        self.future: OperationFuture[Any] | None = None
        self._name = name
        self._dice = dice
        self._others = others

    def submission(self) -> Any:
        """The name, or the operation as it was seen running."""
        return {"name": self._name, "metadata": {"@type": "x.Progress"}} if self._dice.random() < 0.2 else self._name

    def options(self, deadline: float) -> dict[str, Any]:
        """What it asks of its wait besides."""
        options = {"deadline": deadline, **self._hints()}
        if self._dice.random() < 0.1:
            options["at_deadline"] = self._dice.choice(("cancel", "cancel_and_wait"))
        match self.manner.split():
            case "decoder", does:
                options["decode"] = lambda value: self._do(does, value)
            case "backoff", does:
                options["backoff"] = functools.partial(self._waits, does)
            case _ if self._dice.random() < 0.2:
                options["backoff"] = functools.partial(backoff.fibo, max_value=60)
        return options

    def listen(self, future: OperationFuture[Any]) -> None:
        """Has its future, and adds the callback that it has in mind."""
        self.future = future
        if self.manner.startswith("callback"):
            future.add_done_callback(lambda done: self._do(self.manner.split()[1], done))

    def _do(self, does: str, value: Any) -> Any:
        if does == "raises":
            raise self._dice.choice((ExpectedError, asyncio.CancelledError, OddError))
        if does == "cancels":
            assert self.future is not None
            self.future.cancel()
        elif self._others:
            self._dice.choice(self._others).poll_now()
            self._dice.choice(self._others).remove_done_callback(print)
        return value

    def _waits(self, does: str) -> Iterator[float]:
        yield 1
        while True:
            self._do(does, None)
            yield self._dice.choice((0, 1, 30))

    def _hints(self) -> dict[str, Any]:
        """Hints that may be right, and may be anything."""
        hints: dict[str, Any] = {}
        if self._dice.random() < 0.2:
            hints["expected"] = self._dice.choice((1e-9, 3.0, 60.0, 1e12))
        if self._dice.random() < 0.2:
            hints["kind"] = self._dice.choice(("quick", "slow", ""))
        if self._dice.random() < 0.2:
            hints["progress"] = self._progress
        return hints

    def _progress(self, operation: Any) -> Any:
        said: list[Callable[[], Any]] = [
            self._dice.random,
            lambda: self._dice.choice((-1, 0, 10**400, float("nan"), "soon", True, None)),
            lambda: datetime.timedelta(seconds=self._dice.uniform(-10, 1000)),
            lambda: datetime.datetime.max.replace(tzinfo=datetime.UTC),
            lambda: 1 / 0,
        ]
        return self._dice.choice(said)()


async def await_and_cancel(future: OperationFuture[Any], dice: random.Random) -> None:
    """An impatient awaiter: what it cancels is its own await, not the future."""
    awaiting = asyncio.ensure_future(await_outcome(future))
    await asyncio.wait([awaiting], timeout=dice.uniform(0, 60))
    awaiting.cancel()
    await asyncio.wait([awaiting])


async def await_outcome(future: OperationFuture[Any]) -> None:
    """Returns when there is one, whatever it is."""
    with contextlib.suppress(LroError, asyncio.CancelledError):
        await future
