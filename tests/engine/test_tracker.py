"""One operation's life under any order of events: the table as it is meant, and the counts that go with it."""

from __future__ import annotations

import gc
import math
import tracemalloc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.forecast import PLAIN
from lro_poller.engine.tracker import LIFE, Cancellation, Effect, Event, State, Tracker
from lro_poller.engine.verdict import Ended, Refused, Running, Setback, Unauthorized, Verdict
from lro_poller.errors import PollError
from lro_poller.operation import Operation

from .waiter import Waiter

NAME = "operations/abc"
MANY = settings(max_examples=300, deadline=None, derandomize=True)

TABLE = """
event         PARKED            POLLING           RECALLED          ENDED
START         POLLING POLL      - BUG             - BUG             - BUG
RUNNING       - BUG             PARKED PARK       PARKED HURRY      - NOTHING
FINISHED      - BUG             ENDED RESOLVE     ENDED RESOLVE     - NOTHING
SETBACK       - BUG             PARKED RETRY      PARKED RETRY      - NOTHING
UNAUTHORIZED  - BUG             PARKED HURRY      PARKED HURRY      - NOTHING
REFUSED       - BUG             ENDED REJECT      ENDED REJECT      - NOTHING
WAKE          - HURRY           RECALLED NOTHING  - NOTHING         - NOTHING
ABANDON       ENDED DROP        ENDED CUT         ENDED CUT         - NOTHING
"""
"""What follows from each event in each state: the next state, `-` for the same, and what has to be done."""

PENDING = Operation(NAME, False, None, b"{}")
DONE = Operation(NAME, True, None, b"{}")
ERROR = PollError(NAME, "HTTP 503", 503)
REPLIES: dict[Event, Verdict] = {
    Event.RUNNING: Running(PENDING, 0.0),
    Event.FINISHED: Ended(DONE),
    Event.SETBACK: Setback(ERROR),
    Event.UNAUTHORIZED: Unauthorized(ERROR),
    Event.REFUSED: Refused(ERROR),
}
replies = st.sampled_from(list(REPLIES.values()))


NOW = 107.0


def make() -> Tracker:
    return Tracker.start(NAME, 100.0)


def expected(state: State, event: Event) -> tuple[State, Effect]:
    """What `TABLE` says."""
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    cells = next(row[1:] for row in rows if row[0] == event.name)
    column = head.index(state.name) - 1
    following, effect = cells[2 * column : 2 * column + 2]
    return state if following == "-" else State[following], Effect[effect]


def brought_to(state: State) -> Tracker:
    tracker = make()
    path = {
        State.PARKED: [],
        State.POLLING: [Event.START],
        State.RECALLED: [Event.START, Event.WAKE],
        State.ENDED: [Event.ABANDON],
    }
    for event in path[state]:
        tracker.on(event)
    assert tracker.state is state
    return tracker


def polled(tracker: Tracker, *verdicts: Verdict, max_failures: int | None = None) -> list[Effect]:
    """What has to be done after each of these polls."""
    effects = []
    for verdict in verdicts:
        tracker.on(Event.START)
        effects.append(tracker.hear(verdict, NOW, max_failures))
    return effects


def facts(tracker: Tracker) -> dict[str, Any]:
    return {slot: getattr(tracker, slot) for slot in Tracker.__struct_fields__}


def written(life: dict[State, dict[Event, tuple[State, Effect]]]) -> str:
    """The table of a life, as text."""
    lines = [["event", *(state.name for state in State)]]
    for event in Event:
        cells = [life[state][event] for state in State]
        marks = ["-" if cell[0] is state else cell[0].name for state, cell in zip(State, cells, strict=True)]
        lines.append([event.name, *(f"{mark} {cell[1].name}" for mark, cell in zip(marks, cells, strict=True))])
    return "\n".join((f"{line[0]:14}" + "".join(f"{cell:18}" for cell in line[1:])).rstrip() for line in lines)


@pytest.mark.behaviour("B2", "B15")
def test_the_life_of_an_operation_is_this_table() -> None:
    assert written(LIFE) == TABLE.strip()


def test_the_life_has_an_answer_to_every_event_in_every_state() -> None:
    assert set(LIFE) == set(State)
    assert all(set(row) == set(Event) for row in LIFE.values())


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_a_tracker_lives_by_the_table(state: State, event: Event) -> None:
    tracker = brought_to(state)
    following, effect = expected(state, event)
    if effect is Effect.BUG:
        with pytest.raises(AssertionError, match=f"{event.name} cannot happen to <Tracker {NAME} {state.name.lower()}"):
            tracker.on(event)
    else:
        assert tracker.on(event) is effect
    assert tracker.state is following


@pytest.mark.behaviour("B2", "B22")
@given(events=st.lists(st.sampled_from(Event), max_size=30))
@MANY
def test_under_any_order_of_events_the_end_is_final(events: list[Event]) -> None:
    tracker, state = make(), State.PARKED
    for event in events:
        following, effect = expected(state, event)
        if effect is Effect.BUG:
            with pytest.raises(AssertionError):
                tracker.on(event)
        else:
            assert tracker.on(event) is effect
        assert not (state is State.ENDED and following is not State.ENDED)
        state = following
        assert tracker.state is state


@pytest.mark.behaviour("B2", "B16", "B17")
@given(verdicts=st.lists(replies, max_size=20), max_failures=st.none() | st.integers(0, 3))
@MANY
def test_under_any_order_of_replies_the_counts_are_right(verdicts: list[Verdict], max_failures: int | None) -> None:
    tracker = make()
    heard: list[Verdict] = []
    for verdict in verdicts:
        if tracker.state is State.ENDED:
            break
        tracker.on(Event.START)
        tracker.hear(verdict, NOW, max_failures)
        heard.append(verdict)
    good = [verdict for verdict in heard if isinstance(verdict, Running | Ended)]
    since = heard[max((at for at, verdict in enumerate(heard) if verdict in good), default=-1) + 1 :]
    assert tracker.sightings == sum(isinstance(verdict, Running) for verdict in heard)
    assert tracker.failures == sum(isinstance(verdict, Setback) for verdict in since)
    assert tracker.operation is (good[-1].operation if good else None)
    assert tracker.error is (ERROR if since else None)
    twice = [type(verdict) for verdict in heard[-2:]] == [Unauthorized, Unauthorized]
    too_many = max_failures is not None and tracker.failures > max_failures
    over = bool(heard) and (isinstance(heard[-1], Ended | Refused) or twice or too_many)
    assert (tracker.state is State.ENDED) is over


@pytest.mark.behaviour("B2")
def test_a_life_that_goes_well() -> None:
    tracker = make()
    effects = polled(tracker, Running(PENDING, 0.0), Running(PENDING, 0.0), Ended(DONE))
    assert effects == [Effect.PARK, Effect.PARK, Effect.RESOLVE]
    assert (tracker.state, tracker.sightings, tracker.operation) == (State.ENDED, 2, DONE)


@pytest.mark.behaviour("B16")
def test_without_a_bound_failures_never_end_a_wait() -> None:
    tracker = make()
    assert polled(tracker, *[Setback(ERROR)] * 1_000) == [Effect.RETRY] * 1_000
    assert (tracker.failures, tracker.error) == (1_000, ERROR)


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("max_failures", [0, 1, 4])
def test_more_failures_in_a_row_than_the_bound_end_the_wait(max_failures: int) -> None:
    tracker = make()
    effects = polled(tracker, *[Setback(ERROR)] * (max_failures + 1), max_failures=max_failures)
    assert effects == [Effect.RETRY] * max_failures + [Effect.REJECT]
    assert (tracker.state, tracker.error) == (State.ENDED, ERROR)


@pytest.mark.behaviour("B16")
def test_an_answer_between_failures_starts_the_count_anew() -> None:
    tracker = make()
    verdicts = (Setback(ERROR), Running(PENDING, 0.0), Setback(ERROR), Running(PENDING, 0.0))
    effects = polled(tracker, *verdicts, max_failures=1)
    assert effects == [Effect.RETRY, Effect.PARK, Effect.RETRY, Effect.PARK]
    assert (tracker.failures, tracker.error) == (0, None)


@pytest.mark.behaviour("B17")
def test_a_second_401_in_a_row_is_final() -> None:
    tracker = make()
    assert polled(tracker, Unauthorized(ERROR), Unauthorized(ERROR)) == [Effect.HURRY, Effect.REJECT]
    assert tracker.error is ERROR


@pytest.mark.behaviour("B17", "B28")
def test_a_401_after_an_answer_is_a_first_one_again() -> None:
    tracker = make()
    effects = polled(tracker, Unauthorized(ERROR), Running(PENDING, 0.0), Unauthorized(ERROR), Ended(DONE))
    assert effects == [Effect.HURRY, Effect.PARK, Effect.HURRY, Effect.RESOLVE]


@pytest.mark.behaviour("B15")
def test_a_wake_while_a_poll_is_under_way_makes_one_more_poll_at_once() -> None:
    tracker = make()
    tracker.on(Event.START)
    assert [tracker.on(Event.WAKE) for _ in range(3)] == [Effect.NOTHING] * 3
    assert tracker.hear(Running(PENDING, 0.0), NOW) is Effect.HURRY
    assert polled(tracker, Running(PENDING, 0.0)) == [Effect.PARK]


@pytest.mark.behaviour("B15", "B16")
def test_a_wake_does_not_hurry_a_retry() -> None:
    tracker = brought_to(State.RECALLED)
    assert tracker.hear(Setback(ERROR), NOW) is Effect.RETRY


@pytest.mark.behaviour("B2", "B20")
@pytest.mark.parametrize("verdict", REPLIES.values(), ids=lambda verdict: type(verdict).__name__)
@pytest.mark.parametrize("end", [Ended(DONE), Refused(ERROR), None], ids=["finished", "refused", "abandoned"])
def test_a_reply_that_comes_late_revives_nothing(end: Verdict | None, verdict: Verdict) -> None:
    tracker = brought_to(State.POLLING)
    if end is None:
        tracker.on(Event.ABANDON)
    else:
        tracker.hear(end, NOW)
    assert tracker.hear(verdict, NOW) is Effect.NOTHING
    assert tracker.state is State.ENDED


@pytest.mark.behaviour("B2", "B20")
@pytest.mark.parametrize("verdict", REPLIES.values(), ids=lambda verdict: type(verdict).__name__)
def test_a_reply_that_comes_late_changes_nothing(verdict: Verdict) -> None:
    tracker = brought_to(State.POLLING)
    tracker.hear(Ended(Operation(NAME, True, None, b'{"done": true}')), NOW)
    before = facts(tracker)
    tracker.hear(verdict, NOW)
    assert facts(tracker) == before


doings = st.sampled_from(["join", "join", "leave", "postpone", "late"])
moments = st.none() | st.integers(0, 9).map(float)


@pytest.mark.behaviour("B7", "B10", "B20")
@given(script=st.lists(st.tuples(doings, st.integers(0, 4), moments), max_size=40))
@MANY
def test_whoever_joins_is_in_the_audience_until_leaving_and_is_late_in_turn(
    script: list[tuple[str, int, float | None]],
) -> None:
    tracker, waiters = make(), [Waiter() for _ in range(5)]
    there: list[Waiter] = []
    for does, number, moment in script:
        who = waiters[number]
        match does:
            case "leave":
                there = [other for other in there if other is not who]
                assert tracker.leave(who) is bool(there)
            case "join" if who not in there:
                there.append(who)
                who.deadline = moment
                tracker.join(who, "owner")
            case "postpone" if who in there and moment is not None:
                for _ in range(30):  # as often as it takes to be swept
                    tracker.postpone(who, moment + 1)
                tracker.postpone(who, moment)
            case "late" if moment is not None:
                late = tracker.overdue(moment)
                first = min((other.deadline for other in there if other.deadline is not None), default=math.inf)
                assert (late is None) is (first > moment)
                assert late is None or (late in there and late.deadline == first)
        assert tracker.waiters() == tuple(there), "in the order in which they came"
        assert tracker.owner == ("owner" if there else None)
        deadlines = [other.deadline for other in there if other.deadline is not None]
        assert tracker.first_deadline() == min(deadlines, default=math.inf)


@pytest.mark.behaviour("B24")
def test_whoever_has_left_is_let_go_though_others_wait() -> None:
    tracker, waiters = make(), [Waiter(float(number)) for number in range(1000)]
    for waiter in waiters:
        tracker.join(waiter)
    alive = [weakref.ref(waiter) for waiter in waiters]
    for waiter in waiters[1:]:
        tracker.leave(waiter)
    del waiters, waiter
    gc.collect()
    assert sum(one() is not None for one in alive) == 1


@pytest.mark.behaviour("B24")
def test_deadlines_that_are_taken_and_given_up_for_ever_cost_no_memory() -> None:
    tracker = make()
    tracker.join(Waiter(5.0))
    tracemalloc.start()
    for number in range(20_000):
        waiter = Waiter(10.0 + number)
        tracker.join(waiter)
        tracker.leave(waiter)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 20_000


@pytest.mark.behaviour("B14")
@pytest.mark.parametrize(
    "verdict, not_before",
    [
        (Running(PENDING, 30.0), NOW + 30.0),
        (Running(PENDING, 0.0), NOW),
        (Setback(ERROR, 12.0), NOW + 12.0),
        (Unauthorized(ERROR), NOW),
        (Ended(DONE), NOW),
    ],
)
def test_it_is_left_alone_for_as_long_as_the_service_asks(verdict: Verdict, not_before: float) -> None:
    tracker = make()
    polled(tracker, verdict)
    assert tracker.not_before == not_before


def test_what_was_asked_for_earlier_does_not_count_after_the_next_reply() -> None:
    tracker = make()
    polled(tracker, Running(PENDING, 900.0), Running(PENDING, 0.0))
    assert tracker.not_before == NOW


def test_it_is_known_when_it_was_last_seen_running() -> None:
    tracker = make()
    polled(tracker, Setback(ERROR))
    assert (tracker.began, tracker.seen) == (100.0, 100.0)
    polled(tracker, Running(PENDING, 0.0))
    assert tracker.seen == NOW
    tracker.on(Event.START)
    tracker.hear(Ended(DONE), NOW + 5)
    assert tracker.seen == NOW


def test_a_new_tracker_is_parked_and_knows_nothing() -> None:
    tracker = make()
    assert (tracker.name, tracker.state, tracker.submitted) == (NAME, State.PARKED, 100.0)
    assert (tracker.polls, tracker.sightings, tracker.failures) == (0, 0, 0)
    assert (tracker._scheduled, tracker.line, tracker.due, tracker.not_before) == (math.inf, None, 100.0, 100.0)
    assert (tracker.operation, tracker.error, tracker.waiters(), tracker.kind) == (None, None, (), None)
    assert tracker.forecast is PLAIN


@pytest.mark.behaviour("B26")
@pytest.mark.parametrize(
    "state, text",
    [
        (State.PARKED, f"<Tracker {NAME} parked, 0 polls>"),
        (State.POLLING, f"<Tracker {NAME} polling, 0 polls>"),
        (State.RECALLED, f"<Tracker {NAME} recalled, 0 polls>"),
        (State.ENDED, f"<Tracker {NAME} ended, 0 polls>"),
    ],
)
def test_the_repr_shows_the_state(state: State, text: str) -> None:
    assert repr(brought_to(state)) == text


@pytest.mark.behaviour("B16", "B20")
def test_an_errand_is_run_once_and_fails_with_its_first_failure() -> None:
    errand = Cancellation.start(NAME, 100.0)
    assert (errand.method, errand.suffix, make().method, make().suffix) == ("POST", ":cancel", "GET", "")
    assert polled(errand, Setback(ERROR)) == [Effect.REJECT]
