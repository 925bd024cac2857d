"""Who waits for an operation in the tests of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from lro_poller.errors import LroError
from lro_poller.operation import Operation

__all__ = ["Waiter"]


@dataclass(eq=False)
class Waiter:
    """Somebody who waits until a deadline and is told nothing here."""

    deadline: float | None = None
    submitted: float = 0.0

    def _postpone(self, until: float) -> None:
        self.deadline = until

    def _see(self, operation: Operation) -> None: ...
    def _finish(self, operation: Operation, now: float) -> None: ...
    def _fail(self, error: LroError, now: float) -> None: ...
