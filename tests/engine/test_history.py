"""What was learned by kind: when it is planned anew, which kinds are kept, and that all of it is saved and loaded whole."""

from __future__ import annotations

import gc
import itertools
import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.forecast import PLAIN, Forecast
from lro_poller.engine.history import History, Kind
from lro_poller.engine.outlook import AGES


def looks(forecast: Forecast, count: int) -> list[float]:
    ages = [0.0]
    for _ in range(count):
        ages.append(forecast.next_look(ages[-1]))
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
        history.add("svc", "kind", duration)
    return history


def test_a_kind_of_which_nothing_is_known_is_plain() -> None:
    kind = History()._kind("svc kind")
    assert looks(kind, 5) == looks(PLAIN, 5)
    assert kind.worth_after(kind.place(3.0), 2) == PLAIN.worth_after(PLAIN.place(3.0), 2)


def test_a_kind_is_looked_at_when_its_operations_have_ended() -> None:
    kind = learned(100.0, times=60)._kind("svc kind")
    ages = looks(kind, 30)
    assert any(95.0 < age < 106.0 for age in ages)
    assert len([age for age in ages if age < 90.0]) <= 8
    assert kind.worth_after(0, 0) < math.inf


def test_kinds_are_told_apart() -> None:
    history = History()
    for _ in range(50):
        history.add("svc", "short", 2.0)
        history.add("svc", "long", 200.0)
    assert len(history) == 2
    assert history._kind("svc short").next_look(0.0) < 3.0
    assert history._kind("svc long").next_look(0.0) > 10.0


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
    latest = kind._plan()
    assert latest is not following
    for _ in range(5):
        end(kind, 50.0, 200.0)
    assert kind._plan() is latest  # what was new before is new no more


@pytest.mark.parametrize("seconds, apart", [(5.0, 1.0), (350.0, 5.4), (5_000.0, 10.0)])
def test_the_longer_they_take_the_more_seldom_a_plan_is_made_anew(seconds: float, apart: float) -> None:
    kind = learned(seconds, times=40)._kind("svc kind")
    kind._plan()
    for _ in range(50):
        end(kind, seconds, 1e6)
    plan, early, late = kind._plan(), 1e6 + 0.9 * apart, 1e6 + 1.1 * apart
    for _ in range(50):
        end(kind, seconds, early)
    assert kind._plan() is plan
    end(kind, seconds, late)
    assert kind._plan() is not plan


def plans_made(kinds: list[Kind], steps: int, apart: float) -> list[tuple[int, float]]:
    """Whose plan was made anew, and when, while one after another learns enough of three operations each time."""
    for kind in kinds:
        kind.add(50.0)
    plans = [kind._plan() for kind in kinds]
    made = []
    for step in range(steps):
        now = 100.0 + step * apart
        for _ in range(3):
            end(kinds[step % len(kinds)], 50.0, now)
        for number, kind in enumerate(kinds):
            if kind._plan() is not plans[number]:
                plans[number] = kind._plan()
                made.append((number, now))
    return made


@pytest.mark.behaviour("B24")
@pytest.mark.parametrize("count", [100, 300])  # and more than are kept
def test_however_many_kinds_there_are_a_plan_is_made_twenty_times_a_second_at_the_most(count: int) -> None:
    history = History()
    made = plans_made([history._kind(str(number)) for number in range(count)], steps=2_000, apart=0.01)
    times = [when for _, when in made]
    assert 16 * 20 < len(made) <= 20 * 20 + 1
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.0499


@pytest.mark.behaviour("B23", "B24")
def test_a_kind_that_has_learned_enough_is_planned_anew_in_its_turn_though_others_ask_more_often() -> None:
    history = History()
    kinds = [history._kind(str(number)) for number in range(3)]
    for kind in kinds:
        kind.add(50.0)
    before = [kind._plan() for kind in kinds]

    def renewed() -> list[int]:
        return [number for number, kind in enumerate(kinds) if kind._plan() is not before[number]]

    end(kinds[0], 50.0, 100.0)
    end(kinds[1], 50.0, 100.01)
    assert renewed() == [0]
    for number in range(30):
        end(kinds[2], 50.0, 100.02 + number / 1000)
    end(kinds[1], 50.0, 100.05 - 1e-6)  # asking again does not cost it its place
    assert renewed() == [0]
    kinds[0].follow(Running(began=50.0, seen=100.051))
    assert renewed() == [0, 1]
    end(kinds[2], 50.0, 100.102)
    assert renewed() == [0, 1, 2]


def test_what_is_loaded_takes_turns_too() -> None:
    history = History()
    history.load(saved(kinds={str(number): {"intervals": [[1, 2]], "seen": 1} for number in range(20)}))
    made = plans_made([history._kind(str(number)) for number in range(20)], steps=20, apart=0.001)
    assert [number for number, _ in made] == [0]


@pytest.mark.behaviour("B23")
def test_a_kind_whose_turn_did_not_come_has_it_when_the_next_operation_is_seen() -> None:
    history = History()
    first, second = history._kind("first"), history._kind("second")
    for kind in (first, second):
        assert looks(kind, 5) == looks(PLAIN, 5)
    for _ in range(50):
        end(first, 200.0, 1000.0)
        end(second, 200.0, 1000.0)
    assert looks(second, 5) == looks(PLAIN, 5)
    second.follow(Running(began=5000.0, seen=5000.2))
    assert looks(second, 1)[0] > 50.0


@pytest.mark.behaviour("B24")
def test_kinds_that_are_forgotten_take_no_turns_and_no_room() -> None:
    def count() -> int:
        gc.collect()
        return sum(isinstance(one, Kind) for one in gc.get_objects())

    history, now, others = History(), 100.0, count()
    for number in range(3_000):
        now += 0.01
        kind = history._kind(f"once {number}")
        kind.next_look(0.0)
        end(kind, 5.0, now)
    assert count() - others <= 257
    kind = history._kind("regular")
    before, began = kind._plan(), now
    while kind._plan() is before:
        now += 0.1
        end(kind, 5.0, now)
    assert now - began < 256 * 0.1 + 1  # behind all that are kept, one in each step


def test_a_kind_that_nobody_asks_for_looks_takes_no_turn() -> None:
    history = History()
    idle, asked = [history._kind(f"with its own backoff {number}") for number in range(100)], history._kind("asked")
    before, now = asked._plan(), 100.0
    for kind in idle:
        end(kind, 50.0, now)
    end(asked, 50.0, now)
    assert asked._plan() is not before


def test_histories_take_no_turns_from_each_other() -> None:
    made = plans_made([History()._kind("svc kind") for _ in range(5)], steps=5, apart=0.001)
    assert [number for number, _ in made] == [0, 1, 2, 3, 4]


def test_durations_that_are_added_count_at_once() -> None:
    history = learned(500.0, times=50)
    kind = history._kind("svc kind")
    assert kind.next_look(0.0) > 50.0
    for _ in range(200):
        history.add("svc", "kind", 2.0)
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
    with pytest.raises(ValueError, match="a duration must be a number of seconds, 0 or more"):
        history.add("svc", "kind", seconds)
    assert len(history) == 0


@pytest.mark.behaviour("B24")
def test_of_more_kinds_than_are_kept_the_least_recently_used_goes() -> None:
    history = History()
    first = history._kind("0")
    for number in range(1, 256):
        history._kind(str(number))
    assert history._kind("0") is first
    history._kind("one more")
    assert len(history) == 256
    assert history._kind("0") is first
    history.add("svc", "2", 5.0)
    for number in range(300):
        history._kind(f"new {number}")
    assert len(history) == 256
    assert history._kind("0") is not first


# Saving and loading.


durations = st.lists(st.floats(0, 1e7), min_size=1, max_size=20)


@given(kinds=st.dictionaries(st.text(max_size=20), durations, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_is_saved_is_loaded(kinds: dict[str, list[float]]) -> None:
    history, again = History(), History()
    for key, seconds in kinds.items():
        for duration in seconds:
            history.add("svc", key, duration)
    again.load(history.save())
    assert again.save() == history.save()
    assert len(again) == len(kinds)
    for key in kinds:
        saved, loaded = history._kind(f"svc {key}").durations, again._kind(f"svc {key}").durations
        assert (loaded.intervals(), loaded.seen) == (saved.intervals(), saved.seen)


def test_what_is_saved_is_one_line_and_takes_bytes_back() -> None:
    history, again = learned(5.0, 7.0, times=300), History()
    history._kind("of which nothing is known")
    operation = Running(0.0, 0.0)
    history._kind("svc kind").follow(operation)
    operation.seen = 10.0
    history._kind("svc kind").lose(operation, 12.0)
    text = history.save()
    assert "\n" not in text
    again.load(text.encode())
    kind = again._kind("svc kind").durations
    assert (len(again), kind.seen, len(kind.intervals())) == (1, 601, 601)
    assert kind.intervals()[-1][1] == len(AGES) - 1
    assert any(4.5 < age < 8.0 for age in looks(again._kind("svc kind"), 10))


def test_loading_takes_the_place_of_what_is_known_of_the_same_kinds() -> None:
    history = learned(500.0, times=50)
    history.add("svc", "other", 3.0)
    history.load(learned(2.0, times=50).save())
    assert history._kind("svc kind").next_look(0.0) < 3.0
    assert (len(history), history._kind("svc kind").durations.seen, history._kind("svc other").durations.seen) == (
        2,
        50,
        1,
    )


def saved(**changes: Any) -> str:
    return json.dumps({"lro_poller_durations": 1, "kinds": {"svc kind": {"intervals": [[1, 2]], "seen": 1}}} | changes)


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
        history.add("old", str(number), 1.0)
    history.load(saved(kinds={str(number): {"intervals": [[1, 2]], "seen": 1} for number in range(200)}))
    assert len(history) == 256
    assert all(history._kind(str(number)).durations.seen == 1 for number in range(200))


def test_the_repr_tells_how_many_kinds_there_are() -> None:
    history = History()
    history.add("svc", "Kind", 3.0)
    assert repr(history) == "<History of 1 kind>"
