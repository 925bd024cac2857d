"""What the operations are like: how long they take, and when they start.

Decides no schedule. Durations are drawn from distributions whose survival function is
known exactly, so that the best schedule there is can be computed for them. A draw of
`count` durations takes one from each of `count` slices of equal probability, in shuffled
order: two policies meet the same operations, and means are steadier than those of
independent draws.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Protocol

__all__ = [
    "CROWDS",
    "WARM_UP",
    "WORKLOADS",
    "Crowd",
    "Distribution",
    "LogNormal",
    "LogUniform",
    "Mixture",
    "Operation",
    "Workload",
]

SIGMA = 0.6
"""Of the natural logarithm of a log-normal duration: two thirds lie between 0.55 and 1.8 of the median."""

NARROW = 0.1
"""The same for each of the two kinds of the bimodal workload."""

WARM_UP = 200
"""Operations of a kind that are seen before an operation alone counts."""

_NORMAL = NormalDist()


class Operation(NamedTuple):
    """When it starts, and how long it takes, in seconds."""

    start: float
    duration: float

    @property
    def end(self) -> float:
        return self.start + self.duration


class Distribution(Protocol):
    """Durations in seconds."""

    def __hash__(self) -> int: ...

    def survival(self, seconds: float) -> float:
        """How likely a duration is longer than this."""
        ...

    def quantile(self, below: float) -> float:
        """The duration that this share of all are below."""
        ...

    def draw(self, count: int, dice: random.Random) -> list[float]:
        """One duration from each of `count` equal slices of probability, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Its logarithm is normal: as many above as below `median`."""

    median: float
    sigma: float = SIGMA

    def survival(self, seconds: float) -> float:
        if seconds <= 0:
            return 1.0
        return math.erfc(math.log(seconds / self.median) / self.sigma / math.sqrt(2)) / 2

    def quantile(self, below: float) -> float:
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(below))

    def draw(self, count: int, dice: random.Random) -> list[float]:
        return [self.quantile(below) for below in _slices(count, dice)]


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Every doubling from `shortest` to `longest` is equally likely."""

    shortest: float
    longest: float

    def survival(self, seconds: float) -> float:
        if seconds <= self.shortest:
            return 1.0
        return max(0.0, math.log(self.longest / seconds) / math.log(self.longest / self.shortest))

    def quantile(self, below: float) -> float:
        return self.shortest * math.pow(self.longest / self.shortest, below)

    def draw(self, count: int, dice: random.Random) -> list[float]:
        return [self.quantile(below) for below in _slices(count, dice)]


@dataclass(frozen=True, slots=True)
class Mixture:
    """The first kind with likelihood `share`, else the second. They do not overlap, the first being shorter."""

    share: float
    first: Distribution
    second: Distribution

    def survival(self, seconds: float) -> float:
        return self.share * self.first.survival(seconds) + (1 - self.share) * self.second.survival(seconds)

    def quantile(self, below: float) -> float:
        if below < self.share:
            return self.first.quantile(below / self.share)
        return self.second.quantile((below - self.share) / (1 - self.share))

    def draw(self, count: int, dice: random.Random) -> list[float]:
        first = round(self.share * count)
        return self.first.draw(first, dice) + self.second.draw(count - first, dice)


@dataclass(frozen=True, slots=True)
class Workload:
    """Durations of one kind of operation.

    Attributes:
        name: As of `--workload`.
        title: As shown.
        phases: The distribution; several where it changes, each for an equal part of the operations.
    """

    name: str
    title: str
    phases: tuple[Distribution, ...]

    def durations(self, count: int, dice: random.Random) -> list[float]:
        """As many durations, phase after phase, in random order within each."""
        drawn: list[float] = []
        for number, phase in enumerate(self.phases, 1):
            part = phase.draw(count * number // len(self.phases) - len(drawn), dice)
            dice.shuffle(part)
            drawn += part
        return drawn

    def alone(self, count: int, seed: str) -> tuple[list[float], list[float]]:
        """Durations to warm up with, all of the first phase, and durations that count."""
        dice = random.Random(f"alone {self.name} {seed}")
        return Workload(self.name, self.title, self.phases[:1]).durations(WARM_UP, dice), self.durations(count, dice)

    def crowd(self, crowd: Crowd, seed: str) -> list[Operation]:
        """Operations in the order in which they start, the first at 0 or soon after."""
        dice = random.Random(f"{crowd.name} {self.name} {seed}")
        starts = sorted(dice.uniform(0, crowd.within) for _ in range(crowd.count))
        return [Operation(*pair) for pair in zip(starts, self.durations(crowd.count, dice), strict=True)]


@dataclass(frozen=True, slots=True)
class Crowd:
    """`count` operations that start at random within so many seconds; `repeats` times over, each drawn anew."""

    name: str
    count: int
    within: float
    repeats: int

    @property
    def title(self) -> str:
        return f"{self.count:,} started within {self.within / 60:.0f} min"


CROWDS = (Crowd("crowd of 500", 500, 60.0, 4), Crowd("crowd of 5,000", 5000, 600.0, 2))

WORKLOADS: Sequence[Workload] = (
    Workload("2s", "log-normal around 2 s", (LogNormal(2.0),)),
    Workload("40s", "log-normal around 40 s", (LogNormal(40.0),)),
    Workload("6min", "log-normal around 6 min", (LogNormal(360.0),)),
    Workload("loguniform", "log-uniform 1 s to 1 h", (LogUniform(1.0, 3600.0),)),
    Workload("bimodal", "90% 3 s, 10% 20 min", (Mixture(0.9, LogNormal(3.0, NARROW), LogNormal(1200.0, NARROW)),)),
    Workload("shift", "40 s, half-way 120 s", (LogNormal(40.0), LogNormal(120.0))),
)


def _slices(count: int, dice: random.Random) -> list[float]:
    # Never 0, at which a log-normal duration has no logarithm.
    return [(number + dice.random()) / count or 0.5 / count for number in range(count)]
