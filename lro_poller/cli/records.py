"""How outcomes are told: as records for programs, as lines for people, and counted."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..errors import LroError, OperationError, PollError, PollTimeout
from ..future import OperationFuture
from ..status import Code
from .exits import Exit

__all__ = ["Record", "Tally", "print_json", "record_of"]

_EXIT_OF = {
    "succeeded": Exit.SUCCEEDED,
    "running": Exit.SUCCEEDED,
    "failed": Exit.FAILED,
    "timed_out": Exit.TIMED_OUT,
    "poll_failed": Exit.POLL_FAILED,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one operation."""

    name: str
    outcome: str
    code: str | None
    message: str | None
    response: Any
    metadata: Any
    polls: int
    elapsed: float

    @property
    def exit(self) -> Exit:
        """What it adds to the exit status."""
        return _EXIT_OF[self.outcome]

    def json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "code": self.code,
            "message": self.message,
            "response": self.response,
            "metadata": self.metadata,
            "polls": self.polls,
            "elapsed": round(self.elapsed, 6),
        }

    def text(self) -> str:
        """As one line."""
        polls = f"{self.polls} poll{'' if self.polls == 1 else 's'}"
        why = ": ".join(part for part in (self.code, self.message) if part)
        return f"{self.name}  {self.outcome}  {polls}  {self.elapsed:.1f} s" + (f"  {why}" if why else "")


def record_of(future: OperationFuture[Any]) -> Record:
    """The record of a future that is done and was not cancelled."""
    error = future.exception()
    outcome, code, message = describe(error)
    return Record(
        name=future.name,
        outcome=outcome,
        code=code,
        message=message,
        response=None if error is not None else future.result(),
        metadata=future.metadata,
        polls=future.polls,
        elapsed=future.elapsed,
    )


def describe(error: LroError | None) -> tuple[str, str | None, str | None]:
    """The outcome, the name of its code and its message."""
    match error:
        case None:
            return "succeeded", None, None
        case OperationError():
            return "failed", error.status.code_name, error.message
        case PollTimeout():
            return "timed_out", None, str(error).removeprefix(f"{error.name}: ")
        case PollError():
            code = None if error.code is None else Code(error.code).name
            return "poll_failed", code, str(error).removeprefix(f"{error.name}: ")
    return "poll_failed", None, str(error)


def print_json(value: dict[str, Any]) -> None:
    """One line on standard output, at once: who reads it may be waiting."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


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

    def text(self) -> str:
        """`120 of 200 ended: 107 succeeded, 13 failed`."""
        counts = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in self.outcomes.most_common())
        return f"{self.ended} of {self.total} ended" + (f": {counts}" if counts else "")
