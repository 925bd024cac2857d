"""Counts: operations by what became of them, and how fast polls go. Reads no clock."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from .exits import Exit
from .records import Record

__all__ = ["Pace", "Tally"]

_WINDOW = 5.0  # seconds over which polls a second are counted


@dataclass
class Tally:
    """Operations counted by what became of them."""

    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    exit: Exit = Exit.SUCCEEDED

    @property
    def ended(self) -> int:
        return self.outcomes.total()

    def add(self, record: Record) -> None:
        self.outcomes[record.outcome] += 1
        self.codes[record.code or ("OK" if record.outcome == "succeeded" else record.outcome)] += 1
        self.exit = max(self.exit, record.exit)

    def states(self) -> dict[str, int]:
        """How many are in each state, those that have not ended first."""
        running = self.total - self.ended
        return {"running": running} | {name.replace("_", " "): n for name, n in self.outcomes.most_common()}

    def text(self) -> str:
        """`120 of 200 ended: 107 succeeded, 13 failed`."""
        counts = ", ".join(f"{count} {state}" for state, count in self.states().items() if state != "running")
        return f"{self.ended} of {self.total} ended" + (f": {counts}" if counts else "")


class Pace:
    """Polls a second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, polls: int) -> float:
        """Polls a second when `polls` were made until `now`, in seconds that never go back."""
        self._seen.append((now, polls))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        return (polls - before) / (now - then) if now > then else 0.0
