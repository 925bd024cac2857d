"""One operation's life.

An operation is *parked* while its next poll lies ahead, *polling* while one is under way,
*recalled* when somebody asked to look again while one is under way (the answer that is
coming may be older than the news), and *ended* for ever after. Eight things can happen to
it. `LIFE` says for each state and each event which state follows and what has to be done;
whoever holds the tracker does it, and decides nothing about it.

Pairs that are marked `Effect.BUG` no caller may bring about. Replies that reach an
ended operation are late and change nothing.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

from ..counting import counted
from ..errors import PollError
from ..operation import Operation
from . import crowd
from .cadence import BackoffWaits
from .crowd import Waiter, Waiters
from .forecast import PLAIN, Forecast, Hints
from .history import Kind
from .lines import Line
from .verdict import Ended, Running, Setback, Unauthorized, Verdict

__all__ = ["LIFE", "Cancellation", "Effect", "Errand", "Event", "State", "Tracker"]


class State(enum.IntEnum):
    PARKED = 0
    POLLING = 1
    RECALLED = 2
    ENDED = 3


class Event(enum.IntEnum):
    START = 0  # its turn has come
    RUNNING = 1  # the reply: not done
    FINISHED = 2  # the reply: done
    SETBACK = 3  # the poll failed, the next may not
    UNAUTHORIZED = 4  # the poll needs a new token
    REFUSED = 5  # the poll failed for good
    WAKE = 6  # somebody says: look now
    ABANDON = 7  # nobody waits for it any more


class Effect(enum.IntEnum):
    NOTHING = 0
    POLL = 1  # send the request
    PARK = 2  # schedule the next poll by the cadence
    RETRY = 3  # schedule the next poll by the retry policy
    HURRY = 4  # schedule the next poll for now
    RESOLVE = 5  # hand the operation to who waits
    REJECT = 6  # hand the poll error to who waits
    DROP = 7  # take it out of the schedule
    CUT = 8  # stop the poll that is under way
    BUG = 9


_S, _E, _F = State, Event, Effect

LIFE: dict[State, dict[Event, tuple[State, Effect]]] = {
    _S.PARKED: {
        _E.START: (_S.POLLING, _F.POLL),
        _E.RUNNING: (_S.PARKED, _F.BUG),
        _E.FINISHED: (_S.PARKED, _F.BUG),
        _E.SETBACK: (_S.PARKED, _F.BUG),
        _E.UNAUTHORIZED: (_S.PARKED, _F.BUG),
        _E.REFUSED: (_S.PARKED, _F.BUG),
        _E.WAKE: (_S.PARKED, _F.HURRY),
        _E.ABANDON: (_S.ENDED, _F.DROP),
    },
    _S.POLLING: {
        _E.START: (_S.POLLING, _F.BUG),
        _E.RUNNING: (_S.PARKED, _F.PARK),
        _E.FINISHED: (_S.ENDED, _F.RESOLVE),
        _E.SETBACK: (_S.PARKED, _F.RETRY),
        _E.UNAUTHORIZED: (_S.PARKED, _F.HURRY),
        _E.REFUSED: (_S.ENDED, _F.REJECT),
        _E.WAKE: (_S.RECALLED, _F.NOTHING),
        _E.ABANDON: (_S.ENDED, _F.CUT),
    },
    _S.RECALLED: {
        _E.START: (_S.RECALLED, _F.BUG),
        _E.RUNNING: (_S.PARKED, _F.HURRY),
        _E.FINISHED: (_S.ENDED, _F.RESOLVE),
        _E.SETBACK: (_S.PARKED, _F.RETRY),
        _E.UNAUTHORIZED: (_S.PARKED, _F.HURRY),
        _E.REFUSED: (_S.ENDED, _F.REJECT),
        _E.WAKE: (_S.RECALLED, _F.NOTHING),
        _E.ABANDON: (_S.ENDED, _F.CUT),
    },
    _S.ENDED: {
        _E.START: (_S.ENDED, _F.BUG),
        _E.RUNNING: (_S.ENDED, _F.NOTHING),
        _E.FINISHED: (_S.ENDED, _F.NOTHING),
        _E.SETBACK: (_S.ENDED, _F.NOTHING),
        _E.UNAUTHORIZED: (_S.ENDED, _F.NOTHING),
        _E.REFUSED: (_S.ENDED, _F.NOTHING),
        _E.WAKE: (_S.ENDED, _F.NOTHING),
        _E.ABANDON: (_S.ENDED, _F.NOTHING),
    },
}

_ROWS = [[LIFE[state][event] for event in Event] for state in State]  # the same table, indexed in one step

# What every poll asks for: before Python 3.12 naming a member runs a function of enum's.
_ENDED, _RUNNING = State.ENDED, Event.RUNNING
_NOTHING, _BUG = Effect.NOTHING, Effect.BUG


class Tracker(msgspec.Struct, gc=False, eq=False):
    """The record of one operation that is being waited for. Times are seconds of one monotonic clock.

    The garbage collector does not look at it: with a hundred thousand of them a full collection would hold up
    every poll for a good part of a second.
    So whoever ends a wait has to undo what could lead from a record back to itself: `leave` and `let_go`.

    Attributes:
        name: The operation; what is polled, whatever a reply calls it.
        state: Where in its life it is.
        submitted: When it was submitted.
        began: When it began, as far as is known; its age counts from here.
        seen: When it was last known to run.
        forecast: What is known of how long it will take.
        kind: What its duration teaches; None before that is known.
        learns: Whether when it began is known, so that its duration teaches something.
        hints: What the caller said of how long it will take; None for nothing.
        told: What is foretold by that; None for nothing.
        backoff: The caller's own waits; None where the forecast decides.
        polls: How many polls were sent.
        sightings: How many polls found it running; the attempt number of its backoff.
        failures: How many polls failed in a row.
        token_refused: Whether the last poll was refused for its token, so that the next has a new one.
        wait: The wait that was chosen after the last poll that found it running, in seconds: after one that fails it
            is no shorter. 0 once somebody has asked to see it now.
        due: When its next poll is due, or its last was.
        not_before: Until when the service asks to be left alone about it.
        operation: As last read; None before the first reply.
        error: Why the last poll failed; None when it did not.
        line: Where it stands in the queue; None while it is not due, or goes before all others.
        streams: How many streams of updates want to see it running.
        last_poll_asked: When the last poll before a deadline was last asked for.
        hurried: How many polls the queue had given out when somebody last had it polled before others.
        alarm: When its deadlines are seen to next, `math.inf` for never. Whoever it is set for may have left.
        owner: Who keeps it, as long as anybody waits for it.
    """

    name: str
    forecast: Forecast
    submitted: float
    began: float
    seen: float
    due: float
    not_before: float
    state: State = State.PARKED
    kind: Kind | None = None
    learns: bool = True
    hints: Hints | None = None
    told: Forecast | None = None
    backoff: BackoffWaits | None = None
    polls: int = 0
    sightings: int = 0
    failures: int = 0
    token_refused: bool = False
    wait: float = 0.0
    operation: Operation | None = None
    error: PollError | None = None
    _scheduled: float = math.inf
    last_poll_asked: float = -math.inf
    hurried: float = -math.inf
    alarm: float = math.inf
    line: Line[Any, Any] | None = None
    streams: int = 0
    owner: Any = None
    _waiters: Waiters = None

    method: ClassVar[str] = "GET"
    suffix: ClassVar[str] = ""

    @classmethod
    def start(cls, name: str, now: float) -> Self:
        """The record of an operation that is waited for from `now` on, of which nothing is known."""
        return cls(name, PLAIN, now, now, now, now, now)

    def __repr__(self) -> str:
        return f"<Tracker {self.name} {self.state.name.lower()}, {counted(self.polls, 'poll')}>"

    # Who waits for it.

    def join(self, who: Waiter, owner: object = None) -> None:
        """`who` waits for it too."""
        self._waiters, self.owner = crowd.joined(self._waiters, who), owner

    def leave(self, who: Waiter) -> bool:
        """`who` waits no more; whether anybody still does."""
        self._waiters = crowd.left(self._waiters, who)
        if self._waiters is None:
            self.owner = None
        return self._waiters is not None

    def postpone(self, who: Waiter, until: float) -> None:
        """`who`, who waits for it, does so until then."""
        crowd.postpone(self._waiters, who, until)

    def waiters(self) -> tuple[Waiter, ...]:
        """Everybody who waits for it."""
        return crowd.everybody(self._waiters)

    def with_last_polls(self) -> Sequence[Waiter]:
        """Those of them whose last polls are planned."""
        return crowd.with_last_polls(self._waiters)

    def first_deadline(self) -> float:
        """The first deadline of those who wait for it; `math.inf` where nobody has one."""
        first = crowd.first(self._waiters)
        return math.inf if first is None or first.deadline is None else first.deadline

    def overdue(self, now: float) -> Waiter | None:
        """Who has the first deadline, if that has passed at `now`."""
        return crowd.first(self._waiters) if self.first_deadline() <= now else None

    @property
    def is_last_poll(self) -> bool:
        """Whether the poll that is due, or was sent, was asked for because a deadline is near."""
        return self.due == self.last_poll_asked

    def let_go(self) -> None:
        """Its wait is over: drops what may hold its future, in a caller's function or an error's traceback."""
        if self.backoff is not None:
            self.backoff.empty()
        self.error = self.backoff = self.hints = None

    # What happens to it.

    def on(self, event: Event) -> Effect:
        """Moves to the state that follows `event`; returns what has to be done.

        Raises:
            AssertionError: the event cannot happen in this state.
        """
        state, effect = _ROWS[self.state][event]
        if effect is _BUG:
            raise AssertionError(f"{event.name} cannot happen to {self!r}")
        self.state = state
        return effect

    def hear(self, verdict: Verdict, now: float, max_failures: int | None = None) -> Effect:
        """Takes in what a poll brought at `now`; returns what has to be done.

        Args:
            max_failures: How many polls in a row may fail; None for any number.
        """
        if self.state is _ENDED:
            return _NOTHING
        again, self.token_refused = self.token_refused, False
        if isinstance(verdict, Running):
            self.operation, self.error, self.failures = verdict.operation, None, 0
            self.sightings += 1
            self.seen, self.not_before = now, now + verdict.delay if verdict.delay else now
            return self.on(_RUNNING)
        self.not_before = now
        if isinstance(verdict, Ended):
            self.operation, self.error, self.failures = verdict.operation, None, 0
            return self.on(Event.FINISHED)
        self.error = verdict.error
        match verdict:
            case Setback():
                if not self.failures or not self.is_last_poll:  # those come again too soon to count
                    self.failures += 1
                self.not_before = now + verdict.delay
                enough = max_failures is not None and self.failures > max_failures
                return self.on(Event.REFUSED if enough else Event.SETBACK)
            case Unauthorized():
                self.token_refused = True
                return self.on(Event.REFUSED if again else Event.UNAUTHORIZED)
        return self.on(Event.REFUSED)


class Errand(Tracker, gc=False, eq=False):
    """A single poll: a request that is made once, in its turn, for one waiter."""

    def hear(self, verdict: Verdict, now: float, max_failures: int | None = None) -> Effect:
        """As in `Tracker.hear`; that the operation still runs is an answer too, and so is that the poll failed."""
        return super().hear(Ended(verdict.operation) if isinstance(verdict, Running) else verdict, now, 0)


class Cancellation(Errand, gc=False, eq=False):
    """An errand that asks the service to cancel an operation."""

    method: ClassVar[str] = "POST"
    suffix: ClassVar[str] = ":cancel"
