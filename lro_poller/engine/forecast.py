"""What is known of how long an operation will take.

Decides which forecast an operation goes by: that of its kind, learned from the durations of
those that ended; one around an expectation that the caller has; or, where nothing is known,
the plain one. Each is asked when to look again and when a look is worth how much.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from ..operation import Operation
from .durations import PRIOR, Durations, Followed
from .outlook import AGES, Outlook

__all__ = ["PLAIN", "Forecast", "Hints", "History", "Kind", "around", "price_of"]

_PRICE = 0.5
_PLAIN_PRICE = 0.75  # while nothing is known: with it no usual fixed or exponential schedule is better in both
_PRICE_SCALE = 2.0  # seconds
_PRICE_GROWTH = 0.37
_GRANTED_SHARE = 0.125  # of the price, where a rate was granted: polls within it are not what is short

_REBUILD_EVERY = 1.0  # seconds at the least between two plans of one kind, which take some milliseconds
_REBUILD_SHARE = 0.1  # of the durations so far has to be new
_REBUILD_COUNT = 32  # new ones that always suffice

_MOST_KINDS = 256
_MOST_SEEN = 2**53
_VERSION = 1


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


class Forecast(Protocol):
    """Ages are seconds since an operation began."""

    def next_look(self, age: float, *, granted: bool = False) -> float:
        """At which age to look again, after a look at `age` that found the operation running.

        Where a rate was `granted` looks stand closer: whoever cannot be polled within it goes by worth.
        """
        ...

    def when_worth(self, seen: float, level: int) -> float:
        """At which age a look is worth `2**level` times its usual price, after one at `seen`; `math.inf` for never.

        Told for the entry of `AGES` at or below `seen`, and counted from `seen`: that is up to 6% of the age off.
        """
        ...


class _Planned:
    """A forecast by one survival function and a price, typical where none is told."""

    __slots__ = ("_closer", "_price", "_usual", "_worth_after")

    def __init__(self, survival: Sequence[float], price: Callable[[float], float], typical: float) -> None:
        self._usual = Outlook(survival, price)
        self._closer = Outlook(survival, lambda age: _GRANTED_SHARE * price(age))
        self._price = typical
        self._worth_after: dict[tuple[int, int], float] = {}  # by level and by place in AGES, as they are asked for

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return (self._closer if granted else self._usual).next_look(age)

    def when_worth(self, seen: float, level: int) -> float:
        place = bisect_right(AGES, seen) - 1
        after = self._worth_after.get((level, place))
        if after is None:
            age = AGES[place]
            after = self._usual.when_worth(age, self._price * 2.0**level) - age
            self._worth_after[level, place] = after
        return seen + after


def price_of(age: float, price: float = _PRICE) -> float:
    """Seconds of lateness that a look is worth at an age: who waits for minutes is hurt less by a second."""
    return price * math.pow(1 + age / _PRICE_SCALE, _PRICE_GROWTH)


PLAIN: Forecast = _Planned(PRIOR, functools.partial(price_of, price=_PLAIN_PRICE), _PLAIN_PRICE)
"""Where nothing is known."""


class Kind:
    """Operations that are expected to take equally long, and what they have taught.

    Attributes:
        durations: How long those took that have ended.
    """

    __slots__ = ("_built", "_fresh", "_planned", "durations")

    def __init__(self, durations: Durations | None = None) -> None:
        self.durations = Durations() if durations is None else durations
        self._planned: Forecast | None = None
        self._fresh = 0
        self._built = -math.inf

    def follow(self, operation: Followed) -> None:
        """An operation was seen running for the first time."""
        self.durations.follow(operation)

    def end(self, operation: Followed, now: float) -> None:
        """An operation was found done at `now`."""
        self.durations.end(operation, now)
        self._learned(now)

    def lose(self, operation: Followed, now: float) -> None:
        """An operation is not looked at any more."""
        self.durations.lose(operation)
        self._learned(now)

    def add(self, seconds: float) -> None:
        """An operation took `seconds`."""
        self.durations.add(seconds, seconds)
        self._planned = None

    def _learned(self, now: float) -> None:
        """Has a new plan made, soon enough and not too often."""
        self._fresh += 1
        enough = min(self.durations.seen * _REBUILD_SHARE, _REBUILD_COUNT)
        if self._fresh >= enough and now - self._built >= _REBUILD_EVERY:
            self._planned, self._built = None, now

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return self._plan().next_look(age, granted=granted)

    def when_worth(self, seen: float, level: int) -> float:
        return self._plan().when_worth(seen, level)

    def _plan(self) -> Forecast:
        planned = self._planned
        if planned is None:
            planned, self._fresh = self._made(), 0
            self._planned = planned
        return planned

    def _made(self) -> Forecast:
        if not self.durations.seen:
            return PLAIN
        survival = self.durations.survival()
        typical = next((age for age, share in zip(AGES, survival, strict=True) if share <= 0.5), AGES[-1])
        price = price_of(typical)
        return _Planned(survival, lambda age: price, price)


_UNIT = 64.0  # seconds; the plan for one expectation serves for all, scaled
_SURENESS = 6.0  # shape of the log-logistic around an expectation: half end within a fifth of it
_BELIEF = 0.9  # in an expectation; the rest is for callers who are wrong


class _Scaled:
    """A forecast for another unit of time."""

    __slots__ = ("_forecast", "_scale")

    def __init__(self, forecast: Forecast, scale: float) -> None:
        self._forecast = forecast
        self._scale = scale

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return self._forecast.next_look(age / self._scale, granted=granted) * self._scale

    def when_worth(self, seen: float, level: int) -> float:
        return self._forecast.when_worth(seen / self._scale, level) * self._scale


def around(expected: float) -> Forecast:
    """The forecast of somebody who expects an operation to take `expected` seconds, and may be wrong."""
    expected = min(max(expected, AGES[1]), AGES[-1])
    return _Scaled(_unit_forecast(round(math.log2(price_of(expected) / expected))), expected / _UNIT)


@functools.lru_cache(maxsize=64)
def _unit_forecast(price_exponent: int) -> Forecast:
    price = _UNIT * 2.0**price_exponent
    survival = [_BELIEF / (1 + (age / _UNIT) ** _SURENESS) + (1 - _BELIEF) / (1 + age / _UNIT) for age in AGES]
    return _Planned(survival, lambda age: price, price)


class _SavedKind(msgspec.Struct, forbid_unknown_fields=True):
    intervals: list[tuple[float, float | None]]
    seen: int


class _Saved(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    version: int = msgspec.field(name="lro_poller_durations")
    kinds: dict[str, _SavedKind]


class History:
    """How long operations have taken, by kind.

    A poller keeps one, and learns from it when to look. It may be shared by several pollers of one
    event loop, seeded with durations that are known, saved, and loaded. Kinds are told apart by
    `"<service> <kind>"`, where the kind is what the caller named it, or the type of the metadata:
    `"workspaceevents:v1beta CreateSubscriptionMetadata"`. Of more than 256 of them, the one that was
    used least recently is forgotten.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, Kind] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kinds)

    def kind(self, key: str) -> Kind:
        """The kind of that key, new where there was none."""
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind()
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(key)
        return kind

    def add(self, key: str, seconds: float) -> None:
        """An operation of that kind took `seconds`.

        Args:
            key: `"<service> <kind>"`, such as `"workspaceevents:v1beta CreateSubscriptionMetadata"`, or with what
                the caller named as `kind=` in the place of the type. No other key is ever looked up.

        Raises:
            ValueError: it is no time.
            TypeError: the key is no text.
        """
        if not isinstance(key, str):
            raise TypeError(f"a kind's key is a text, not {key!r}")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise ValueError(f"a duration is a finite number of seconds, 0 or more, not {seconds!r}")
        self.kind(key).add(seconds)

    def save(self) -> str:
        """Everything that was learned, as JSON in one line."""
        kinds = {
            key: _SavedKind([_in_seconds(interval) for interval in kind.durations.intervals()], kind.durations.seen)
            for key, kind in self._kinds.items()
            if kind.durations.seen
        }
        return msgspec.json.encode(_Saved(version=_VERSION, kinds=kinds)).decode()

    def load(self, text: str | bytes) -> None:
        """Takes up what `save` wrote, in place of what is known of the same kinds.

        Raises:
            ValueError: it is nothing that this version can read; nothing was taken up.
        """
        saved = _read(text)
        for key, read in saved.kinds.items():
            durations = Durations()
            for low, high in read.intervals:
                durations.add(low, math.inf if high is None else high)
            durations.seen = max(read.seen, durations.seen)
            self.kind(key)  # so that the one that was used least recently is forgotten
            self._kinds[key] = Kind(durations)


def _in_seconds(interval: tuple[int, int]) -> tuple[float, float | None]:
    first, last = interval
    return AGES[first], None if last >= len(AGES) - 1 else AGES[last]


def _read(text: Any) -> _Saved:
    try:
        saved = msgspec.json.decode(text, type=_Saved)
    except TypeError:
        raise ValueError(
            f"not durations that were saved by lro-poller: they are a text, not {type(text).__name__}"
        ) from None
    except msgspec.ValidationError as error:
        raise ValueError(f"not durations that were saved by lro-poller: {error}") from None
    except (ValueError, RecursionError):
        raise ValueError("not durations that were saved by lro-poller: no JSON") from None
    if saved.version != _VERSION:
        raise ValueError(f"durations saved in version {saved.version}; this lro-poller reads version {_VERSION}")
    for kind in saved.kinds.values():
        if not len(kind.intervals) <= kind.seen < _MOST_SEEN or bool(kind.seen) != bool(kind.intervals):
            raise ValueError("not durations that were saved by lro-poller: their number is out of range")
        for low, high in kind.intervals:
            if not 0 <= low < math.inf or (high is not None and not low <= high < math.inf):
                raise ValueError("not durations that were saved by lro-poller: an interval is out of range")
    if len(saved.kinds) > _MOST_KINDS:
        raise ValueError(f"durations of {len(saved.kinds)} kinds; at most {_MOST_KINDS} are kept")
    return saved
