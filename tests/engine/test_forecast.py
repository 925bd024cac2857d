"""When to look by what is known: nothing, an expectation, or a history; and that histories are saved and loaded whole."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.forecast import PLAIN, Forecast, History, Kind, around, price_of
from lro_poller.engine.outlook import AGES, Outlook

MANY = settings(max_examples=150, deadline=None, derandomize=True)


def looks(forecast: Forecast, count: int, *, granted: bool = False) -> list[float]:
    ages = [0.0]
    for _ in range(count):
        ages.append(forecast.next_look(ages[-1], granted=granted))
    return ages[1:]


@dataclass(eq=False)
class Running:
    """An operation as it is followed."""

    began: float
    seen: float


def end(kind: Kind, seconds: float, now: float) -> None:
    """One that took so long is found done."""
    operation = Running(now - seconds, now - seconds)
    kind.follow(operation)
    operation.seen = now
    kind.end(operation, now)


def learned(*durations: float, times: int = 1) -> History:
    history = History()
    for duration in durations * times:
        history.add("kind", duration)
    return history


def test_where_nothing_is_known_looks_are_ever_further_apart() -> None:
    ages = looks(PLAIN, 25)
    gaps = [after - before for before, after in itertools.pairwise(ages)]
    assert 2.0 < ages[0] < 8.0
    assert ages[-1] > 60.0
    assert all(after > before * 0.85 for before, after in itertools.pairwise(gaps))
    assert all(gap < 2.1 * age for gap, age in zip(gaps, ages, strict=False))


@pytest.mark.parametrize("forecast", [PLAIN, around(600.0), learned(30.0, 40.0, 60.0, times=20).kind("kind")])
def test_where_polls_were_granted_there_are_more_of_them(forecast: Forecast) -> None:
    usual, granted = (sum(age < 3000 for age in looks(forecast, 400, granted=granted)) for granted in (False, True))
    assert 1.6 * usual < granted < 3.3 * usual  # looks are as dense as the root of what one costs, an eighth


def test_a_look_is_worth_more_lateness_when_one_has_waited_for_long() -> None:
    assert price_of(0.0) == 0.5
    assert [price_of(age) for age in (1.0, 60.0, 3600.0)] == sorted(price_of(age) for age in (1.0, 60.0, 3600.0))
    assert price_of(100.0, 1.5) == pytest.approx(3 * price_of(100.0))


@pytest.mark.parametrize("expected", [8.0, 64.0, 1_000.0])
def test_looks_stand_close_around_what_is_expected(expected: float) -> None:
    ages = looks(around(expected), 200)
    gaps = dict(itertools.pairwise(ages))
    near = [gap - age for age, gap in gaps.items() if 0.8 * expected < age < 1.2 * expected]
    assert near
    assert max(near) < 0.35 * expected
    assert ages[0] > 0.1 * expected
    assert len([age for age in ages if age < 3 * expected]) < 40


@pytest.mark.parametrize("expected", [0.0, 1e-300, 0.01, 1e300])
def test_an_expectation_out_of_range_is_one_at_its_end(expected: float) -> None:
    forecast = around(expected)
    assert 0 < forecast.next_look(0.0) < math.inf


@given(expected=st.floats(0.05, 1e6), age=st.floats(0, 1e7), level=st.integers(0, 23))
@MANY
def test_whatever_is_expected_there_is_a_look_ahead(expected: float, age: float, level: int) -> None:
    for forecast in (PLAIN, around(expected)):
        assert age < forecast.next_look(age) < math.inf
        assert forecast.when_worth(age, level) > age
        assert forecast.when_worth(age, level + 1) >= forecast.when_worth(age, level)


def test_a_kind_of_which_nothing_is_known_is_plain() -> None:
    kind = History().kind("kind")
    assert looks(kind, 5) == looks(PLAIN, 5)
    assert kind.when_worth(3.0, 2) == PLAIN.when_worth(3.0, 2)


def test_a_kind_is_looked_at_when_its_operations_have_ended() -> None:
    kind = learned(100.0, times=60).kind("kind")
    ages = looks(kind, 30)
    assert any(95.0 < age < 106.0 for age in ages)
    assert len([age for age in ages if age < 90.0]) <= 8
    assert kind.when_worth(0.0, 0) < math.inf


def test_kinds_are_told_apart() -> None:
    history = History()
    for _ in range(50):
        history.add("short", 2.0)
        history.add("long", 200.0)
    assert len(history) == 2
    assert history.kind("short").next_look(0.0) < 3.0
    assert history.kind("long").next_look(0.0) > 10.0


@pytest.mark.parametrize("forecast", [PLAIN, around(600.0), learned(30.0, 40.0, 60.0, times=20).kind("kind")])
def test_worth_rises_with_age_and_is_never_met_before_the_look(forecast: Forecast) -> None:
    for seen in (0.0, 0.3, 17.0, 100.0, 5000.0, 1e7):
        ages = [forecast.when_worth(seen, level) for level in range(12)]
        assert seen < ages[0]
        assert ages == sorted(ages)


@pytest.mark.parametrize("place", [0, 1, 60, 120, 150])
@pytest.mark.parametrize("level", [0, 3])
def test_worth_is_told_for_the_age_below(place: int, level: int) -> None:
    forecast = around(64.0)
    seen = AGES[place]
    outlook = Outlook([0.9 / (1 + (age / 64) ** 6) + 0.1 / (1 + age / 64) for age in AGES], lambda age: 1.0)
    price = 2.0 ** round(math.log2(price_of(64.0) / 64)) * 64
    when = forecast.when_worth(seen, level)
    assert outlook.worth(seen, when) == pytest.approx(price * 2**level, rel=1e-6)
    between = (AGES[place] + AGES[place + 1]) / 2
    assert forecast.when_worth(between, level) - between == pytest.approx(when - seen)


def test_a_plan_is_made_anew_when_a_tenth_is_new_and_not_too_often() -> None:
    kind = Kind()
    for _ in range(40):
        kind.add(50.0)
    plan = kind._plan()
    for _ in range(4):
        end(kind, 50.0, 100.0)
    assert kind._plan() is plan  # too few are new
    end(kind, 50.0, 100.0)
    following = kind._plan()
    assert following is not plan
    for _ in range(50):
        end(kind, 50.0, 100.9)
    assert kind._plan() is following  # too soon
    end(kind, 50.0, 101.1)
    assert kind._plan() is not following


def test_durations_that_are_added_count_at_once() -> None:
    history = learned(500.0, times=50)
    kind = history.kind("kind")
    assert kind.next_look(0.0) > 50.0
    for _ in range(200):
        history.add("kind", 2.0)
    assert kind.next_look(0.0) < 5.0


def test_thirty_two_new_ones_always_suffice() -> None:
    kind = Kind()
    for _ in range(1_000):
        kind.add(50.0)
    plan = kind._plan()
    for _ in range(31):
        end(kind, 50.0, 10.0)
    assert kind._plan() is plan
    end(kind, 50.0, 10.0)
    assert kind._plan() is not plan


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, "5", None, True])
def test_what_is_no_duration_is_refused(seconds: Any) -> None:
    history = History()
    with pytest.raises(ValueError, match="a duration is a finite number of seconds"):
        history.add("kind", seconds)
    assert len(history) == 0


@pytest.mark.behaviour("B24")
def test_of_more_kinds_than_are_kept_the_least_recently_used_goes() -> None:
    history = History()
    first = history.kind("0")
    for number in range(1, 256):
        history.kind(str(number))
    assert history.kind("0") is first
    history.kind("one more")
    assert len(history) == 256
    assert history.kind("0") is first
    history.add("2", 5.0)
    for number in range(300):
        history.kind(f"new {number}")
    assert len(history) == 256
    assert history.kind("0") is not first


# Saving and loading.


durations = st.lists(st.floats(0, 1e7), min_size=1, max_size=20)


@given(kinds=st.dictionaries(st.text(max_size=20), durations, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_is_saved_is_loaded(kinds: dict[str, list[float]]) -> None:
    history, again = History(), History()
    for key, seconds in kinds.items():
        for duration in seconds:
            history.add(key, duration)
    again.load(history.save())
    assert again.save() == history.save()
    assert len(again) == len(kinds)
    for key in kinds:
        saved, loaded = history.kind(key).durations, again.kind(key).durations
        assert (loaded.intervals(), loaded.seen) == (saved.intervals(), saved.seen)


def test_what_is_saved_is_one_line_and_takes_bytes_back() -> None:
    history, again = learned(5.0, 7.0, times=300), History()
    history.kind("of which nothing is known")
    operation = Running(0.0, 0.0)
    history.kind("kind").follow(operation)
    operation.seen = 10.0
    history.kind("kind").lose(operation, 12.0)
    text = history.save()
    assert "\n" not in text
    again.load(text.encode())
    kind = again.kind("kind").durations
    assert (len(again), kind.seen, len(kind.intervals())) == (1, 601, 601)
    assert kind.intervals()[-1][1] == len(AGES) - 1
    assert any(4.5 < age < 8.0 for age in looks(again.kind("kind"), 10))


def test_loading_takes_the_place_of_what_is_known_of_the_same_kinds() -> None:
    history = learned(500.0, times=50)
    history.add("other", 3.0)
    history.load(learned(2.0, times=50).save())
    assert history.kind("kind").next_look(0.0) < 3.0
    assert (len(history), history.kind("kind").durations.seen, history.kind("other").durations.seen) == (2, 50, 1)


def saved(**changes: Any) -> str:
    return json.dumps({"lro_poller_durations": 1, "kinds": {"kind": {"intervals": [[1, 2]], "seen": 1}}} | changes)


def kind_of(**changes: Any) -> dict[str, Any]:
    return {"kinds": {"fine": {"intervals": [[1, 2]], "seen": 1}, "kind": {"intervals": [[1, 2]], "seen": 1} | changes}}


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        "[]",
        "[" * 100_000,
        b"\xff",
        "\ud800",
        None,
        5,
        saved()[:-1],
        saved(lro_poller_durations=2),
        saved(lro_poller_durations="1"),
        saved(lro_poller_durations=None),
        saved(kinds=[]),
        saved(added_later=1),
        saved(**kind_of(intervals=[[2, 1]])),
        saved(**kind_of(intervals=[[-1, 1]])),
        saved(**kind_of(intervals=[[1, -1]])),
        saved(**kind_of(intervals=[[1]])),
        saved(**kind_of(intervals=[[1, 2, 3]])),
        saved(**kind_of(intervals=[["1", 2]])),
        saved(**kind_of(intervals=[[None, 2]])),
        saved(**kind_of(seen="1")),
        saved(**kind_of(seen=None)),
        saved(**kind_of(added_later=1)),
        saved(kinds={str(number): {"intervals": [], "seen": 0} for number in range(257)}),
        saved().replace("[[1, 2]]", "[[1e999, 2]]"),
        saved().replace("[[1, 2]]", "[[NaN, 2]]"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_taken_up(text: Any) -> None:
    history = learned(5.0)
    before = history.save()
    with pytest.raises(ValueError, match=r"durations (that were )?saved|durations of 257 kinds") as caught:
        history.load(text)
    assert "SECRET" not in str(caught.value)
    assert (history.save(), len(history)) == (before, 1)


@pytest.mark.parametrize("seen", [-5, 0, 2**53, 2**62])
def test_a_count_that_makes_no_sense_is_refused(seen: int) -> None:
    history = History()
    for intervals in ([[1, 2], [3, None]], []):
        if (seen, intervals) != (0, []):
            with pytest.raises(ValueError, match="their number is out of range"):
                history.load(saved(kinds={"kind": {"intervals": intervals, "seen": seen}}))
    assert len(history) == 0


def test_loading_keeps_no_more_kinds_than_there_may_be() -> None:
    history = History()
    for number in range(200):
        history.add(f"old {number}", 1.0)
    history.load(saved(kinds={str(number): {"intervals": [[1, 2]], "seen": 1} for number in range(200)}))
    assert len(history) == 256
    assert all(history.kind(str(number)).durations.seen == 1 for number in range(200))
