"""How many polls a second a service allows, as its answers tell.

Decides at which rate polls may start once one was answered with 429. The first 429 sets a
limit far below what was just reached, which each answer raises until there is a second.
What was answered over the last minute then tells what the service allows, whether it
counts in a bucket or in minutes; the limit is set below that, and returns along the cubic
of RFC 9438: slowly around where the trouble was, ever faster when none comes, and the more
slowly the more often it was refused in a row. So it stays just under a quota that nobody
told it about, and forgets one that is gone.

Others may use up the same quota for a while, and then little is answered that tells of it.
So the limit returns to what any minute has shown to be allowed, which counts for less with
each later cut; and when polls were refused for longer than a quota can be used up, it is
found anew.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Allowance"]

_MINUTE = 60.0  # seconds, at most, over which is measured what is allowed: quotas are by the minute
_LEAST_MEASURED = 10.0  # seconds, at least
_RECENT = 5.0  # seconds over which the present rate is measured
_TICK = 0.25  # seconds whose answers are counted together
_SLOWEST = 0.02  # polls a second that are made however often the answer is 429
_FIRST_CUT = 0.5  # of what was answered a second before the first 429: the quota may be far below it
_LEAST_TO_FIND_BY = 0.5  # polls a second that it leaves at least: where little was answered, others use the quota
_FOUND_BY = 0.14  # polls a second that each answer adds after that, until the next 429: twice as many in five seconds
_LATER_CUT = 0.92  # of what was answered a second before a later 429
_FADING = 0.85  # of what a minute has shown to be allowed, with each later 429
_PLATEAU = 50.0  # seconds until the limit is where the trouble was; in as many again it is as far above
_PLATEAU_POLLS = 57.0  # or as long as so many polls take, for each try that was refused: of few polls two are many
_LONGEST_PLATEAU = 180.0  # seconds
_FORGOTTEN = 600.0  # seconds without a 429 after which there is no limit any more
_LONGEST_USED_UP = 120.0  # seconds for which a quota by the minute can stay used up


class Allowance:
    """The limit that 429s have set, in polls a second, under the rate that the budget has anyway.

    Attributes:
        max_rate: Polls a second without a 429.
    """

    __slots__ = (
        "_answers",
        "_busy_since",
        "_ceiling",
        "_cut_at",
        "_finding",
        "_low",
        "_refusals",
        "_refused_since",
        "_shown",
        "max_rate",
    )

    def __init__(self, max_rate: float) -> None:
        self.max_rate = max_rate
        self._ceiling = math.inf  # where the limit was too much, as far as is known
        self._low = math.inf  # where it was put, to return to that
        self._cut_at = -math.inf
        self._finding = False  # whether what the service allows is not known yet, so that each answer raises it
        self._shown = 0.0  # what a minute has shown to be allowed
        self._refusals = 0  # tries that were refused, since the limit was set
        self._refused_since = math.inf  # the first of those that were refused in a row
        self._busy_since = -math.inf  # nobody waited for a turn before that
        self._answers: deque[tuple[float, int]] = deque()  # ticks, and how many answers came in each

    def is_limited(self, now: float) -> bool:
        """Whether a 429 has set a limit that is not forgotten."""
        return now - self._cut_at <= _FORGOTTEN

    def rate(self, now: float) -> float:
        """How many polls a second may start at `now`."""
        past, limit = now - self._cut_at, self._ceiling
        if past > _FORGOTTEN:
            return self.max_rate
        if not self._finding:
            plateau = min(max(_PLATEAU, _PLATEAU_POLLS * self._refusals / limit), _LONGEST_PLATEAU)
            bend = limit - self._low if past < plateau else (1 - _LATER_CUT) * limit
            limit += bend * (past / plateau - 1) ** 3
        return min(self.max_rate, max(limit, _SLOWEST))

    def idled(self, now: float) -> None:
        """A poll could have started before `now` and none did: what was answered before tells nothing of a quota."""
        self._busy_since = now

    def answered(self, now: float) -> None:
        """A poll was answered with something else than 429."""
        answers, tick = self._answers, now // _TICK * _TICK
        if answers and answers[-1][0] == tick:
            answers[-1] = (tick, answers[-1][1] + 1)
        else:
            answers.append((tick, 1))
            while answers[0][0] < now - _MINUTE:
                answers.popleft()
        if self._finding:
            self._ceiling += _FOUND_BY

    def refused(self, now: float, *, again: bool) -> None:
        """A try was answered with 429, as was the try before, or not; what was under way with it is not told here."""
        if not again:
            self._lower(now)
            self._refused_since = now
        self._refusals += 1

    def relieved(self, now: float) -> None:
        """A poll was answered after those that were refused."""
        if now - self._refused_since > _LONGEST_USED_UP:
            self._finding = True

    def recent_rate(self, now: float) -> float:
        """How many polls were answered a second, over the last seconds."""
        return self._count(_RECENT, now) / _RECENT

    def _lower(self, now: float) -> None:
        """Sets the limit below what was just too much."""
        past = now - self._cut_at
        if past < _LEAST_MEASURED:
            return  # too little was answered since to say more
        shown = self._count(_MINUTE, now) / _MINUTE
        if past > _FORGOTTEN:
            self._ceiling = max(_FIRST_CUT * self._answered_in(_RECENT, now), _LEAST_TO_FIND_BY)
            self._finding, self._shown = True, shown
        else:
            allowed = self._answered_in(_MINUTE, now)
            if self._finding:  # half of that time the limit was far below
                allowed = max(allowed, self._answered_in(max(past / 3, _LEAST_MEASURED), now))
            limit = max(min(allowed, self.rate(now)), _SLOWEST)
            self._shown = max(_FADING * self._shown, shown)
            self._low, self._ceiling, self._finding = _LATER_CUT * limit, max(limit, self._shown), False
        self._cut_at, self._refusals = now, 0

    def _answered_in(self, seconds: float, now: float) -> float:
        """Polls answered a second, over the last `seconds` or since polls have been held back."""
        span = min(max(now - self._busy_since, 1.0), seconds)
        return self._count(span, now) / span

    def _count(self, seconds: float, now: float) -> int:
        return sum(count for tick, count in self._answers if tick > now - seconds)
