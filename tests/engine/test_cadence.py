"""When a running operation is looked at again: the waits of `backoff`, of broken generators and of forecasts; jitter."""

from __future__ import annotations

import functools
import itertools
import math
import random
import statistics
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import backoff
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.cadence import BackoffWaits, check_backoff, jittered
from lro_poller.engine.forecast import PLAIN, around, wait_by
from lro_poller.engine.history import Kind
from lro_poller.errors import BackoffError
from lro_poller.operation import Operation

NAME = "operations/abc"
CONSTANT: Any = backoff.constant
RUNNING = Operation(NAME, False, None, b"{}")
MANY = settings(max_examples=300, deadline=None, derandomize=True)


@dataclass(eq=False)
class Running:
    """An operation as it is followed."""

    began: float
    seen: float


def made(factory: Any) -> BackoffWaits:
    return BackoffWaits(factory)


def waits(cadence: BackoffWaits, count: int) -> list[float]:
    return [cadence.wait(attempt, RUNNING) for attempt in range(1, count + 1)]


def giving(*values: Any) -> Callable[[], Generator[Any, Any, None]]:
    """A generator function in the manner of `backoff`: the first value is thrown away."""

    def generate() -> Generator[Any, Any, None]:
        yield
        for value in values:  # noqa: UP028 - `yield from` would pass what is sent on to the tuple
            yield value

    return generate


def with_percent(percent: int) -> Operation:
    return Operation.from_json(NAME, b'{"metadata": {"percent": %d}}' % percent)


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize(
    "factory, expected",
    [
        (backoff.expo, [1, 2, 4, 8, 16, 32]),
        (functools.partial(backoff.expo, base=3, factor=0.5, max_value=10), [0.5, 1.5, 4.5, 10, 10, 10]),
        (backoff.fibo, [1, 1, 2, 3, 5, 8]),
        (functools.partial(backoff.fibo, max_value=4), [1, 1, 2, 3, 4, 4]),
        (backoff.constant, [1, 1, 1, 1, 1, 1]),
        (functools.partial(backoff.constant, interval=[2.5]), [2.5] * 6),
        (functools.partial(backoff.constant, interval=[3, 1, 2]), [3, 1, 2, 2, 2, 2]),
        (functools.partial(backoff.constant, interval=0), [0] * 6),
        (functools.partial(backoff.runtime, value=lambda operation: len(operation.name)), [14] * 6),
        (giving(5), [5] * 6),
        (giving(5, 0, 1e9), [5, 0, 1e9, 1e9, 1e9, 1e9]),
    ],
)
def test_the_waits_are_those_of_the_generator(factory: Any, expected: list[float]) -> None:
    assert waits(made(factory), 6) == expected


@pytest.mark.behaviour("B13")
def test_a_generator_that_ends_keeps_its_last_wait_for_ever() -> None:
    cadence = made(giving(1, 7))
    assert waits(cadence, 50)[-40:] == [7.0] * 40


@pytest.mark.behaviour("B13")
def test_runtime_sees_each_running_operation() -> None:
    cadence = made(functools.partial(backoff.runtime, value=lambda operation: 100 - operation.metadata["percent"]))
    seen = [cadence.wait(attempt, with_percent(10 * attempt)) for attempt in (1, 2, 3)]
    assert seen == [90, 80, 70]


@pytest.mark.behaviour("B13")
def test_each_operation_has_a_generator_of_its_own() -> None:
    first, second = made(backoff.expo), made(backoff.expo)
    assert waits(first, 4) == [1, 2, 4, 8]
    assert waits(second, 2) == [1, 2]
    assert first.wait(5, RUNNING) == 16


@pytest.mark.behaviour("B13")
def test_a_generator_is_not_made_before_its_first_wait() -> None:
    made_by_now: list[str] = []

    def factory() -> Generator[Any, Any, None]:
        made_by_now.append("one")
        return giving(1)()

    cadence = made(factory)
    assert made_by_now == []
    waits(cadence, 3)
    assert made_by_now == ["one"]


@pytest.mark.behaviour("B11", "B13")
def test_after_a_resumption_the_waits_go_on_where_they_stood() -> None:
    cadence = made(backoff.expo)
    assert cadence.wait(5, RUNNING) == 16
    assert cadence.wait(6, RUNNING) == 32


@pytest.mark.behaviour("B13")
def test_whatever_makes_seconds_will_do_and_the_first_of_them_is_the_first_wait() -> None:
    """Those of `backoff` give None first, before they are sent anything."""

    def own() -> Iterator[float]:
        yield 0.5
        while True:
            yield 7

    assert waits(made(own), 3) == [0.5, 7, 7]
    assert waits(made(lambda: iter([1, 2])), 4) == [1, 2, 2, 2]
    assert waits(made(lambda: iter([None, 3])), 2) == [3, 3]


def test_asking_twice_for_one_attempt_gives_the_same_wait() -> None:
    cadence = made(backoff.expo)
    assert [cadence.wait(3, RUNNING), cadence.wait(3, RUNNING), cadence.wait(4, RUNNING)] == [4, 4, 8]


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize(
    "value",
    [
        None,
        math.nan,
        math.inf,
        -math.inf,
        -1,
        -1e-9,
        True,
        False,
        "5",
        "soon",
        b"5",
        [5],
        (5,),
        5j,
        Decimal(5),
        Fraction(5),
        object,
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_wait_that_is_no_number_of_seconds_is_an_error_that_names_the_operation(before: int, value: Any) -> None:
    cadence = made(giving(*[1] * before, value))
    assert waits(cadence, before) == [1] * before
    with pytest.raises(BackoffError, match=r"gave .*; a wait is a finite number of seconds, 0 or more$") as caught:
        cadence.wait(before + 1, RUNNING)
    assert caught.value.name == NAME
    assert str(caught.value).startswith(f"{NAME}: ")


@pytest.mark.parametrize("value, told", [(-1, "-1"), (-0.5, "-0.5"), (None, "None"), (True, "a value of type bool")])
def test_of_a_wait_that_is_none_numbers_are_told(value: Any, told: str) -> None:
    with pytest.raises(BackoffError, match=f"gave {told};"):
        made(giving(value)).wait(1, RUNNING)


def test_a_wait_that_python_refuses_to_write_out_is_told_by_its_type() -> None:
    with pytest.raises(BackoffError, match="gave a value of type int;"):
        made(giving(10**5000)).wait(1, RUNNING)


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize(
    "factory, reason, cause",
    [
        (giving(), "ended without giving a single wait", None),
        (lambda: iter(()), "ended without giving a single wait", None),
        (lambda: (1 / 0 for _ in range(3)), "raised ZeroDivisionError", ZeroDivisionError),
        (lambda: 5, "is no iterator, but of type int", TypeError),
        (lambda: [5], "is no iterator, but of type list", TypeError),
        (lambda: None, "raised TypeError", TypeError),
        (lambda needed: needed, "raised TypeError", TypeError),
        (lambda: CONSTANT(nonsense=1), "raised TypeError", TypeError),
        (functools.partial(backoff.runtime, value=lambda operation: operation.missing), "raised Attr", AttributeError),
    ],
)
def test_a_generator_that_fails_is_an_error_that_names_the_operation(
    factory: Any, reason: str, cause: type[Exception] | None
) -> None:
    with pytest.raises(BackoffError) as caught:
        made(factory).wait(1, RUNNING)
    assert caught.value.name == NAME
    assert caught.value.reason.startswith(reason)
    assert type(caught.value.__cause__) is (cause or type(None))


@pytest.mark.behaviour("B13")
def test_a_generator_may_fail_after_good_waits() -> None:
    cadence = made(lambda: (None if n == 0 else 6 / (3 - n) for n in itertools.count()))
    assert waits(cadence, 2) == [3, 6]
    with pytest.raises(BackoffError, match="raised ZeroDivisionError"):
        cadence.wait(3, RUNNING)


@pytest.mark.behaviour("B13", "B19")
def test_a_whole_number_too_large_for_a_wait_is_an_error_that_names_the_operation() -> None:
    with pytest.raises(BackoffError):
        made(giving(10**400)).wait(1, RUNNING)


@pytest.mark.behaviour("B13", "B19")
def test_a_wait_that_cannot_even_be_shown_is_an_error_that_names_the_operation() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(BackoffError):
        made(giving(Unspeakable())).wait(1, RUNNING)


@pytest.mark.parametrize("factory", [5, "expo", 1.5, [1, 2], backoff.expo()])
def test_what_makes_no_generator_is_refused_beforehand(factory: Any) -> None:
    with pytest.raises(TypeError, match="backoff must be a function that makes a wait generator"):
        check_backoff(factory)


@pytest.mark.parametrize("factory", [backoff.expo, functools.partial(backoff.fibo, max_value=3)])
def test_what_makes_a_generator_is_taken_as_it_is(factory: Any) -> None:
    assert check_backoff(factory) is factory


@pytest.mark.behaviour("B11", "B13")
def test_a_token_that_claims_any_number_of_looks_costs_no_more_than_a_thousand_waits() -> None:
    taken = 0

    def counting() -> Generator[Any, Any, None]:
        nonlocal taken
        yield
        while True:
            taken += 1
            yield taken

    assert made(counting).wait(2**31, RUNNING) == 1_000
    assert taken == 1_000


@pytest.mark.behaviour("B13")
@given(wait=st.floats(0, 1e9), random=st.floats(0, 1, exclude_max=True))
@MANY
def test_jitter_moves_a_wait_by_a_tenth_of_itself_at_most(wait: float, random: float) -> None:
    assert 0.9 * wait <= jittered(wait, random) * (1 + 1e-12)
    assert jittered(wait, random) <= 1.1 * wait * (1 + 1e-12)


@pytest.mark.behaviour("B13")
@pytest.mark.parametrize("random, wait", [(0.0, 9.0), (0.25, 9.5), (0.5, 10.0), (0.75, 10.5)])
def test_jitter_is_spread_evenly_to_either_side(random: float, wait: float) -> None:
    assert jittered(10.0, random) == pytest.approx(wait)


class Looks:
    """A forecast of looks at these ages."""

    def __init__(self, *ages: float) -> None:
        self.ages = ages

    def likelihood(self, seen: float, age: float) -> float:
        raise AssertionError

    def next_look(self, age: float, *, granted: bool = False) -> float:
        return next(look for look in self.ages if look > age)

    def place(self, age: float) -> int:
        return 0

    def worth_after(self, place: int, level: int) -> float:
        return math.inf


@pytest.mark.parametrize(
    "ages, random, wait",
    [
        ((10.0, 30.0), 0.5, 10.0),
        ((10.0, 30.0), 0.75, 10.5),  # a tenth of 10, which is less than 20
        ((10.0, 30.0), 0.25, 9.5),
        ((10.0, 30.0), 0.0, 5.0),  # seldom as far as half of it
        ((10.0, 12.0), 0.75, 10.1),  # a tenth of 2
        ((10.0, 12.0), 0.0, 9.0),
        ((0.001, 30.0), 0.5, 0.02),
    ],
)
@pytest.mark.behaviour("B13")
def test_a_look_by_a_forecast_is_spread_by_what_lies_between_looks(
    ages: tuple[float, ...], random: float, wait: float
) -> None:
    assert wait_by(Looks(*ages), 0.0, random) == pytest.approx(wait, rel=0.01)


@pytest.mark.behaviour("B13")
@given(
    age=st.floats(0, 1e5),
    random=st.floats(0, 1, exclude_max=True),
    expected=st.none() | st.floats(0.1, 1e5),
    granted=st.booleans(),
)
@MANY
def test_a_wait_by_a_forecast_is_near_what_it_says_and_never_nothing(
    age: float, random: float, expected: float | None, granted: bool
) -> None:
    forecast = PLAIN if expected is None else around(expected)
    wait = wait_by(forecast, age, random, granted=granted)
    planned = min(forecast.next_look(age, granted=granted) - age, max(age, 60.0))
    assert max(0.02, 0.5 * planned - 1e-9) <= wait <= max(0.02, 1.5 * planned + 1e-9)


def learned_by_looking(draw: Callable[[random.Random], float], seed: int) -> tuple[float, float]:
    """Mean looks and mean lateness of operations that take so long, after two hundred of them."""
    dice, kind, now = random.Random(seed), Kind(), 0.0
    late, looks = list[float](), list[int]()
    for _ in range(400):
        operation = Running(began=now, seen=now)
        ends = now + draw(dice)
        looks.append(0)
        kind.follow(operation)
        while True:
            now += wait_by(kind, operation.seen - operation.began, dice.random(), granted=True)
            looks[-1] += 1
            if now >= ends:
                break
            operation.seen = now
        kind.end(operation, now)
        late.append(now - ends)
    return statistics.mean(looks[200:]), statistics.mean(late[200:])


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_peak_is_looked_into_and_not_only_after(seed: int) -> None:
    """Looks that all come after it would see every end in one interval, learn no more, and go on so for ever."""
    looks, late = learned_by_looking(lambda dice: dice.lognormvariate(math.log(3.0), 0.1), seed)
    assert looks < 2.5
    assert late < 0.22


@pytest.mark.parametrize("seconds, most", [(3.0, 7), (60.0, 7), (600.0, 9), (6 * 3600.0, 22)])
def test_of_operations_that_all_take_equally_long_little_is_seen_but_the_end(seconds: float, most: float) -> None:
    looks, late = learned_by_looking(lambda dice: seconds, 0)
    assert looks < most
    assert late < 0.1 + seconds / 150


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize("usual", [90.0, 3600.0, 86400.0])
def test_what_ends_long_before_its_time_is_known_within_as_long_as_it_took_or_a_minute(
    usual: float, granted: bool
) -> None:
    kind, dice = Kind(), random.Random(1)
    for _ in range(500):
        kind.add(usual * dice.lognormvariate(0, 0.1))
    for ends in (1.0, 30.0, 90.0, 600.0, 3000.0, 40_000.0):
        now = 0.0
        while now < ends:
            now += wait_by(kind, now, 0.5, granted=granted)
        assert now - ends <= max(ends, 60.0)
