"""Which of two orders has the turns: the one that finds more ends, and each an eighth at the least."""

from __future__ import annotations

import random

import pytest

from lro_poller.engine.orders import FAIR_TURN, Order, Orders

WORTH, PLACE = Order.WORTH, Order.PLACE


def taught(*rounds: tuple[float, float], polls: int = 800, seed: int = 0) -> Orders:
    """Orders of which a poll by worth and one by place find an end with these likelihoods, round after round."""
    orders, dice, turn = Orders(), random.Random(seed), 0
    for worth, place in rounds:
        for _ in range(polls):
            turn += 1
            order = orders.of(turn)
            orders.heard(order, ended=dice.random() < (worth if order is WORTH else place))
    return orders


def turns(orders: Orders) -> list[Order]:
    return [orders.of(turn) for turn in range(FAIR_TURN)]


MOSTLY_WORTH = [PLACE, *[WORTH] * 7]
MOSTLY_PLACE = [PLACE, PLACE, PLACE, PLACE, WORTH, PLACE, PLACE, PLACE]


@pytest.mark.behaviour("B23")
def test_worth_has_the_turns_but_every_eighth_while_nothing_is_known() -> None:
    assert turns(Orders()) == MOSTLY_WORTH


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "worth, place, expected",
    [
        (0.1, 0.4, MOSTLY_PLACE),
        (0.0, 0.2, MOSTLY_PLACE),
        (0.4, 0.1, MOSTLY_WORTH),
        (0.2, 0.0, MOSTLY_WORTH),
        (0.0, 0.0, MOSTLY_WORTH),
        (1.0, 1.0, MOSTLY_WORTH),
    ],
)
def test_the_order_that_finds_more_ends_has_the_turns(
    worth: float, place: float, expected: list[Order], seed: int
) -> None:
    assert turns(taught((worth, place), seed=seed)) == expected


@pytest.mark.behaviour("B23")
def test_a_few_more_by_chance_change_nothing() -> None:
    assert sum(turns(taught((0.2, 0.2), seed=seed)) == MOSTLY_PLACE for seed in range(100)) <= 10


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("seed", range(5))
def test_it_is_seen_when_that_changes(seed: int) -> None:
    assert turns(taught((0.1, 0.5), (0.5, 0.1), seed=seed)) == MOSTLY_WORTH
    assert turns(taught((0.5, 0.1), (0.1, 0.5), seed=seed)) == MOSTLY_PLACE
