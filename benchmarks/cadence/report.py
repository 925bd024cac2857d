"""The figures as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from .figures import OURS, Row, Standing
from .run import ALONE, Result

__all__ = ["table", "to_json"]

_HEAD = f"{'':2}{'':24}{'mean late, s':>20}{'p95, s':>9}{'polls':>9}{'429s':>10}{'after 1 min':>13}"


def table(results: Sequence[Result]) -> str:
    """Lateness, polls an operation and 429s of each policy, and how this library stands."""
    return "\n".join(line for result in results for line in _lines(result))


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.workload.title}, {result.mode}"
    yield _HEAD
    for row in result.rows:
        yield _line(row)
    yield from _verdict(result.standing, alone=result.mode == ALONE)
    yield ""


def _line(row: Row) -> str:
    late = f"{row.lateness:.2f} ± {row.error:.2f}"
    refusals = f"{row.refused:10.0f}{row.refused_late:13.0f}"
    mark = "* " if row.policy == OURS else "  "
    return f"{mark}{row.policy:24}{late:>20}{row.p95:9.2f}{row.polls:9.2f}{refusals}"


def _verdict(standing: Standing, *, alone: bool) -> Iterator[str]:
    best = standing.best
    yield f"  {standing.to_best:.2f} of the lateness of the best peer, {best.policy}, {standing.polls_to_best:.2f} of its polls"
    if standing.to_limited is not None:
        yield f"  {standing.to_limited:.2f} of the lateness of a poll every 10 s under one limiter for all"
    if not alone and math.isfinite(standing.half):
        yield f"  {standing.half:.2f} of that lateness is the least that half of that peer's polls allow, without a quota"
    what = "the best schedule there is at as many polls" + ("" if alone else ", without a quota")
    yield f"  {standing.to_limit:.2f} times the lateness of {what}, {standing.limit:.2f} s"
    yield f"  better in both polls and lateness: {', '.join(standing.beaten_by) or 'no peer'}"


def to_json(results: Sequence[Result], seed: int) -> str:
    """Everything that was measured."""
    return json.dumps({"seed": seed, "results": [_plain(result) for result in results]}, indent=1)


def _plain(result: Result) -> dict[str, Any]:
    standing = dataclasses.asdict(result.standing)
    return {
        "workload": result.workload.name,
        "title": result.workload.title,
        "mode": result.mode,
        "rows": [dataclasses.asdict(row) for row in result.rows],
        "standing": {
            **standing,
            "row": OURS,
            "best": result.standing.best.policy,
            "half": standing["half"] if math.isfinite(standing["half"]) else None,
        },
        "frontier": [point._asdict() for point in result.frontier],
    }
