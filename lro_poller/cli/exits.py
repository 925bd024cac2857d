"""What the command line exits with, and what it complains of instead of a traceback."""

from __future__ import annotations

import enum

__all__ = ["Complaint", "Exit"]


class Exit(enum.IntEnum):
    """The first five in rising order of what a caller has to look at first."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    POLL_FAILED = 4
    OUTPUT_LOST = 74  # EX_IOERR of sysexits.h
    HUNG_UP = 129  # 128 + SIGHUP
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    TERMINATED = 143  # 128 + SIGTERM


class Complaint(Exception):
    """Ends a command with `status`, after its text was written to standard error."""

    def __init__(self, text: str, status: Exit = Exit.USAGE) -> None:
        super().__init__(text, status)
        self.text = text
        self.status = status
