"""Whose poll is worth most: held against a model that compares all heads, and bounded in time and memory."""

from __future__ import annotations

import dataclasses
import gc
import math
import random
import weakref
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.lines import Line, Lines

MANY = settings(max_examples=200, deadline=None, derandomize=True)


@dataclasses.dataclass(eq=False)
class Item:
    """Seen at that time; `key` is after how many seconds its worth doubles, again and again."""

    seen: float
    key: float
    line: Line[Item, float] | None = None


Told: TypeAlias = Lines[Item, float]


def worth(key: float, level: int) -> float:
    return key * (level + 1)


def lines() -> Told:
    return Lines(lambda item: item.key, worth)


def joined(told: Told, now: float, *items: tuple[float, float]) -> list[Item]:
    made = [Item(*item) for item in items]
    for item in made:
        told.join(item, now)
    return made


def drained(told: Told, now: float, items: list[Item]) -> list[int]:
    order = []
    for _ in items:
        most = told.most_worth(now)
        order.append(items.index(most))
        told.leave(most)
    return order


@pytest.mark.behaviour("B23")
def test_in_a_line_the_first_seen_is_the_head_and_the_others_follow_as_they_came() -> None:
    told = lines()
    items = joined(told, 10.0, (3.0, 1.0), (5.0, 1.0), (4.0, 1.0), (1.0, 1.0))
    assert drained(told, 10.0, items) == [3, 0, 1, 2]


@pytest.mark.behaviour("B23")
def test_of_two_on_one_level_the_one_goes_first_that_came_to_it_first() -> None:
    told = lines()
    items = joined(told, 13.0, (2.0, 4.0), (0.0, 5.0), (3.0, 3.0))  # level 1 at 10, 10 and 9; level 2 at 12 by the last
    assert drained(told, 13.0, items) == [2, 0, 1]
    items = joined(told, 12.0, (2.5, 4.0), (1.0, 5.0), (3.5, 4.0))
    assert drained(told, 12.0, items) == [0, 1, 2]


@pytest.mark.behaviour("B23")
def test_the_next_in_a_line_has_to_be_worth_as_much_as_the_one_before() -> None:
    told = lines()
    items = joined(told, 20.0, (0.0, 2.0), (19.0, 2.0), (10.0, 4.0))
    assert drained(told, 20.0, items) == [0, 2, 1]


class Model:
    """Every line as a list; asks all heads."""

    def __init__(self) -> None:
        self.lines: dict[float, list[Item]] = {}

    def join(self, item: Item) -> None:
        line = self.lines.setdefault(item.key, [])
        line.insert(0 if line and item.seen < line[0].seen else len(line), item)

    def leave(self, item: Item) -> None:
        self.lines[item.key].remove(item)

    def most_worth(self, now: float) -> tuple[int, float]:
        """The level of whoever is worth most, and since when."""
        return min(self.standing(line[0], now) for line in self.lines.values() if line)

    @staticmethod
    def standing(item: Item, now: float) -> tuple[int, float]:
        level = 0
        while level < 22 and item.seen + worth(item.key, level + 1) <= now:
            level += 1
        return -level, item.seen + worth(item.key, level)


steps = st.one_of(
    st.tuples(st.just("join"), st.floats(0, 30), st.sampled_from([0.5, 1.0, 7.0, math.inf])),
    st.tuples(st.sampled_from(["poll", "leave"]), st.floats(0, 3), st.integers(0, 20)),
)


@pytest.mark.behaviour("B23")
@given(script=st.lists(steps, max_size=60))
@MANY
def test_whatever_comes_and_goes_the_head_is_found_that_is_worth_most(script: list[tuple[str, float, float]]) -> None:
    told, model = lines(), Model()
    there, now = list[Item](), 100.0
    for what, number, other in script:
        if what == "join":
            item = Item(now - number, other)
            there.append(item)
            told.join(item, now)
            model.join(item)
        elif there:
            now += number
            if what == "poll":
                gone = told.most_worth(now)
                assert model.standing(gone, now) == model.most_worth(now)
            else:
                gone = there[int(other) % len(there)]
            told.leave(gone)
            model.leave(gone)
            there.remove(gone)
            assert gone.line is None


@pytest.mark.behaviour("B23")
def test_a_line_that_others_join_goes_up_when_it_is_worth_more_than_was_believed() -> None:
    scale = {1.0: 1000.0, 2.0: 2.0}
    told: Told = Lines(lambda item: item.key, lambda key, level: scale[key] * (level + 1))
    _, other = joined(told, 8.0, (0.0, 1.0), (0.0, 2.0))
    scale[1.0] = 1.0
    assert told.most_worth(8.0) is other
    joined(told, 8.0, (7.0, 1.0))
    assert told.most_worth(8.0) is not other


@pytest.mark.behaviour("B23")
def test_what_is_worth_less_than_was_believed_goes_down_at_once_and_what_is_worth_more_when_its_doubling_comes() -> (
    None
):
    scale = {1.0: 1.0, 2.0: 2.0}
    told: Told = Lines(lambda item: item.key, lambda key, level: scale[key] * (level + 1))
    one, other = joined(told, 8.0, (0.0, 1.0), (0.0, 2.0))
    assert told.most_worth(8.0) is one
    scale[1.0] = 4.0
    assert told.most_worth(8.0) is other
    scale[1.0] = 0.5
    assert told.most_worth(11.9) is other
    assert told.most_worth(12.0) is one  # its worth was to double then


@pytest.mark.behaviour("B24")
def test_few_lines_are_looked_at_for_one_turn_however_many_there_are() -> None:
    asked = 0

    def counted(key: float, level: int) -> float:
        nonlocal asked
        asked += 1
        return key * level

    told: Told = Lines(lambda item: item.key, counted)
    joined(told, 0.0, *[(0.0, 1.0 + number / 1e6) for number in range(5000)])
    before = asked
    told.most_worth(3.5)
    assert asked - before <= 4 * 8 + 1


def test_one_that_is_worth_more_than_any_level_tells_is_not_looked_at_again() -> None:
    asked: list[int] = []

    def noted(key: float, level: int) -> float:
        asked.append(level)
        return worth(key, level)

    told: Told = Lines(lambda item: item.key, noted)
    joined(told, 1e9, (0.0, 1.0))
    asked.clear()
    told.most_worth(2e9)
    assert asked == [22]


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("key", [1.0, 1e6], ids=["worth its price", "not yet worth it"])
def test_one_line_after_the_other_is_asked_about_once_for_each_that_leaves(key: float) -> None:
    asked = 0

    def counted(key: float, level: int) -> float:
        nonlocal asked
        asked += 1
        return worth(key, level)

    told: Told = Lines(lambda item: item.key, counted)
    items = joined(told, 10.0, *[(8.5 + number / 1000, key) for number in range(100)])
    asked = 0
    assert drained(told, 10.0, items) == list(range(100))
    assert asked == 100


@pytest.mark.behaviour("B24")
def test_lines_that_come_and_go_below_one_that_stays_cost_no_memory() -> None:
    told = lines()
    joined(told, 1000.0, (0.0, 1.0))
    for number in range(5000):
        (item,) = joined(told, 1000.0, (999.0 - number % 900, 1e3 + number))
        told.leave(item)
    assert sum(map(len, told._levels)) < 100
    assert len(told._lines) == 1


def test_who_has_left_is_not_kept() -> None:
    told = lines()
    gone = [weakref.ref(item) for item in joined(told, 10.0, (0.0, 1.0), (1.0, 1.0), (0.0, 5.0))]
    for ref in gone:
        item = ref()
        assert item is not None
        told.leave(item)
    del item
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert not any(told._levels)


@pytest.mark.behaviour("B23")
def test_those_that_are_left_when_places_are_swept_stay_in_order() -> None:
    dice, told, there = random.Random(1), lines(), list[Item]()
    for number in range(2_000):
        there += joined(
            told, 0.0, (-100 * dice.random(), 1e3 + number / 1e6)
        )  # each a line of its own, on the lowest level
        if len(there) > 10:
            told.leave(there.pop(dice.randrange(len(there))))
        if number % 50 == 0:
            assert told.most_worth(0.0) is min(there, key=lambda item: item.seen + item.key)
