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
"""Of so many turns in a row each of the two orders has one at the least, or who goes before all others."""

_REMEMBERED = 800  # polls; then what was counted so far counts half
_CLEAR = 3.0  # standard errors by which the place in line has to find more: asked so often, two are had by chance


class Order(enum.Enum):
    """What decides who has a turn, of those that are due."""

    WORTH = "what a poll is worth"
    PLACE = "the place in line"


_WORTH, _PLACE = Order.WORTH, Order.PLACE  # before Python 3.12 naming a member runs a function of enum's


class Orders:
    """Which order found how many ends."""

    __slots__ = ("_ends", "_favoured", "_polls")

    def __init__(self) -> None:
        self._polls = {_WORTH: 0.0, _PLACE: 0.0}
        self._ends = {_WORTH: 0.0, _PLACE: 0.0}
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
        if self._polls[_WORTH] + self._polls[_PLACE] >= _REMEMBERED:
            for counts in (self._polls, self._ends):
                for each in counts:
                    counts[each] /= 2

    def _place_finds_more(self) -> bool:
        """Whether its share is greater by more than chance would have it: the test of two proportions."""
        polls, ends = self._polls, self._ends
        if not polls[_PLACE] or not polls[_WORTH]:
            return False
        share = (ends[_WORTH] + ends[_PLACE]) / (polls[_WORTH] + polls[_PLACE])
        error = math.sqrt(share * (1 - share) * (1 / polls[_WORTH] + 1 / polls[_PLACE]))
        return ends[_PLACE] / polls[_PLACE] > ends[_WORTH] / polls[_WORTH] + _CLEAR * error
