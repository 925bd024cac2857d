"""When to look by what is known: nothing, an expectation, or how many outlive each age."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.forecast import PLAIN, Forecast, around, by_survival, price_of
from lro_poller.engine.outlook import AGES, Outlook

MANY = settings(max_examples=150, deadline=None, derandomize=True)
KNOWN = by_survival([1 / (1 + (age / 100) ** 2) for age in AGES])


def looks(forecast: Forecast, count: int, *, granted: bool = False) -> list[float]:
    ages = [0.0]
    for _ in range(count):
        ages.append(forecast.next_look(ages[-1], granted=granted))
    return ages[1:]


def test_where_nothing_is_known_looks_are_ever_further_apart() -> None:
    ages = looks(PLAIN, 25)
    gaps = [after - before for before, after in itertools.pairwise(ages)]
    assert 2.0 < ages[0] < 8.0
    assert ages[-1] > 60.0
    assert all(after > before * 0.85 for before, after in itertools.pairwise(gaps))
    assert all(gap < 2.1 * age for gap, age in zip(gaps, ages, strict=False))


@pytest.mark.parametrize("forecast", [PLAIN, around(600.0), KNOWN])
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
    for forecast in (PLAIN, around(expected), KNOWN):
        assert age < forecast.next_look(age) < math.inf
        place = forecast.place(age)
        assert forecast.worth_after(place, level + 1) >= forecast.worth_after(place, level) > 0


@pytest.mark.parametrize("forecast", [PLAIN, around(600.0), KNOWN])
def test_worth_rises_with_age_and_is_never_met_before_the_look(forecast: Forecast) -> None:
    for seen in (0.0, 0.3, 17.0, 100.0, 5000.0, 1e7):
        waits = [forecast.worth_after(forecast.place(seen), level) for level in range(12)]
        assert waits[0] > 0
        assert waits == sorted(waits)


@pytest.mark.parametrize("expected", [64.0, 4096.0])
@pytest.mark.parametrize("place", [0, 1, 60, 120, 150])
@pytest.mark.parametrize("level", [0, 3])
def test_worth_is_told_for_the_age_below(expected: float, place: int, level: int) -> None:
    forecast, scale = around(expected), expected / 64
    seen = AGES[place]
    outlook = Outlook([0.9 / (1 + (age / 64) ** 6) + 0.1 / (1 + age / 64) for age in AGES], lambda age: 1.0)
    price = 2.0 ** round(math.log2(price_of(expected) / expected)) * 64
    after = forecast.worth_after(place, level) / scale
    assert outlook.worth(seen, seen + after) == pytest.approx(price * 2**level, rel=1e-6)
    between = (AGES[place] + AGES[place + 1]) / 2
    assert forecast.place(scale * seen) == forecast.place(scale * between) == place


def test_however_many_expectations_there_are_they_have_few_forecasts() -> None:
    forecasts = {around(1.001**number) for number in range(10_000)}
    assert len(forecasts) < 650
    assert around(64.0) is around(64.8) is not around(65.0)
