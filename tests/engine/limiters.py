"""A limiter, and a poller that takes turns of it."""

from __future__ import annotations

from typing import Any

from lro_poller.engine.budget import Limiter

__all__ = ["ME", "Poller", "joined", "start"]


class Poller:
    """Takes turns, and counts how often it is told that there may be room."""

    def __init__(self) -> None:
        self.nudges = 0

    in_flight = 0

    home: object = None

    def is_over(self) -> bool:
        return False

    def nudge(self) -> None:
        self.nudges += 1


ME = Poller()


def joined(*args: Any, **options: Any) -> Limiter:
    """A limiter of which this poller takes turns."""
    limiter = Limiter(*args, **options)
    limiter.join(ME)
    return limiter


def start(limiter: Limiter, now: float) -> None:
    assert limiter.admit(now, ME)
