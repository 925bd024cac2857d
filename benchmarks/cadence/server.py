"""The service that is polled: how long a request takes, and whom the quota refuses.

The same for the peers and for this library. A request takes its latency on its way there
and is answered by what is true when it arrives; the answer is back at once.
"""

from __future__ import annotations

import random
from collections import deque

__all__ = ["Latency", "Quota"]

_SHORTEST, _LONGEST = 0.05, 0.1  # seconds
_MINUTE = 60.0


class Latency:
    """Seconds that each request takes: uniform from 50 to 100 ms."""

    __slots__ = ("_dice",)

    def __init__(self, seed: str) -> None:
        self._dice = random.Random(f"latency {seed}")

    def draw(self) -> float:
        return _SHORTEST + (_LONGEST - _SHORTEST) * self._dice.random()


class Quota:
    """A sliding minute: refuses a request when `polls` were admitted in the 60 s before it.

    What is refused does not count. 600 are what Workspace Events allows a project.
    """

    __slots__ = ("_admitted", "_polls")

    def __init__(self, polls: int = 600) -> None:
        self._polls = polls
        self._admitted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Whether a request that arrives now is answered; if not, it gets a 429."""
        admitted = self._admitted
        while admitted and admitted[0] <= now - _MINUTE:
            admitted.popleft()
        if len(admitted) >= self._polls:
            return False
        admitted.append(now)
        return True
