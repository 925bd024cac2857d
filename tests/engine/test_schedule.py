"""The schedule against a plain sorted list, in any order of calls, and that it forgets what was taken out."""

from __future__ import annotations

import dataclasses
import gc
import math
import tracemalloc
import weakref

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.schedule import Schedule

MANY = settings(max_examples=250, deadline=None, derandomize=True)


@dataclasses.dataclass(eq=False)
class Item:
    number: int
    _scheduled: float = math.inf


class SortedList:
    """What a schedule is meant to be: a list of (when, turn, number), sorted; what is due at infinity is not in."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, int]] = []
        self.turn = 0

    def put(self, number: int, when: float) -> None:
        self.remove(number)
        self.turn += 1
        if when < math.inf:
            self.entries = sorted([*self.entries, (when, self.turn, number)])

    def remove(self, number: int) -> None:
        self.entries = [entry for entry in self.entries if entry[2] != number]

    def next_time(self) -> float:
        return self.entries[0][0] if self.entries else math.inf

    def first(self, now: float) -> set[int]:
        """Whoever is longest due; of several, any may have been moved away from that time and back to it."""
        return {number for when, _, number in self.entries if when == self.next_time() <= now}

    def count_due(self, now: float) -> int:
        return len([entry for entry in self.entries if entry[0] <= now])


numbers = st.integers(0, 7)
times = st.integers(-3, 12).map(float) | st.sampled_from(
    [0.5, 0.51, 0.52, 0.63, 1e-9, 1e9, 2.0**60, 1e300, 1.7e308, math.inf, -math.inf]
)
calls = st.one_of(
    st.tuples(st.just("put"), numbers, times),
    st.tuples(st.just("shuffle"), numbers, times),
    st.tuples(st.just("remove"), numbers, times),
    st.tuples(st.just("pop"), numbers, times),
)


def put(schedule: Schedule[Item], *whens: float) -> list[Item]:
    items = [Item(number) for number in range(len(whens))]
    for item, when in zip(items, whens, strict=True):
        schedule.put(item, when)
    return items


def drain(schedule: Schedule[Item], now: float = math.inf) -> list[int]:
    taken = []
    while (item := schedule.pop_due(now)) is not None:
        taken.append(item.number)
    return taken


def places(schedule: Schedule[Item]) -> int:
    """All that it holds: near, far and packed items, and ticks whose list is gone."""
    far = sum(len(schedule._items(tick)) for tick in schedule._far)
    return len(schedule._near) + far + len(schedule._ticks) - len(schedule._far)


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("pack", [2, 3, 64])
@given(script=st.lists(calls, max_size=40))
@MANY
def test_a_schedule_is_a_sorted_list_under_any_order_of_calls(script: list[tuple[str, int, float]], pack: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lro_poller.engine.schedule._PACK", pack)
        _check_against_a_sorted_list(script, packed=pack < 8)


def _check_against_a_sorted_list(script: list[tuple[str, int, float]], *, packed: bool) -> None:
    schedule: Schedule[Item] = Schedule()
    model = SortedList()
    items = [Item(number) for number in range(8)]
    for call, number, time in script:
        if call == "put":
            schedule.put(items[number], time)
            model.put(number, time)
        elif call == "shuffle":  # as often as it takes to be swept
            for step in range(40):
                schedule.put(items[number], time + step % 7)
                model.put(number, time + step % 7)
        elif call == "remove":
            schedule.remove(items[number])
            model.remove(number)
        else:
            now = max(time, 0.0)
            taken = schedule.pop_due(now)
            assert (taken is None) == (not model.first(now))
            if taken is not None:
                assert taken.number in model.first(now)
                model.remove(taken.number)
            told, due = schedule.next_time(now), model.next_time()
            assert told <= due, "nobody is forgotten"
            assert (told <= now) == (due <= now)
            # Of what is packed it is not known whether anybody of it is left: it is asked again when its time has come.
            assert packed or due - told < 1 / 8 or told == due or told >= 2.0**60
            assert len(list(schedule.due(now))) == model.count_due(now)
        assert len(schedule) == len(model.entries)
        assert schedule._places == places(schedule), "or it is swept too often, or too seldom"
        assert {item.number for item in items if item._scheduled < math.inf} == {entry[2] for entry in model.entries}
    whens = {number: when for when, _, number in model.entries}
    assert [whens[number] for number in drain(schedule)] == sorted(whens.values())


def test_an_empty_schedule_has_nothing_to_give() -> None:
    schedule: Schedule[Item] = Schedule()
    assert len(schedule) == 0
    assert schedule.next_time(0.0) == math.inf
    assert schedule.pop_due(math.inf) is None
    assert not list(schedule.due(math.inf))


@pytest.mark.behaviour("B23")
def test_the_longest_overdue_goes_first_and_of_several_whoever_was_put_in_first() -> None:
    schedule: Schedule[Item] = Schedule()
    put(schedule, 3.0, 1.0, 2.0, 1.0, 1.0)
    assert drain(schedule, 2.5) == [1, 3, 4, 2]
    assert schedule.next_time(2.5) == 3.0


def test_of_one_alone_the_very_time_is_told_and_of_several_when_to_ask_again() -> None:
    schedule: Schedule[Item] = Schedule()
    items = put(schedule, 5.06, 5.11)
    assert schedule.next_time(1.0) == 5.0
    assert schedule.next_time(5.0) == 5.06
    schedule.put(items[0], 7.06)
    schedule.put(items[1], 9.11)
    assert schedule.next_time(5.5) == 7.06


def test_what_is_due_later_stays() -> None:
    schedule: Schedule[Item] = Schedule()
    (item,) = put(schedule, 5.0)
    assert schedule.pop_due(4.999) is None
    assert schedule.pop_due(5.0) is item
    assert schedule.pop_due(5.0) is None


@pytest.mark.behaviour("B15")
def test_putting_an_item_in_again_moves_it_forwards_and_backwards() -> None:
    schedule: Schedule[Item] = Schedule()
    items = put(schedule, 1.0, 2.0, 3.0)
    schedule.put(items[2], 0.0)
    schedule.put(items[0], 9.0)
    assert len(schedule) == 3
    assert drain(schedule) == [2, 1, 0]


def test_removing_what_is_not_in_changes_nothing() -> None:
    schedule: Schedule[Item] = Schedule()
    items = put(schedule, 1.0, 2.0)
    schedule.remove(Item(7))
    schedule.remove(items[0])
    schedule.remove(items[0])
    assert len(schedule) == 1
    assert drain(schedule) == [1]


def test_an_item_that_was_taken_out_may_be_put_in_again() -> None:
    schedule: Schedule[Item] = Schedule()
    (item,) = put(schedule, 1.0)
    assert schedule.pop_due(1.0) is item
    schedule.put(item, 2.0)
    schedule.remove(item)
    schedule.put(item, 3.0)
    assert schedule.next_time(1.0) == 3.0
    assert drain(schedule) == [0]


@pytest.mark.behaviour("B24")
def test_what_was_removed_is_let_go() -> None:
    schedule: Schedule[Item] = Schedule()
    items = put(schedule, *map(float, range(1_000)))
    alive = [weakref.ref(item) for item in items]
    for item in items[10:]:
        schedule.remove(item)
    del items, item
    gc.collect()
    assert len(schedule) == 10
    assert sum(ref() is not None for ref in alive) < 100


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("together", [1, 2, 50])
def test_what_was_removed_is_let_go_at_once_where_few_are_due_together(together: int) -> None:
    schedule: Schedule[Item] = Schedule()
    put(schedule, 5.0)
    items = put(schedule, *(10.0 + number // together for number in range(100)))
    alive = [weakref.ref(item) for item in items]
    for item in items:
        schedule.remove(item)
    del items, item
    gc.collect()
    assert not any(ref() for ref in alive)
    assert drain(schedule) == [0]


@pytest.mark.behaviour("B24")
def test_times_that_are_taken_and_given_up_for_ever_cost_no_memory() -> None:
    schedule: Schedule[Item] = Schedule()
    (item,) = put(schedule, 5.0)
    tracemalloc.start()
    for step in range(20_000):
        schedule.put(item, 10.0 + step % 3000)
        schedule.remove(item)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 20_000
    assert schedule.next_time(0.0) == math.inf


@pytest.mark.behaviour("B24")
def test_an_item_that_is_moved_for_ever_costs_no_memory() -> None:
    schedule: Schedule[Item] = Schedule()
    (item,) = put(schedule, 0.0)
    before = len(gc.get_referrers(item))
    for step in range(10_000):
        schedule.put(item, float(step))
    assert len(schedule) == 1
    assert len(gc.get_referrers(item)) - before < 100
    assert places(schedule) < 100


class Counting:
    """An item that counts how often it is looked at, all of its kind together."""

    looks = 0

    def __init__(self) -> None:
        self._when = math.inf

    @property
    def _scheduled(self) -> float:
        Counting.looks += 1
        return self._when

    @_scheduled.setter
    def _scheduled(self, when: float) -> None:
        self._when = when


@pytest.mark.behaviour("B24")
def test_a_clock_that_jumps_past_thousands_does_not_have_them_all_put_in_order_at_once() -> None:
    schedule: Schedule[Counting] = Schedule()
    for number in range(10_000):
        schedule.put(Counting(), 5.0 + number / 100)
    for _ in range(10_000):
        before = Counting.looks
        assert schedule.pop_due(1_000.0) is not None
        assert Counting.looks - before < 50
    assert schedule.pop_due(1_000.0) is None


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("within, most", [(10.0, 12), (3600.0, 110), (86_400.0, 110), (1e6, 110)])
def test_what_lies_ahead_costs_a_place_in_a_list_and_no_more_than_a_place_in_a_heap(within: float, most: float) -> None:
    count = 20_000
    schedule: Schedule[Item] = Schedule()
    items = [Item(number) for number in range(count)]
    whens = [5.0 + within * number / count for number in range(count)]
    tracemalloc.start()
    for item, when in zip(items, whens, strict=True):
        schedule.put(item, when)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / count < most


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("way", ["is taken out in time", "is swept"])
def test_what_was_packed_is_let_go(way: str) -> None:
    schedule: Schedule[Item] = Schedule()
    items = put(schedule, *([10.0] * 5_000))
    alive = [weakref.ref(item) for item in items]
    if way == "is swept":
        for item in items:
            schedule.put(item, 5.0)
        del item
    assert len(drain(schedule, 10.0)) == 5_000
    del items
    gc.collect()
    assert sum(one() is not None for one in alive) < 100


class Unseen(msgspec.Struct, gc=False, eq=False):
    _scheduled: float = math.inf


@pytest.mark.parametrize("apart", [0.0, 1e-4, 0.01])
def test_the_collector_does_not_go_through_what_is_not_its_own(apart: float) -> None:
    schedule: Schedule[Unseen] = Schedule()
    for number in range(20_000):
        schedule.put(Unseen(), 10.0 + number * apart)
    gc.collect()
    seen = sum(isinstance(held, Unseen) for one in gc.get_objects() for held in gc.get_referents(one))
    ticks = math.ceil(20_000 * apart * 8) + 1
    assert seen < 64 * ticks
    assert len(schedule) == len(schedule.due(math.inf)) == 20_000
