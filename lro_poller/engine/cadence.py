"""A caller's own waits between two polls of a running operation.

Decides what of a `backoff` generator is a usable wait, and how waits are spread. Without
one a forecast decides when to look again; what to do about a poll that failed is another
question, answered in `retry`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from ..checks import check_function
from ..errors import BackoffError
from ..operation import Operation
from .forecast import JITTER

__all__ = ["BackoffFactory", "BackoffWaits", "check_backoff", "jittered"]

BackoffFactory: TypeAlias = Callable[[], Iterator[Any]]
"""A wait generator function of `backoff`, a `functools.partial` of one, or any other function that makes an iterator of
seconds to wait."""

_LONGEST_TOLD = 10**15  # of a whole number: Python refuses to write out the longest
_MOST_TAKEN = 1000  # waits; a generator has long come to its longest by then, and a token may claim any number


class BackoffWaits(msgspec.Struct, gc=False, eq=False):
    """The waits of a caller's `backoff` generator, made for one operation.

    The generator is made at the first wait and sent each running operation, as
    `backoff.runtime` expects; those of `backoff` give None before, as they are not sent any yet. One that ends keeps
    to its last wait. The garbage collector does not look
    at this, so whoever ends a wait empties it: a generator that raises leaves it in the frames that its
    traceback leads to.

    Attributes:
        before: How many polls found the operation running before this caller came: no wait of theirs is passed over.
    """

    factory: BackoffFactory
    before: int = 0
    _generator: Iterator[Any] | None = None
    _taken: int = 0
    _wait: float | None = None

    def wait(self, attempt: int, operation: Operation) -> float:
        """Seconds to wait after the poll number `attempt`, from 1, that found `operation` running.

        After a resumption the earlier waits are passed over.

        Raises:
            BackoffError: the generator misbehaved.
        """
        number = max(attempt - self.before, 1)  # it may be this very poll that brought the caller here
        if self._generator is None:
            self._taken = max(0, number - _MOST_TAKEN)
        while self._taken < number:
            self._wait = self._next(operation)
            self._taken += 1
        assert self._wait is not None
        return self._wait

    def empty(self) -> None:
        """Lets go of what is the caller's."""
        self.factory, self._generator = _no_waits, None

    def _next(self, operation: Operation) -> float:
        try:
            value = self._ask(operation)
        except StopIteration:
            if self._wait is None:
                raise BackoffError(operation.name, "ended without giving a single wait") from None
            return self._wait
        except Exception as error:
            made = self._generator
            is_one = made is None or hasattr(made, "__next__")
            fault = f"raised {type(error).__name__}" if is_one else f"is no iterator, but of type {type(made).__name__}"
            raise BackoffError(operation.name, fault) from error
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
            told = value is None or isinstance(value, float) or (type(value) is int and abs(value) < _LONGEST_TOLD)
            shown = repr(value) if told else f"a value of type {type(value).__name__}"
            raise BackoffError(operation.name, f"gave {shown}; a wait is a finite number of seconds, 0 or more")
        return float(value)

    def _ask(self, operation: Operation) -> Any:
        waits = self._generator
        if waits is None:
            waits = self._generator = self.factory()
            first = next(waits)
            if first is not None:
                return first
        send: Callable[[Operation], Any] | None = getattr(waits, "send", None)
        return next(waits) if send is None else send(operation)


def _no_waits() -> Iterator[float]:
    yield from ()


def check_backoff(factory: BackoffFactory) -> BackoffFactory:
    """Returns a `backoff=` argument.

    Raises:
        TypeError: it is no generator function.
    """
    if not callable(factory):
        raise TypeError(
            f"backoff must be a function that makes a wait generator, such as backoff.expo or "
            f"functools.partial(backoff.expo, max_value=20), not {factory!r}"
        )
    return check_function("backoff", factory)


def jittered(wait: float, random: float) -> float:
    """`wait` moved by at most `JITTER` of itself; `random` is uniform in [0, 1)."""
    return wait * (1 + JITTER * (2 * random - 1))
