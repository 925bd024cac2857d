"""What callers ask of one wait: what is refused, what stands in for what, and what a hint comes to."""

from __future__ import annotations

import datetime
import enum
import math
import sys
from typing import Any, get_args

import backoff
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.checks import check_seconds
from lro_poller.operation import Operation
from lro_poller.terms import AtDeadline, Terms, expected_duration, make_terms

WALL = datetime.datetime(2025, 5, 17, 12, 0, tzinfo=datetime.UTC)
NOTHING: dict[str, Any] = {
    "deadline": None,
    "backoff": None,
    "at_deadline": "leave",
    "decode": None,
    "kind": None,
    "expected": None,
    "progress": None,
}


def made(defaults: Terms | None = None, **asked: Any) -> Terms:
    return make_terms(Terms() if defaults is None else defaults, **{**NOTHING, **asked})


def half(operation: object) -> float:
    return 0.5


def half_way(operation: object) -> float:
    return 0.5


def test_whoever_asks_for_nothing_waits_for_as_long_as_it_takes() -> None:
    assert made() == Terms()
    assert made().at_deadline == "leave"


def test_what_is_not_asked_for_is_as_the_defaults_say() -> None:
    defaults = Terms(deadline=5.0, backoff=backoff.expo, progress=half)
    assert made(defaults) == defaults


def test_what_is_asked_for_goes_before_the_defaults() -> None:
    defaults = Terms(deadline=5.0, backoff=backoff.expo, progress=half)
    terms = made(defaults, deadline=7, backoff=backoff.fibo, kind="", progress=half_way, expected=3, decode=len)
    assert (terms.deadline, terms.backoff) == (7.0, backoff.fibo)
    assert (terms.kind, terms.expected, terms.progress) == ("", 3.0, half_way)
    assert terms.decoding is not None
    assert terms.deadline == 7


@pytest.mark.behaviour("B10")
def test_a_deadline_without_end_is_none_even_where_there_is_a_default() -> None:
    assert made(Terms(deadline=5.0), deadline=math.inf).deadline is None


def test_a_deadline_beyond_what_a_float_holds_is_the_longest_there_is() -> None:
    assert made(deadline=10**400).deadline == sys.float_info.max


class Seconds(enum.IntEnum):
    MANY = 1000


def test_waits_of_the_same_terms_share_the_number_and_nothing_else_of_the_callers() -> None:
    whole = int("1000")
    assert made(deadline=whole).deadline is whole
    assert type(made(deadline=Seconds.MANY).deadline) is float


def test_when_it_will_end_is_held_against_the_clock_on_the_wall() -> None:
    hints = made(
        progress=lambda operation: datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    ).hints()
    assert hints is not None
    assert hints.total is not None
    assert hints.total(Operation.from_json("operations/a", b"{}"), 40.0) == pytest.approx(100.0, abs=5)


@pytest.mark.behaviour("B12")
@pytest.mark.parametrize("choice", get_args(AtDeadline))
def test_what_becomes_of_it_at_the_deadline_is_chosen_by_a_word(choice: AtDeadline) -> None:
    assert made(at_deadline=choice).at_deadline == choice


@pytest.mark.behaviour("B12")
@pytest.mark.parametrize("choice", ["", "LEAVE", "stop", None, 5])
def test_any_other_choice_is_refused(choice: Any) -> None:
    with pytest.raises(ValueError):
        made(at_deadline=choice)


@pytest.mark.parametrize("seconds", [0, -1, -0.0, math.nan, -math.inf, "5", b"5", True, [5], 5j])
@pytest.mark.parametrize("what", ["deadline", "expected"])
def test_what_is_no_time_is_refused_and_named(what: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"{what} must be a number of seconds above 0"):
        made(**{what: seconds})


def test_a_timedelta_is_told_how_it_becomes_a_number() -> None:
    with pytest.raises(ValueError, match=r"not datetime\.timedelta\(seconds=5\); it has total_seconds\(\)"):
        made(deadline=datetime.timedelta(seconds=5))


def test_what_is_expected_is_finite() -> None:
    with pytest.raises(ValueError, match="expected must be finite"):
        made(expected=math.inf)
    assert check_seconds("x", math.inf) == math.inf


@pytest.mark.parametrize("kind", [5, b"k", ["k"], True])
def test_a_kind_is_a_text(kind: Any) -> None:
    with pytest.raises(TypeError, match="kind must be a str"):
        made(kind=kind)


@pytest.mark.parametrize("progress", [5, "half", 0.5, []])
def test_progress_is_a_function(progress: Any) -> None:
    with pytest.raises(TypeError, match="progress must be a function, not"):
        made(progress=progress)


@pytest.mark.parametrize("asked", [{"backoff": 5}, {"decode": 5}])
def test_what_is_no_backoff_or_decoder_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        made(**asked)


@pytest.mark.parametrize(
    "said, total",
    [
        (0.25, 160.0),
        (0.5, 80.0),
        (1, None),  # it is as long as it is old: nothing new
        (1.0, None),
        (0, None),
        (0.0, None),
        (-0.5, None),
        (1.5, None),
        (math.nan, None),
        (math.inf, None),
        (5e-324, None),
        (True, None),
        (False, None),
        (None, None),
        ("0.5", None),
        ([0.5], None),
        (datetime.timedelta(seconds=20), 60.0),
        (datetime.timedelta(0), None),
        (datetime.timedelta(seconds=-5), None),
        (WALL + datetime.timedelta(seconds=20), 60.0),
        (WALL, None),
        (WALL - datetime.timedelta(days=20), None),
        (datetime.datetime(2025, 5, 17, 14, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), 100.0),
        (datetime.datetime(2025, 5, 17, 13, 0), None),  # noqa: DTZ001 - nobody knows where
        (datetime.date(2025, 5, 18), None),
    ],
)
def test_a_hint_comes_to_a_duration_or_to_nothing(said: Any, total: float | None) -> None:
    assert expected_duration(said, 40.0, WALL) == (total if total is None else pytest.approx(total))


def test_at_once_a_share_tells_nothing() -> None:
    assert expected_duration(0.5, 0.0, WALL) is None


@pytest.mark.behaviour("B19")
@given(
    said=st.none() | st.floats() | st.integers() | st.text() | st.timedeltas() | st.datetimes() | st.booleans(),
    age=st.floats(0, 1e9),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_whatever_is_said_a_total_is_finite_and_above_the_age(said: object, age: float) -> None:
    total = expected_duration(said, age, WALL)
    assert total is None or age < total < math.inf
