"""Those who wait for one operation: held against a plain list, and bounded in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lro_poller.engine.crowd import Crowd

from .waiter import Waiter

MANY = settings(max_examples=200, deadline=None, derandomize=True)

steps = st.one_of(
    st.tuples(st.just("join"), st.none() | st.integers(0, 30)),
    st.tuples(st.just("leave"), st.integers(0, 40)),
    st.tuples(st.sampled_from(["postpone", "postpone often"]), st.integers(0, 40)),
)


@pytest.mark.behaviour("B7", "B10")
@pytest.mark.parametrize("sweep_from", [0, 64])
@given(script=st.lists(steps, max_size=60))
@MANY
def test_whoever_comes_and_goes_all_hear_in_order_and_the_first_deadline_is_known(
    script: list[tuple[str, Any]], sweep_from: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lro_poller.engine.crowd._SWEEP_FROM", sweep_from)
        _check_against_a_list(script)


def _check_against_a_list(script: list[tuple[str, Any]]) -> None:
    there = [Waiter()]
    crowd, gone = Crowd(there[0]), Waiter(5.0)
    for what, number in script:
        if what == "join":
            there.append(Waiter(number))
            crowd.join(there[-1])
        elif there and what == "leave":
            who = there.pop(number % len(there))
            crowd.leave(who)
            crowd.leave(who)  # once more changes nothing
        elif there and (deadline := (who := there[number % len(there)]).deadline) is not None:
            for step in range(40 if what == "postpone often" else 1):  # as often as it takes to be swept
                who._postpone(deadline + (number + step) % 7)
                crowd.note_deadline(who)
        crowd.leave(gone)
        assert crowd.everybody() == tuple(there)
        assert len(crowd) == len(there)
        ends = [(who.deadline, number) for number, who in enumerate(there) if who.deadline is not None]
        first = there[min(ends)[1]] if ends else None  # of several the one who came first
        assert crowd.first() is first
        assert set(crowd.with_last_polls()) == ({there[number] for _, number in ends} if len(ends) <= 16 else {first})


@pytest.mark.behaviour("B24")
def test_deadlines_of_who_has_left_or_waits_on_cost_no_memory() -> None:
    crowd = Crowd(stays := Waiter(1e9))
    for number in range(5_000):
        crowd.join(who := Waiter(1e6 + number))
        crowd.leave(who)
        stays._postpone(1e9 + number)
        crowd.note_deadline(stays)
    assert len(crowd._deadlines) < 200
    assert crowd.first() is stays
