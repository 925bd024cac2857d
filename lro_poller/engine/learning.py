"""Which forecast an operation goes by, and what its end teaches.

Decides what counts: a caller's progress before a caller's expectation, and that before what
was learned of the kind, unless by that the ends of its operations were foretold better. A duration is learned of operations that were seen running here, from
where their waiting began.
"""

from __future__ import annotations

import msgspec

from .. import mending
from .forecast import Hints, around
from .history import History, Kind
from .tracker import Tracker

__all__ = ["Learner"]


class _Any(msgspec.Struct):
    type_: str = msgspec.field(name="@type", default="")


class _Typed(msgspec.Struct):
    metadata: _Any | None = None


_read_typed = msgspec.json.Decoder(_Typed).decode  # in one step from the whole resource: each submission takes it

_LONGEST_KIND = 100  # characters


class Learner:
    """The history of one service, as its trackers use it."""

    __slots__ = ("_history", "_service")

    def __init__(self, history: History, service: str) -> None:
        self._history = history
        self._service = service

    def advise(self, tracker: Tracker, hints: Hints) -> None:
        """Takes what a caller says of how long it takes, as far as nobody else who waits for it has said so before."""
        known = Hints() if tracker.hints is None else tracker.hints
        tracker.hints = known.or_else(hints)
        if known.expected is None and known.total is None and hints.expected is not None:
            tracker.forecast = around(hints.expected)

    def saw_running(self, tracker: Tracker) -> None:
        """It was just found running: from here on it goes by what is known now."""
        if tracker.kind is None:
            tracker.kind = self._kind_of(tracker)
            if tracker.learns:
                tracker.kind.follow(tracker)
        expected = None if tracker.hints is None else _expected(tracker, tracker.hints)
        tracker.told = None if expected is None else around(expected)
        tracker.forecast = tracker.told if tracker.told is not None and tracker.kind.believes_hints else tracker.kind

    def ended(self, tracker: Tracker, now: float) -> None:
        """It was found done at `now`."""
        if tracker.told is not None and tracker.kind is not None:
            tracker.kind.judge(tracker.told, tracker.seen - tracker.began, now - tracker.began)
        if tracker.learns and tracker.kind is not None:
            tracker.kind.end(tracker, now)

    def lost_sight(self, tracker: Tracker, now: float) -> None:
        """Nobody waits for it any more; it took longer than it was seen running."""
        if tracker.learns and tracker.kind is not None:
            tracker.kind.lose(tracker, now)

    def _kind_of(self, tracker: Tracker) -> Kind:
        named = None if tracker.hints is None else tracker.hints.kind
        return self._history._kind(f"{self._service} {_metadata_type(tracker) if named is None else named}")


def _expected(tracker: Tracker, hints: Hints) -> float | None:
    """Seconds that it takes in all, by what the caller says. A function of theirs that raises has told nothing."""
    if hints.total is None or tracker.operation is None:
        return hints.expected
    try:
        told = hints.total(tracker.operation, tracker.seen - tracker.began)
    except Exception:
        told = None
    return hints.expected if told is None else told


def _metadata_type(tracker: Tracker) -> str:
    """The last part of metadata's `@type`; "" where there is none."""
    if tracker.operation is None:
        return ""
    try:
        metadata = mending.read(_read_typed, tracker.operation.raw).metadata
    except (ValueError, RecursionError):
        return ""
    return "" if metadata is None else metadata.type_.rpartition(".")[2][:_LONGEST_KIND]
