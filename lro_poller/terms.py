"""What callers ask of one wait, checked.

Decides which deadlines, hints and choices are meaningful, and what a hint comes to. Time is
an argument.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from .checks import check_finite, check_function, check_seconds, check_text
from .decoding import Decoder, Decoding, decoding_of
from .engine.cadence import BackoffFactory, check_backoff
from .engine.forecast import Hints
from .operation import Operation

__all__ = ["AtDeadline", "Progress", "Terms", "expected_duration", "make_terms"]

Progress: TypeAlias = Callable[[Operation], float | datetime.timedelta | datetime.datetime | None]
"""Reads how far an operation has come: the share that is done, from 0 to 1; or the time that is left; or when it
will end, with a time zone; or None where that is not known."""


AtDeadline: TypeAlias = Literal["leave", "cancel", "cancel_and_wait"]
"""What becomes of an operation that is not done at its deadline."""

_CHOICES = get_args(AtDeadline)


class Terms(NamedTuple):
    """How long to wait for an operation, how often to look, what to make of the response.

    Attributes:
        deadline: Seconds; None for as long as it takes.
        at_deadline: What becomes of the operation then.
        backoff: The caller's own waits.
        decoding: What makes the value of a future.
        kind: Operations of one kind take equally long; None for what metadata's `@type` says.
        expected: Seconds that the caller expects it to take.
        progress: What reads how far it has come.
    """

    deadline: float | None = None
    at_deadline: AtDeadline = "leave"
    backoff: BackoffFactory | None = None
    decoding: Decoding | None = None
    kind: str | None = None
    expected: float | None = None
    progress: Progress | None = None

    def decoder(self) -> Decoder | None:
        """What makes the value of one future; None where that is the operation itself."""
        return None if self.decoding is None else Decoder(*self.decoding)

    def hints(self) -> Hints | None:
        """What the engine is told of how long it takes; None where nothing is said."""
        if self.kind is None and self.expected is None and self.progress is None:
            return None
        return Hints(self.kind, self.expected, _total(self.progress))


def make_terms(
    defaults: Terms,
    *,
    deadline: float | None = None,
    backoff: BackoffFactory | None = None,
    at_deadline: AtDeadline = "leave",
    decode: Any = None,
    kind: str | None = None,
    expected: float | None = None,
    progress: Progress | None = None,
) -> Terms:
    """The terms of one submission, by `defaults` where nothing is said.

    Raises:
        ValueError: a time is no number above zero, or the choice is none.
        TypeError: an argument is of a wrong type.
    """
    seconds = defaults.deadline if deadline is None else _same(deadline, check_seconds("deadline", deadline))
    return Terms(
        deadline=None if seconds == math.inf else seconds,
        at_deadline=_check_choice(at_deadline),
        backoff=defaults.backoff if backoff is None else check_backoff(backoff),
        decoding=decoding_of(decode),
        kind=None if kind is None else check_text("kind", kind),
        expected=None if expected is None else check_finite("expected", expected),
        progress=defaults.progress if progress is None else check_function("progress", progress),
    )


def _check_choice(at_deadline: AtDeadline) -> AtDeadline:
    if at_deadline not in _CHOICES:
        raise ValueError(f"at_deadline must be one of {', '.join(map(repr, _CHOICES))}, not {at_deadline!r}")
    return at_deadline


def expected_duration(said: object, age: float, wall: datetime.datetime) -> float | None:
    """Seconds that an operation of `age` seconds takes in all, by what `Progress` said of it; None for nothing usable.

    A hint is not believed blindly: whoever plans by it keeps looking now and then.
    """
    match said:
        case datetime.datetime() if said.tzinfo is not None:
            total = age + (said - wall).total_seconds()
        case datetime.timedelta():
            total = age + said.total_seconds()
        case int() | float() if 0 < said <= 1:
            total = age / said
        case _:
            return None
    return total if age < total < math.inf else None


def _total(progress: Progress | None) -> Callable[[Operation, float], float | None] | None:
    """`progress` as the engine takes it, without a clock."""
    if progress is None:
        return None
    return lambda operation, age: expected_duration(progress(operation), age, datetime.datetime.now(datetime.UTC))


def _same(given: float, checked: float) -> float:
    """`given` itself where it is a number as good as `checked`, or each of a million waits would have one of its own."""
    return given if type(given) is int and given == checked else checked
