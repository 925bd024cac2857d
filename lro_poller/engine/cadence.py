"""When to look at a running operation again.

Decides the wait after a poll that found the operation running. What to do about a poll
that failed is another question, answered in `retry`.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias

import backoff

from ..errors import BackoffError
from ..operation import Operation

__all__ = ["DEFAULT_CADENCE", "JITTER", "BackoffFactory", "Cadence", "Generated", "Steps", "clip", "jittered"]

BackoffFactory: TypeAlias = Callable[[], Generator[Any, Any, None]]
"""A wait generator function of `backoff`, or a `functools.partial` of one."""

JITTER = 0.1
"""Each wait is spread by this share to either side. Wider jitter costs lateness and saves no poll."""


class Cadence(Protocol):
    """The waits of one operation, or of all that have no waits of their own."""

    def wait(self, attempt: int, operation: Operation) -> float:
        """Seconds to wait after the poll number `attempt`, from 1, that found `operation` running.

        Raises:
            BackoffError: the caller's generator misbehaved.
        """
        ...


class Steps:
    """Waits that depend on the number of the attempt alone; one object serves every operation."""

    __slots__ = ("_waits",)

    def __init__(self, waits: tuple[float, ...]) -> None:
        self._waits = waits

    def wait(self, attempt: int, operation: Operation) -> float:
        return self._waits[min(attempt, len(self._waits)) - 1]


class Generated:
    """The waits of a caller's `backoff` generator, made for one operation.

    The generator is made at the first wait and sent each running operation, as
    `backoff.runtime` expects. One that ends keeps to its last wait.
    """

    __slots__ = ("_factory", "_generator", "_taken", "_wait")

    def __init__(self, factory: BackoffFactory) -> None:
        self._factory = factory
        self._generator: Generator[Any, Any, None] | None = None
        self._taken = 0
        self._wait: float | None = None

    def wait(self, attempt: int, operation: Operation) -> float:
        """The wait for this attempt; after a resumption the earlier ones are passed over."""
        while self._taken < attempt:
            self._wait = self._next(operation)
            self._taken += 1
        assert self._wait is not None
        return self._wait

    def _next(self, operation: Operation) -> float:
        try:
            if self._generator is None:
                self._generator = self._factory()
                next(self._generator)  # primes it: the first value means nothing
            value = self._generator.send(operation)
        except StopIteration:
            if self._wait is None:
                raise BackoffError(operation.name, "ended without giving a single wait") from None
            return self._wait
        except Exception as error:
            raise BackoffError(operation.name, f"raised {type(error).__name__}") from error
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
            shown = repr(value) if isinstance(value, float | None) else f"a value of type {type(value).__name__}"
            raise BackoffError(operation.name, f"gave {shown}; a wait is a finite number of seconds, 0 or more")
        return float(value)


DEFAULT_CADENCE = Steps(tuple(itertools.islice(backoff.expo(base=1.5, max_value=20.0), 1, 12)))
"""1 s, growing by half each time, up to 20 s."""


def cadence_of(factory: BackoffFactory | None) -> Callable[[], Cadence]:
    """What makes the cadence of one operation out of a `backoff=` argument.

    Raises:
        TypeError: it is no generator function.
    """
    if factory is None:
        return lambda: DEFAULT_CADENCE
    if not callable(factory):
        raise TypeError(
            f"backoff must be a function that makes a wait generator, such as backoff.expo or "
            f"functools.partial(backoff.expo, max_value=20), not {factory!r}"
        )
    return functools.partial(Generated, factory)


def jittered(wait: float, random: float) -> float:
    """`wait` moved by at most `JITTER` of itself; `random` is uniform in [0, 1)."""
    return wait * (1 + JITTER * (2 * random - 1))


def clip(due: float, now: float, deadline: float | None, lead: float) -> float:
    """`due`, brought forward so that one last poll, which takes `lead` seconds, lands before `deadline`."""
    if deadline is None:
        return due
    last = deadline - lead
    return last if now < last < due else due
