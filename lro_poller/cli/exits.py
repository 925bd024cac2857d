"""What the command line exits with."""

from __future__ import annotations

import enum

__all__ = ["Exit"]


class Exit(enum.IntEnum):
    """In rising order of what a caller has to look at first."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    POLL_FAILED = 4
    INTERRUPTED = 130
