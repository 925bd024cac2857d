"""How polling goes, in figures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stats"]


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of one poller.

    Attributes:
        service: Such as `workspaceevents:v1beta`.
        pending: Operations that are waited for.
        in_flight: Polls under way.
        overdue: Operations whose poll is due and has not started.
        polls: Requests sent since the poller was opened, cancellations included.
        polls_per_second: Polls answered a second, over the last five seconds, by all that share the budget.
        max_rate: Polls that may start a second now: what was configured, or less after a 429.
        lateness: Seconds between the time that a poll was due and the time it started, smoothed.
        throttled: Polls that were answered with 429, of all that share the budget.
    """

    service: str
    pending: int
    in_flight: int
    overdue: int
    polls: int
    polls_per_second: float
    max_rate: float
    lateness: float
    throttled: int
