"""What to do about a poll that failed.

Decides how long to wait before the next try. It slows polling down and never speeds it up: an
operation is not looked at more often because looking fails.
"""

from __future__ import annotations

__all__ = ["LONGEST_WAIT", "retry_wait"]

LONGEST_WAIT = 60.0
"""Seconds between two tries, at the most, of its own accord; a server may ask for longer."""


def retry_wait(failures: int, usual: float) -> float:
    """Seconds to wait after `failures` polls failed in a row, unless the server asks for more.

    Args:
        failures: From 1. The wait doubles with each, from one second to `LONGEST_WAIT`.
        usual: What the wait would be had the poll found the operation running.
    """
    return max(min(2.0 ** min(failures - 1, 16), LONGEST_WAIT), usual)
