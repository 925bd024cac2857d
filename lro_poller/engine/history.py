"""What was learned of how long operations take, by kind.

Decides when a kind is planned anew, which kinds are kept, and how all of it is written down and
read again. A plan takes some milliseconds of a loop that has other work to do: one kind is not
planned anew more than once a second, or where operations take minutes once in some, and all kinds
together take turns.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import msgspec

from ..checks import check_text, check_wait
from ..counting import counted
from ..services import Service
from .durations import Durations, Followed
from .estimate import LEAST_LIKELIHOOD
from .forecast import PLAIN, Forecast, by_survival, place_of
from .outlook import AGES

__all__ = ["History", "Kind"]

_REBUILD_EVERY = 1.0  # seconds at the least between two plans of one kind; more where operations take minutes
_REBUILD_SHARE = 0.1  # of the durations so far has to be new
_REBUILD_COUNT = 32  # new ones that always suffice
_PLANS_APART = 0.05  # seconds between two plans of different kinds: a tenth of the time goes into them at the most

_DOUBT_FADES = 0.95  # with each end
_REFUTED = 5.0  # logarithm of how much less likely what happened was by the hints

_MOST_KINDS = 256
_MOST_SEEN = 2**53
_VERSION = 1


class _Replanning:
    """Who is planned anew next: kinds that have learned enough, in the order in which they had."""

    __slots__ = ("_free_at", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[Kind, None] = {}
        self._free_at = -math.inf

    def ask(self, kind: Kind, now: float) -> None:
        """`kind` has learned enough."""
        self._waiting.setdefault(kind)
        self.pass_on(now)

    def pass_on(self, now: float) -> None:
        """Whoever is first has its turn, if it is time for one."""
        if self._waiting and now >= self._free_at:
            self._free_at = now + _PLANS_APART
            first = next(iter(self._waiting))
            self.forget(first)
            first.renew(now)

    def forget(self, kind: Kind) -> None:
        """`kind` waits no more."""
        self._waiting.pop(kind, None)


class Kind:
    """Operations that are expected to take equally long, and what they have taught.

    Attributes:
        durations: How long those took that have ended.
    """

    __slots__ = ("_built", "_doubt", "_fresh", "_planned", "_replanning", "durations")

    def __init__(self, durations: Durations | None = None, replanning: _Replanning | None = None) -> None:
        self.durations = Durations() if durations is None else durations
        self._replanning = _Replanning() if replanning is None else replanning
        self._planned: Forecast | None = None
        self._fresh = 0
        self._built = -math.inf
        self._doubt = 0.0  # about what callers say of its operations

    def follow(self, operation: Followed) -> None:
        """An operation was just seen running for the first time; soon it is asked when to look again."""
        self.durations.follow(operation)
        self._replanning.pass_on(operation.seen)

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

    def retire(self) -> None:
        """It is kept no more. Operations that still run go on with it, and take turns with all others."""
        self._replanning.forget(self)

    def renew(self, now: float) -> None:
        """Has a new plan made when it is asked for one."""
        self._planned, self._built = None, now

    def _learned(self, now: float) -> None:
        """Asks for a new plan, soon enough and not too often."""
        self._fresh += 1
        enough = min(self.durations.seen * _REBUILD_SHARE, _REBUILD_COUNT)
        apart = max(self.durations.pace, _REBUILD_EVERY)
        if self._planned is not None and self._fresh >= enough and now - self._built >= apart:
            self._replanning.ask(self, now)  # where there is no plan the next question makes one anyway

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return self._plan().next_look(age, granted=granted)

    def likelihood(self, seen: float, age: float) -> float:
        return self._plan().likelihood(seen, age)

    def judge(self, told: Forecast, seen: float, age: float) -> None:
        """An operation that ran at `seen` was found done at `age`. What callers `told` has foretold it worse, or better."""
        learned, foretold = (max(one.likelihood(seen, age), LEAST_LIKELIHOOD) for one in (self, told))
        self._doubt = self._doubt * _DOUBT_FADES + math.log(learned / foretold)

    @property
    def believes_hints(self) -> bool:
        """Whether what callers say of its operations foretold their ends about as well as what was learned."""
        return self._doubt < _REFUTED

    def place(self, age: float) -> int:
        return place_of(age)

    def worth_after(self, place: int, level: int) -> float:
        return self._plan().worth_after(place, level)

    def _plan(self) -> Forecast:
        if self._planned is None:
            self._planned = by_survival(self.durations.survival()) if self.durations.seen else PLAIN
            self._fresh = 0
        return self._planned


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

    __slots__ = ("_kinds", "_replanning")

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, Kind] = OrderedDict()
        self._replanning = _Replanning()

    def __len__(self) -> int:
        return len(self._kinds)

    def __repr__(self) -> str:
        return f"<History of {counted(len(self), 'kind')}>"

    def _kind(self, key: str) -> Kind:
        """The kind of that key, new where there was none."""
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind(replanning=self._replanning)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)[1].retire()
        else:
            self._kinds.move_to_end(key)
        return kind

    def add(self, service: Service | str, kind: str, seconds: float) -> None:
        """An operation of that kind took `seconds`.

        Args:
            service: The one it is polled from, or its id, such as `"workspaceevents:v1beta"`.
            kind: The last part of the type of its metadata, such as `"CreateSubscriptionMetadata"`, or what `kind=`
                names.

        Raises:
            ValueError: it is not a time, or a text has half a surrogate pair in it.
            TypeError: the service or the kind is neither.
        """
        owner = service.id if isinstance(service, Service) else check_text("service", service)
        key = f"{owner} {check_text('kind', kind)}"
        check_wait("a duration", seconds)
        self._kind(key).add(seconds)

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
            durations.seen = read.seen
            self._kind(key).retire()  # asked for, so that the one that was used least recently is forgotten
            self._kinds[key] = Kind(durations, self._replanning)


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
