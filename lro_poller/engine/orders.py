"""By which of two orders those that are due have their turns.

Decides it by what each has found. *Worth* is what a poll gains by all that was learned, and
as good as that: of a service that works off a queue, or has just become slower, it still
believes in those that are younger. Their *place* in line goes by nothing but how long they
have waited. Whichever finds more ends has the turns, but for every eighth, which is the
other's: so nobody starves, and it is seen when that changes.
"""

from __future__ import annotations

import enum
import math

__all__ = ["FAIR_TURN", "Order", "Orders"]

FAIR_TURN = 8
"""Every eighth turn goes by the place in line, and of the other seven one by worth, unless somebody goes first."""

_REMEMBERED = 800  # polls; then what was counted so far counts half
_CLEAR = 3.0  # standard errors by which the place in line has to find more: asked so often, two are had by chance


class Order(enum.IntEnum):
    """What decides who has a turn, of those that are due."""

    WORTH = 0  # what a poll is worth
    PLACE = 1  # the place in line


_WORTH, _PLACE = Order.WORTH, Order.PLACE  # before Python 3.12 naming a member runs a function of enum's


class Orders:
    """Which order found how many ends."""

    __slots__ = ("_ends", "_favoured", "_polls")

    def __init__(self) -> None:
        self._polls = [0.0, 0.0]  # by order, as the next
        self._ends = [0.0, 0.0]
        self._favoured = _WORTH

    def of(self, turn: int) -> Order:
        """By which the turn of that number goes."""
        part = turn % FAIR_TURN
        if part == 0:
            self._favoured = _PLACE if self._place_finds_more() else _WORTH
            return _PLACE
        return _WORTH if part == FAIR_TURN // 2 else self._favoured

    def heard(self, order: Order, *, ended: bool) -> None:
        """A poll that had its turn in that order found an operation that has ended, or runs."""
        self._polls[order] += 1
        self._ends[order] += ended
        if sum(self._polls) >= _REMEMBERED:
            self._polls = [count / 2 for count in self._polls]
            self._ends = [count / 2 for count in self._ends]

    def _place_finds_more(self) -> bool:
        """Whether its share is greater by more than chance would have it: the test of two proportions."""
        (by_worth, by_place), (ends_by_worth, ends_by_place) = self._polls, self._ends
        if not by_worth or not by_place:
            return False
        share = (ends_by_worth + ends_by_place) / (by_worth + by_place)
        error = math.sqrt(share * (1 - share) * (1 / by_worth + 1 / by_place))
        return ends_by_place / by_place > ends_by_worth / by_worth + _CLEAR * error
