"""Who is polled next: by worth, in turn within a level, and nobody never; against a model, under any order of calls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.lines import Line
from lro_poller.engine.orders import FAIR_TURN, Order
from lro_poller.engine.queue import Queue

MANY = settings(max_examples=150, deadline=None, derandomize=True)


@dataclasses.dataclass(eq=False)
class Item:
    """What is due and was seen at `when`; a poll of it is worth twice as much after each `doubles` seconds from then."""

    number: int
    when: float = 0.0
    doubles: float = math.inf
    _scheduled: float = math.inf
    line: Line[Item, float] | None = None

    @property
    def seen(self) -> float:
        return self.when


Items: TypeAlias = Queue[Item, float]


def by_doubling(item: Item) -> float:
    return item.doubles


def worth(doubles: float, level: int) -> float:
    return doubles * level if level else 0.0


def put(queue: Items, item: Item, when: float) -> None:
    item.when = when
    queue.put(item, when)


def filled(*items: tuple[float, float]) -> tuple[Items, list[Item]]:
    """A queue of what is due when, and doubles in how many seconds."""
    queue: Items = Queue(by_doubling, worth)
    made = [Item(number, when, doubles) for number, (when, doubles) in enumerate(items)]
    for item in made:
        queue.put(item, item.when)
    return queue, made


def drained(queue: Items, now: float) -> list[int]:
    taken = []
    while (item := queue.pop(now)) is not None:
        taken.append(item.number)
    return taken


@pytest.mark.behaviour("B23")
def test_nothing_is_polled_before_it_is_due() -> None:
    queue, _ = filled((5.0, 1.0), (7.0, 1.0))
    assert (queue.next_time(4.9), queue.pop(4.9)) == (5.0, None)
    assert (len(queue), queue.overdue(4.9), queue.overdue(5.0), queue.overdue(9.0)) == (2, 0, 1, 2)
    assert drained(queue, 5.0) == [0]
    assert queue.next_time(5.0) == 7.0
    assert drained(queue, 7.0) == [1]
    assert (queue.next_time(7.0), len(queue)) == (math.inf, 0)


@pytest.mark.behaviour("B23")
def test_of_those_worth_the_same_the_longest_due_goes_first() -> None:
    queue, _ = filled((3.0, math.inf), (1.0, math.inf), (2.0, math.inf), (1.0, math.inf))
    assert drained(queue, 10.0) == [1, 3, 2, 0]


@pytest.mark.behaviour("B23")
def test_those_go_first_for_whom_a_poll_is_worth_twice_as_much() -> None:
    queue, _ = filled((0.0, math.inf), (1.0, 100.0), (2.0, 10.0), (9.0, 1.0))
    assert drained(queue, 9.5) == [0, 1, 2, 3]
    queue, _ = filled((0.0, math.inf), (1.0, 100.0), (2.0, 10.0), (9.0, 1.0))
    assert drained(queue, 15.0) == [3, 2, 0, 1]


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize(
    "now, first",
    [(10.5, 0), (13.9, 0), (14.0, 1), (29.9, 1), (40.0, 1)],
)
def test_worth_doubles_at_the_times_that_are_told(now: float, first: int) -> None:
    queue, _ = filled((0.0, 1e9), (10.0, 4.0), (10.0, 1e9))
    assert drained(queue, now)[0] == first


def test_worth_goes_on_doubling_while_others_are_polled() -> None:
    queue, _ = filled((0.0, 100.0), (0.0, 100.0), (0.0, 10.0), (0.0, 1.0))
    taken = [queue.pop(now) for now in (0.0, 1.5, 25.0, 130.0)]
    assert [item and item.number for item in taken] == [0, 3, 2, 1]


@pytest.mark.behaviour("B15", "B23")
def test_what_somebody_has_asked_to_see_goes_before_all_others_in_turn() -> None:
    queue, items = filled((0.0, 1e-9), (0.0, 1e-9), (50.0, 1.0), (60.0, 1.0))
    queue.put_first(items[3])
    queue.put_first(items[2])
    assert queue.next_time(0.0) == -math.inf
    assert drained(queue, 10.0) == [3, 2, 0, 1]


@pytest.mark.behaviour("B10", "B23")
def test_those_for_whom_later_is_too_late_go_before_what_somebody_has_asked_to_see() -> None:
    queue, items = filled((0.0, 1e-9), *[(50.0, 1.0)] * 4)
    queue.put_first(items[1])
    queue.put_first(items[2])
    queue.put_first(items[3], last=True)
    queue.put_first(items[2], last=True)
    queue.put_first(items[3])
    assert drained(queue, 10.0) == [3, 2, 1, 0]
    queue.put_first(items[4], last=True)
    queue.remove(items[4])
    assert (len(queue), queue.due, queue.pop(10.0)) == (0, 0, None)


@pytest.mark.behaviour("B15", "B23")
def test_asking_again_and_again_sets_nobody_back() -> None:
    queue, items = filled((50.0, 1.0), (50.0, 1.0), (50.0, 1.0))
    polled = []
    for second in range(30):
        for item in items:
            queue.put_first(item)
        taken = queue.pop(float(second))
        assert taken is not None
        polled.append(taken.number)
        queue.put(taken, 1e9)
    assert polled[:6] == [0, 1, 2, 0, 1, 2]
    assert {number: polled.count(number) for number in range(3)} == {0: 10, 1: 10, 2: 10}


@pytest.mark.behaviour("B15", "B23")
def test_asking_for_one_that_is_due_keeps_its_place_among_those_due() -> None:
    queue, items = filled(*[(float(number), math.inf) for number in range(20)])
    assert [queue.pop(100.0) for _ in range(6)] == items[:6]
    queue.put_first(items[6])
    for item in items[7:]:
        queue.put_first(item)
    assert queue.pop(100.0) is items[6]
    assert queue.pop(100.0) is items[7]


@pytest.mark.behaviour("B23")
def test_every_eighth_turn_is_that_of_the_longest_due() -> None:
    queue, _ = filled((0.0, math.inf), (0.5, math.inf), *[(1.0, 1e-3)] * 40)
    taken = drained(queue, 100.0)
    assert [taken.index(0) + 1, taken.index(1) + 1] == [FAIR_TURN, 2 * FAIR_TURN]


@pytest.mark.behaviour("B19", "B23")
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 5), st.sampled_from([1e-6, 0.01, 1.0, 50.0, math.inf])),
        min_size=1,
        max_size=120,
    ),
    urgent=st.sets(st.integers(0, 119), max_size=40),
    favoured=st.sampled_from(Order),
)
@MANY
def test_nobody_waits_for_more_than_eight_turns_for_each_that_is_due(
    arrivals: list[tuple[int, float, float]], urgent: set[int], favoured: Order
) -> None:
    queue: Items = Queue(by_doubling, worth)
    favour(queue, favoured)
    now, waited, most = 0.0, dict[Item, int](), dict[Item, int]()
    waiting: list[Item] = []
    for number, (turns, wait, doubles) in enumerate([*arrivals, (10_000, 10.0, 1.0)]):
        item = Item(number, now + wait, doubles)
        waiting.append(item)
        queue.put(item, item.when)
        if number in urgent:
            item.when = now
            queue.put_first(item)
        for _ in range(turns):
            now += 0.1
            due = [item for item in waiting if item.when <= now]
            assert queue.overdue(now) == len(due)
            taken = queue.pop(now)
            for item in due:
                waited[item] = waited.get(item, 0) + 1
                most[item] = max(most.get(item, 0), len(due))
            if taken is None:
                assert not due
                if not waiting:
                    return
            else:
                waiting.remove(taken)
                assert waited[taken] <= FAIR_TURN * most[taken]
    raise AssertionError("somebody waits for ever")


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("favoured, order", [(Order.WORTH, [0, 4, 3, 2, 1]), (Order.PLACE, [0, 1, 2, 3, 4])])
def test_the_order_that_has_found_more_ends_has_the_turns(favoured: Order, order: list[int]) -> None:
    queue, _ = filled(*[(float(number), 1.0 / (number + 1)) for number in range(5)])  # the last is worth most
    favour(queue, favoured)
    queue._turns = FAIR_TURN - 1
    assert drained(queue, 100.0) == order


@pytest.mark.behaviour("B23")
def test_what_polls_have_found_decides_the_order() -> None:
    queue, items = filled(*[(float(number), 1.0 / (number + 1)) for number in range(60)])
    by_place = 0
    for turn in range(30 * FAIR_TURN):
        taken = queue.pop(100.0)
        assert taken is not None
        order = queue._polled[taken]
        by_place += order is Order.PLACE and turn >= 20 * FAIR_TURN
        queue.heard(taken, ended=order is Order.PLACE)
        queue.put(taken, taken.when)
    assert by_place == 10 * (FAIR_TURN - 1)
    assert len(items) == len(queue)


@pytest.mark.behaviour("B15", "B23")
def test_however_many_are_asked_to_be_seen_the_longest_due_has_its_turn() -> None:
    queue, (_, first, _) = filled((0.0, 1.0), (1.0, math.inf), (2.0, math.inf))
    queue.pop(10.0)  # the others are in line now
    for number in range(100):
        queue.put_first(Item(number))
    taken = [queue.pop(10.0) for _ in range(FAIR_TURN)]
    assert first in taken


@pytest.mark.behaviour("B23")
def test_a_poll_that_told_nothing_speaks_for_neither_order() -> None:
    queue, _ = filled(*[(0.0, 1.0)] * 20)
    for _ in range(20):
        taken = queue.pop(10.0)
        assert taken is not None
        queue.heard(taken, ended=None)
        queue.heard(taken, ended=True)  # it is over already
    queue.heard(Item(99), ended=True)
    assert not any(queue._orders._polls)
    assert not queue._polled


@pytest.mark.behaviour("B15", "B23")
def test_who_goes_before_all_others_speaks_for_neither_order() -> None:
    queue, _ = filled()
    urgent = [Item(number) for number in range(3 * FAIR_TURN)]
    for item in urgent:
        queue.put_first(item)
    for _ in urgent:
        taken = queue.pop(10.0)
        assert taken is not None
        queue.heard(taken, ended=True)
    assert not any(queue._orders._polls)


def favour(queue: Items, order: Order) -> None:
    """Has the polls of that order find ends, and no others."""
    for _ in range(50):
        for one in Order:
            queue._orders.heard(one, ended=one is order)


def test_the_bound_is_near_what_can_happen() -> None:
    queue, (last, *_) = filled((1.0, math.inf), *[(0.0, math.inf)] * 99)
    turns, taken, number = 0, None, 100
    while taken is not last:
        eager = Item(number, 2.0, 1e-9)
        queue.put(eager, 2.0)
        taken, turns, number = queue.pop(100.0), turns + 1, number + 1
    assert 6 * 100 < turns <= 8 * 100  # a few go before those that are worth more, until all have been put in order


def test_what_was_not_looked_at_for_long_goes_up_by_all_that_it_has_become_worth() -> None:
    queue, (first, second) = filled((0.0, 1.0), (0.0, 2.0))
    assert queue.pop(10.5) is first
    assert second.line
    assert second.line.level == 5


def test_few_are_put_in_order_at_a_turn() -> None:
    asked = 0

    def counted(doubles: float, level: int) -> float:
        nonlocal asked
        asked += 1
        return worth(doubles, level)

    queue: Items = Queue(by_doubling, counted)
    for number in range(10_000):
        queue.put(Item(number, 0.0), 0.0)
    assert queue.pop(1.0) is not None
    assert asked < 10


numbers = st.integers(0, 9)
waits = st.integers(-3, 12).map(float) | st.sampled_from([math.inf, -1e9, 1e9])
calls = st.tuples(st.sampled_from(["put", "put_first", "remove", "pop", "pop"]), numbers, waits)


@pytest.mark.behaviour("B22", "B23")
@given(script=st.lists(calls, max_size=60))
@MANY
def test_under_any_order_of_calls_the_books_are_right(script: list[tuple[str, int, float]]) -> None:
    queue: Items = Queue(by_doubling, worth)
    items = [Item(number, doubles=[0.5, 3.0, math.inf][number % 3]) for number in range(10)]
    waiting: dict[int, float] = {}
    now, polled = 0.0, 0
    for call, number, wait in script:
        item = items[number]
        if call == "put":
            put(queue, item, now + wait)
            waiting[number] = now + wait
            if wait == math.inf:
                del waiting[number]
        elif call == "put_first":
            queue.put_first(item, last=wait > 6)
            waiting[number] = now
        elif call == "remove":
            queue.remove(item)
            waiting.pop(number, None)
        else:
            now += wait if 0 < wait < 1e9 else 0.0
            due = {number for number, when in waiting.items() if when <= now}
            assert queue.overdue(now) == len(due)
            taken = queue.pop(now, contended=number % 2 == 0)
            assert (taken is None) == (not due)
            if taken is not None:
                polled += 1
                assert taken.number in due
                del waiting[taken.number]
                assert (taken._scheduled, taken.line) == (math.inf, None)
        assert (len(queue), queue.taken) == (len(waiting), polled)
        assert {item.number for item in items if item in queue} == set(waiting)
    assert sorted(drained(queue, math.inf)) == sorted(waiting)
    assert (len(queue), queue.overdue(math.inf), queue.next_time(math.inf)) == (0, 0, math.inf)


def test_while_there_is_room_for_another_none_is_compared() -> None:
    counted, calls = counting(worth)
    queue: Items = Queue(by_doubling, counted)
    for number in range(6):
        queue.put(Item(number, doubles=4.0 * (6 - number)), float(number))
    taken = [queue.pop(10.0, contended=False) for _ in range(3)]
    assert [item and item.number for item in taken] == [0, 1, 2]
    assert calls[0] == 0
    last = queue.pop(10.0)
    assert (last and last.number) == 5
    again = queue.pop(10.0, contended=False)
    assert (again and again.number) == 4  # who has been compared is polled in that order
    assert [item and item.number for item in (queue.pop(10.0), queue.pop(10.0, contended=False))] == [3, None]


def counting(function: Callable[[float, int], float]) -> tuple[Callable[[float, int], float], list[int]]:
    """The same function, and how often it was asked."""
    calls = [0]

    def count(doubles: float, level: int) -> float:
        calls[0] += 1
        return function(doubles, level)

    return count, calls


@pytest.mark.behaviour("B24")
def test_a_turn_among_a_hundred_thousand_that_are_due_is_a_bounded_step() -> None:
    counted, calls = counting(worth)
    queue: Items = Queue(by_doubling, counted)
    for number in range(100_000):
        queue.put(Item(number, number / 1e5, 0.01), number / 1e5)
    most = 0
    for _ in range(500):
        before = calls[0]
        assert queue.pop(100.0) is not None
        most = max(most, calls[0] - before)
    assert most <= 257
    assert queue.next_time(100.0) == -math.inf


@pytest.mark.behaviour("B24")
def test_an_operation_costs_no_more_than_its_levels_however_long_it_is_due() -> None:
    counted, calls = counting(worth)
    queue: Items = Queue(by_doubling, counted)
    for number in range(100):
        queue.put(Item(number, 0.0, 1e-6), 0.0)
    for step in range(99):
        assert queue.pop(1e6 + step) is not None
    assert calls[0] <= 100 * 23


def test_one_that_is_due_alone_is_not_compared_with_anybody() -> None:
    counted, calls = counting(worth)
    queue: Items = Queue(by_doubling, counted)
    queue.put(Item(0), 0.0)
    queue.put(Item(1), 5.0)
    assert queue.pop(1.0) is not None
    assert calls[0] == 0
