"""What is known of how long an operation will take.

Decides what looks cost, and what is believed where nothing was learned: the plain forecast, or
one around an expectation that the caller has. Each forecast is asked when to look again and
when a look is worth how much. Those that are learned are kept in `history`.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..operation import Operation
from .estimate import PRIOR, typical_of
from .outlook import AGES, Outlook

__all__ = ["JITTER", "PLAIN", "Forecast", "Hints", "around", "by_survival", "place_of", "price_of", "wait_by"]

JITTER = 0.1
"""Each wait is spread by this share to either side. Wider jitter costs lateness and saves no poll."""

_VENTURE = 0.4  # the same, for the few looks that are there to learn from
_RARELY = 7  # exponent: one look in ten is moved by a fifth of that, or more
_SHORTEST_WAIT = 0.02  # seconds between two looks
_LONGEST_UNSEEN = 60.0  # seconds from one look to the next, of an operation that is younger

_PRICE = 0.5
_PLAIN_PRICE = 0.75  # while nothing is known: with it no usual fixed or exponential schedule is better in both
_PRICE_SCALE = 2.0  # seconds
_PRICE_GROWTH = 0.37
_GRANTED_SHARE = 0.125  # of the price, where a rate was granted: polls within it are not what is short


class Hints(NamedTuple):
    """What a caller says of how long an operation will take.

    Attributes:
        kind: Operations of one kind take equally long; None for what metadata's `@type` says.
        expected: Seconds it takes in all.
        total: Reads from a running operation, and its age in seconds, how long it takes in all; None where it cannot.
    """

    kind: str | None = None
    expected: float | None = None
    total: Callable[[Operation, float], float | None] | None = None

    def or_else(self, other: Hints) -> Hints:
        """These, and of `other` what is not said here."""
        return Hints(
            other.kind if self.kind is None else self.kind,
            other.expected if self.expected is None else self.expected,
            other.total if self.total is None else self.total,
        )


class Forecast(Protocol):
    """Ages are seconds since an operation began."""

    def next_look(self, age: float, *, granted: bool = False) -> float:
        """At which age to look again, after a look at `age` that found the operation running.

        Where a rate was `granted` looks stand closer: if more fall due than it allows, the queue decides.
        """
        ...

    def likelihood(self, seen: float, age: float) -> float:
        """How likely one that ran at `seen` has ended at `age`."""
        ...

    def place(self, age: float) -> int:
        """The index of an age, as `worth_after` takes it: of the last of `outlook.AGES` that is not above `age`."""
        ...

    def worth_after(self, place: int, level: int) -> float:
        """How many seconds after a look another is worth `2**level` times its usual price; `math.inf` for never.

        Args:
            place: Where the look was that found the operation running.
        """
        ...


class _Planned:
    """A forecast by one survival function.

    Args:
        price: Of a look, by the age at which it is made.
        usual_price: What a look's worth is told in multiples of.
    """

    __slots__ = ("_closer", "_usual", "_usual_price", "_worth_after")

    def __init__(self, survival: Sequence[float], price: Callable[[float], float], usual_price: float) -> None:
        self._usual = Outlook(survival, price)
        self._closer = Outlook(survival, lambda age: _GRANTED_SHARE * price(age))
        self._usual_price = usual_price
        self._worth_after: dict[tuple[int, int], float] = {}  # by place and level, as they are asked for

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return (self._closer if granted else self._usual).next_look(age)

    def likelihood(self, seen: float, age: float) -> float:
        return self._usual.likelihood(seen, age)

    def place(self, age: float) -> int:
        return place_of(age)

    def worth_after(self, place: int, level: int) -> float:
        after = self._worth_after.get((place, level))
        if after is None:
            age = AGES[place]
            after = self._usual.when_worth(age, self._usual_price * 2.0**level) - age
            self._worth_after[place, level] = after
        return after


def place_of(age: float) -> int:
    """The last of `AGES` that is not above `age`."""
    return bisect_right(AGES, age) - 1


def price_of(age: float, price: float = _PRICE) -> float:
    """Seconds of lateness that a look is worth at an age: who waits for minutes is hurt less by a second."""
    return price * math.pow(1 + age / _PRICE_SCALE, _PRICE_GROWTH)


PLAIN: Forecast = _Planned(PRIOR, functools.partial(price_of, price=_PLAIN_PRICE), _PLAIN_PRICE)
"""Where nothing is known."""


def by_survival(survival: Sequence[float]) -> Forecast:
    """The forecast of operations of which these shares outlive each of `AGES`."""
    price = price_of(typical_of(survival))
    return _Planned(survival, lambda age: price, price)


_UNIT = 64.0  # seconds; the plan for one expectation serves for all, scaled
_SURENESS = 6.0  # shape of the log-logistic around an expectation: half end within a fifth of it
_STEPS_AN_OCTAVE = 24  # in which expectations are told apart
_BELIEF = 0.9  # in an expectation; the rest is for callers who are wrong


class _Scaled:
    """A forecast for another unit of time."""

    __slots__ = ("_forecast", "_scale")

    def __init__(self, forecast: Forecast, scale: float) -> None:
        self._forecast = forecast
        self._scale = scale

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return self._forecast.next_look(age / self._scale, granted=granted) * self._scale

    def likelihood(self, seen: float, age: float) -> float:
        return self._forecast.likelihood(seen / self._scale, age / self._scale)

    def place(self, age: float) -> int:
        return place_of(age / self._scale)

    def worth_after(self, place: int, level: int) -> float:
        return self._forecast.worth_after(place, level) * self._scale


def around(expected: float) -> Forecast:
    """The forecast of somebody who expects an operation to take `expected` seconds, and may be wrong.

    Expectations are told apart by three hundredths: the worth of all that go by one forecast grows alike.
    """
    usable = min(max(expected, AGES[1]), AGES[-1])
    return _around(round(_STEPS_AN_OCTAVE * math.log2(usable)))


@functools.cache  # there are six hundred
def _around(step: int) -> Forecast:
    expected = 2.0 ** (step / _STEPS_AN_OCTAVE)
    return _Scaled(_unit_forecast(round(math.log2(price_of(expected) / expected))), expected / _UNIT)


@functools.lru_cache(maxsize=64)
def _unit_forecast(price_exponent: int) -> Forecast:
    price = _UNIT * 2.0**price_exponent
    survival = [_BELIEF / (1 + (age / _UNIT) ** _SURENESS) + (1 - _BELIEF) / (1 + age / _UNIT) for age in AGES]
    return _Planned(survival, lambda age: price, price)


def wait_by(forecast: Forecast, age: float, random: float, *, granted: bool = False) -> float:
    """Seconds to wait for the next look by a forecast, after one at `age`; sooner where polls are `granted`.

    Spread by a share of what lies between this look and the one after it, if that is shorter: where
    looks stand close together, each has its moment. Seldom it is spread far: looks that always come at
    the same age would never tell when ends happen.

    But for that it is not put off by more than the age, or a minute. What always took an hour may fail within
    seconds, and who has seen none of that expects none.
    """
    look = min(forecast.next_look(age, granted=granted), age + max(age, _LONGEST_UNSEEN))
    room = min(look - age, forecast.next_look(look, granted=granted) - look)
    side = 2 * random - 1
    return max(look - age + room * (JITTER * side + _VENTURE * side**_RARELY), _SHORTEST_WAIT)
