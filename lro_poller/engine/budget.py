"""How many polls at once, how many a second, and what a 429 changes.

Decides when the next poll may start. One budget holds for all operations of a service:
a server that says "too many" means all of them, whichever it said it to, and
without a token none of them can be asked for.
"""

from __future__ import annotations

import math

from .retry import retry_wait

__all__ = ["Budget"]


class Budget:
    """A cap on polls in flight and a rate in polls a second. Times are seconds of one monotonic clock.

    Polls are spaced evenly, 1/rate apart, so that the rate holds in every second and not
    only on average.
    """

    __slots__ = ("_next", "_spacing", "_throttles", "in_flight", "max_in_flight")

    def __init__(self, max_in_flight: int, max_rate: float = math.inf) -> None:
        """Raises ValueError when nothing could ever be polled."""
        if isinstance(max_in_flight, bool) or not isinstance(max_in_flight, int) or max_in_flight < 1:
            raise ValueError(f"max_in_flight must be a whole number, 1 or more, not {max_in_flight!r}")
        if isinstance(max_rate, bool) or not isinstance(max_rate, int | float) or not max_rate > 0:
            raise ValueError(f"max_rate must be a number of polls a second above 0, not {max_rate!r}")
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self._spacing = 1 / max_rate
        self._next = -math.inf
        self._throttles = 0

    def free(self) -> bool:
        """Whether another poll may be in flight."""
        return self.in_flight < self.max_in_flight

    def next_time(self) -> float:
        """When the rate lets the next poll start; in the past when it may start now."""
        return self._next

    def start(self, now: float) -> None:
        """A poll is under way, and takes its turn."""
        self.in_flight += 1
        self.take_turn(now)

    def take_turn(self, now: float) -> None:
        """A request is sent."""
        self._next = max(self._next, now + self._spacing)

    def finish(self) -> None:
        """A poll ended, however it did."""
        self.in_flight -= 1

    def answered(self) -> None:
        """The service answered a poll: what held everyone back is over."""
        self._throttles = 0

    def throttled(self, now: float, asked: float) -> None:
        """Nobody can be polled: nothing is, for `asked` seconds, or for a while of our own.

        The polls that were under way together are told the same thing once each; they
        lengthen the pause once.
        """
        if self._next - now <= self._spacing:
            self._throttles += 1
        self._next = max(self._next, now + max(retry_wait(self._throttles, self._spacing), asked))
