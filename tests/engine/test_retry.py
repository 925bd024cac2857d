"""How long to wait after polls that failed: longer each time, to a bound, and never shorter than usual."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.retry import retry_wait

MANY = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize(
    "failures, wait", [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (17, 60), (10**6, 60)]
)
def test_the_wait_doubles_from_one_second_to_a_minute(failures: int, wait: float) -> None:
    assert retry_wait(failures, 0.0) == wait


@pytest.mark.behaviour("B16")
@pytest.mark.parametrize("failures, usual, wait", [(1, 20, 20), (5, 20, 20), (6, 20, 32), (7, 20, 60), (7, 300, 300)])
def test_the_usual_wait_is_the_least(failures: int, usual: float, wait: float) -> None:
    assert retry_wait(failures, usual) == wait


@pytest.mark.behaviour("B16")
@given(failures=st.integers(1, 10**9), usual=st.floats(0, 1e6))
@MANY
def test_a_failure_never_speeds_polling_up(failures: int, usual: float) -> None:
    wait = retry_wait(failures, usual)
    assert max(usual, 1.0) <= wait <= max(usual, 60.0)
    assert retry_wait(failures + 1, usual) >= wait
