"""An event loop whose clock jumps to the next timer, fast enough for a million operations.

Time passes only while every task waits.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SimulatedLoop"]


_MOST_STEPS = 200_000  # of the loop at one moment of its clock; more is a loop that spins


class _Selector(selectors.DefaultSelector):
    """Does not wait: tells how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: Callable[[float], None] = lambda seconds: None
        self._steps = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not events and timeout is None:
            raise AssertionError("every task waits for something that will never happen")
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise AssertionError("the loop spins, and time does not pass")
        if not events and timeout:
            self._steps = 0
            self.passes(timeout)
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop of simulated time, which begins at 1,000 s."""

    def __init__(self) -> None:
        self._simulated = _Selector()
        super().__init__(self._simulated)
        self._time = 1000.0
        self._clock_resolution = 1e-6  # asyncio's own 1e-9 is less than a step of the clock after some months
        self._simulated.passes = self._pass
        self.unhandled: list[Mapping[str, Any]] = []
        self.set_exception_handler(lambda loop, context: self.unhandled.append(context))

    def time(self) -> float:
        return self._time

    def timers(self) -> int:
        """How many timers are set."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]

    def _pass(self, seconds: float) -> None:
        self._time += seconds
