"""Fifty fleets of a thousand operations each, under every kind of fault, checked to the last future."""

from __future__ import annotations

import pytest

from .fleet import run

OPERATIONS = 1000


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


def test_the_same_seed_gives_the_same_run() -> None:
    assert run(3, 200).counts == run(3, 200).counts
