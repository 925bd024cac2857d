"""When to look: the plan against brute force and against what is known in closed form."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.outlook import AGES, BINS_AN_OCTAVE, Outlook, interpolate

FEW = settings(max_examples=25, deadline=None, derandomize=True)
MANY = settings(max_examples=200, deadline=None, derandomize=True)


def told(survival: Callable[[float], float]) -> list[float]:
    return [survival(age) for age in AGES]


def made(survival: Callable[[float], float], price: float = 0.5) -> Outlook:
    return Outlook(told(survival), lambda age: price)


def exponential(mean: float) -> Callable[[float], float]:
    return lambda age: math.exp(-age / mean)


def log_logistic(median: float, shape: float) -> Callable[[float], float]:
    return lambda age: 1 / (1 + (age / median) ** shape)


def looks(outlook: Outlook, until: float) -> list[float]:
    ages, age = [], 0.0
    while age < until:
        age = outlook.next_look(age)
        ages.append(age)
    return ages


def cost(survival: Callable[[float], float], price: float, ages: Sequence[float], until: float) -> float:
    """What looks at these ages cost of price and expected lateness; the last look is at `until`."""
    total = 0.0
    for start, end in itertools.pairwise([0.0, *ages, until]):
        if end <= start:
            continue
        steps = 200
        width = (end - start) / steps
        area = sum(survival(start + (step + 0.5) * width) for step in range(steps)) * width
        total += price * survival(start) + survival(start) * (end - start) - area
    return total


SHAPES: dict[str, Callable[[float], float]] = {
    "exponential": exponential(20.0),
    "log-logistic": log_logistic(30.0, 2.0),
    "steep": log_logistic(30.0, 12.0),
    "two kinds": lambda age: 0.5 * log_logistic(3.0, 10.0)(age) + 0.5 * log_logistic(60.0, 10.0)(age),
}


def test_the_ages_are_told_by_twelfths_of_an_octave() -> None:
    assert (AGES[0], AGES[1], len(AGES)) == (0.0, 0.05, 302)
    assert AGES[1 + BINS_AN_OCTAVE] == pytest.approx(0.1)
    assert AGES[-1] > 18 * 86_400


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("price", [0.2, 1.0])
def test_the_plan_costs_no_more_than_the_best_that_brute_force_finds(shape: str, price: float) -> None:
    survival, until = SHAPES[shape], 200.0
    grid = [0.5 * step for step in range(401)]
    areas = list(itertools.accumulate((0.5 * survival(age + 0.25) for age in grid[:-1]), initial=0.0))
    least = [0.0] * len(grid)
    for at in range(len(grid) - 2, -1, -1):
        share = survival(grid[at])
        least[at] = min(
            price * share + share * (grid[to] - grid[at]) - (areas[to] - areas[at]) + least[to]
            for to in range(at + 1, len(grid))
        )
    planned = [age for age in looks(made(survival, price), until) if age < until]
    assert cost(survival, price, planned, until) <= least[0] * 1.02


@pytest.mark.parametrize("shape", SHAPES)
def test_no_plan_with_one_look_moved_costs_less(shape: str) -> None:
    survival, until = SHAPES[shape], 100.0
    planned = [age for age in looks(made(survival), until) if age < until]
    best = cost(survival, 0.5, planned, until)
    for number, age in enumerate(planned):
        for factor in (0.9, 1.1):
            moved = sorted([*planned[:number], age * factor, *planned[number + 1 :]])
            assert cost(survival, 0.5, moved, until) >= best * 0.995


@pytest.mark.parametrize("age", [2e4, 1e5, 5e5])
def test_however_few_grow_so_old_those_that_do_are_looked_at_as_often_as_others(age: float) -> None:
    """Under a hazard that hardly changes looks stand as far apart as the square root of twice the price by it."""
    survival = log_logistic(30.0, 1.0)
    hazard = 1 - survival(age + 1) / survival(age)
    apart = math.sqrt(2 * 20.0 / hazard)
    assert 0.5 * apart < made(survival, price=20.0).next_look(age) - age < 1.8 * apart


@pytest.mark.parametrize("duration", [AGES[60], AGES[110], AGES[170], AGES[240]])
def test_what_always_takes_equally_long_is_looked_at_when_it_ends(duration: float) -> None:
    outlook = made(lambda age: float(age < duration), price=0.5)
    first = outlook.next_look(0.0)
    width = duration * (2 ** (1 / BINS_AN_OCTAVE) - 1)
    assert duration - width <= first <= duration * 1.001
    if width < 0.5:  # else a look within the bin may be worth its price
        assert first == pytest.approx(duration)


@pytest.mark.parametrize("mean", [4.0, 20.0, 300.0])
@pytest.mark.parametrize("price", [0.1, 0.5, 2.0])
def test_a_hazard_that_stays_is_looked_at_at_even_intervals(mean: float, price: float) -> None:
    """With x = hazard times interval, the best interval has price = (e^x - 1 - x) / hazard."""
    low, high = 0.0, 50.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.exp(middle) - 1 - middle < price / mean else (low, middle)
    interval = low * mean
    gaps = [after - before for before, after in itertools.pairwise(looks(made(exponential(mean), price), 3 * mean))]
    assert sum(gaps) / len(gaps) == pytest.approx(interval, rel=0.1)
    assert max(gaps) < 1.7 * interval


@pytest.mark.parametrize("seen", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("later", [1.0, 3.0, 20.0])
def test_worth_is_the_price_at_which_a_moment_is_the_best(seen: float, later: float) -> None:
    x = later / 20.0
    known = (math.exp(x) - 1 - x) * 20.0
    assert made(exponential(20.0)).worth(seen, seen + later) == pytest.approx(known, rel=0.06, abs=0.01)


ages = st.floats(0, 1e6) | st.sampled_from(list(AGES[::7]))


@pytest.mark.parametrize("shape", SHAPES)
@given(seen=st.floats(0, 1_000), levels=st.integers(-3, 12))
@MANY
def test_when_worth_is_the_inverse_of_worth(shape: str, seen: float, levels: int) -> None:
    outlook = PLANS[shape]
    value = 0.5 * 2.0**levels
    age = outlook.when_worth(seen, value)
    if age < math.inf:
        assert age > seen
        assert outlook.worth(seen, age) == pytest.approx(value, rel=1e-4, abs=1e-6)
    else:
        assert outlook.worth(seen, AGES[-1]) < value


PLANS = {shape: made(survival) for shape, survival in SHAPES.items()}


@pytest.mark.parametrize("shape", SHAPES)
@given(seen=ages, later=st.lists(st.floats(0, 1e5), min_size=2, max_size=2))
@MANY
def test_worth_starts_at_nothing_and_grows(shape: str, seen: float, later: list[float]) -> None:
    outlook = PLANS[shape]
    sooner, after = sorted(later)
    small = 1e-6 * (1 + seen)
    assert outlook.worth(seen, seen) == pytest.approx(0.0, abs=small)
    assert outlook.worth(seen, seen + after) >= outlook.worth(seen, seen + sooner) - small


@pytest.mark.parametrize("shape", SHAPES)
@given(age=ages, step=st.floats(0, 100))
@MANY
def test_the_next_look_lies_ahead_and_never_goes_back(shape: str, age: float, step: float) -> None:
    outlook = PLANS[shape]
    assert outlook.next_look(age) > age
    assert outlook.next_look(age + step) >= outlook.next_look(age) * (1 - 1e-12)


@given(drops=st.lists(st.floats(0, 1), min_size=len(AGES) - 1, max_size=len(AGES) - 1), price=st.floats(0.05, 50))
@FEW
def test_any_survival_that_falls_has_looks_ahead(drops: list[float], price: float) -> None:
    whole = sum(drops) or 1.0
    survival = [1 - gone / whole for gone in itertools.accumulate(drops, initial=0.0)]
    outlook = Outlook([max(share, 0.0) for share in survival], lambda age: price)
    for age in [*AGES, AGES[-1] * 10]:
        assert age < outlook.next_look(age) < math.inf
        assert age < outlook.when_worth(age, price)


def test_a_higher_price_means_fewer_looks() -> None:
    counts = [len(looks(made(log_logistic(30.0, 2.0), price), 600.0)) for price in (0.1, 0.5, 2.0, 10.0)]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4


def test_beyond_the_last_age_all_goes_on_as_there() -> None:
    outlook = made(exponential(30.0))
    beyond = 3 * AGES[-1]
    step = outlook.next_look(AGES[-1]) - AGES[-1]
    assert outlook.next_look(beyond) == pytest.approx(beyond + step)
    assert outlook.when_worth(beyond, 1.0) == math.inf
    assert interpolate([1.0] * (len(AGES) - 1) + [0.25], beyond) == 0.25


@pytest.mark.parametrize("position", [0, 1, 50, len(AGES) - 2])
def test_between_two_ages_values_lie_on_a_line(position: int) -> None:
    values = [float(number**2) for number in range(len(AGES))]
    middle = (AGES[position] + AGES[position + 1]) / 2
    assert interpolate(values, AGES[position]) == values[position]
    assert interpolate(values, middle) == pytest.approx((values[position] + values[position + 1]) / 2)
