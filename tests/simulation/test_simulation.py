"""Fifty fleets of a thousand operations each, under every kind of fault, checked to the last future.

And many small ones: in a large fleet somebody always wakes up, and who was forgotten is not missed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .callers import Caller
from .fleet import run
from .http2 import Http2Line

OPERATIONS = 1000
FEW = 6


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    """Whatever raised what, nobody who waited is held by a ring that the garbage collector does not see."""
    yield
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Caller)]


@pytest.mark.behaviour("B2", "B10", "B14", "B16", "B17", "B18", "B19", "B21", "B23", "B28")
@pytest.mark.parametrize("seed", range(50))
def test_every_promise_holds_in_a_simulated_fleet(seed: int) -> None:
    repeat = f"to repeat it: python -m tests.simulation --seed {seed} --operations {OPERATIONS}"
    try:
        report = run(seed, OPERATIONS)
    except Exception as error:
        raise AssertionError(repeat) from error
    assert not report.wrongs, "\n".join([*report.wrongs, repeat])
    assert report.counts["polls"] > 0


@pytest.mark.behaviour("B2", "B10", "B18", "B19", "B21", "B23")
@pytest.mark.parametrize("first", range(0, 300, 30))
def test_every_promise_holds_where_few_are_waited_for(first: int) -> None:
    for seed in range(first, first + 30):
        wrongs = run(seed, FEW).wrongs
        repeat = f"to repeat it: python -m tests.simulation --seed {seed} --operations {FEW}"
        assert not wrongs, "\n".join([*wrongs, repeat])


@pytest.mark.behaviour("B16", "B17", "B19", "B21", "B23", "B27")
@pytest.mark.parametrize("seed", range(10))
def test_every_promise_holds_over_http2(seed: int) -> None:
    repeat = f"to repeat it: python -m tests.simulation --seed {seed} --operations {OPERATIONS} --line http2"
    try:
        report = run(seed, OPERATIONS, Http2Line)
    except Exception as error:
        raise AssertionError(repeat) from error
    assert not report.wrongs, "\n".join([*report.wrongs, repeat])


def test_over_http2_servers_take_leave_in_the_middle() -> None:
    counts = run(61, OPERATIONS, Http2Line).counts
    assert counts["connections"] > counts["leaves taken"] > 5
    assert counts["not begun by then"] > 0
    assert counts["streams reset"] > 100


def test_the_same_seed_gives_the_same_run() -> None:
    assert run(3, 200).counts == run(3, 200).counts
