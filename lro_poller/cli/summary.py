"""What the demo comes to, in two tables: outcomes by code, and how many polls and how late.

Decides which figures are told and how they are laid out: by rich on a terminal, else plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .tally import Tally

__all__ = ["Table", "figures", "outcomes", "print_tables"]

_SHARES = (50, 95, 99, 100)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown; the first column is of words, the others of numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def outcomes(tally: Tally) -> Table:
    """How many operations came to which code."""
    rows = [(code, str(count), f"{count / tally.total:.1%}") for code, count in tally.codes.most_common()]
    return Table(("outcome", "operations", "share"), rows)


def figures(polls: Sequence[int], lateness: Sequence[float]) -> Table:
    """Polls an operation, and seconds from an operation's end until it was known."""
    rows = [_spread("polls an operation", polls, "d"), _spread("lateness, s", lateness, ".2f")]
    return Table(("", "mean", *("max" if share == 100 else f"p{share}" for share in _SHARES)), rows)


def print_tables(tables: Sequence[Table], write: Callable[[str], None], *, terminal: bool) -> None:
    """Prints them, one after another.

    Args:
        tables: What to print.
        write: What writes a line.
        terminal: Whether rich may draw them, where it is installed.
    """
    if not (terminal and _draw(tables)):
        for table in tables:
            write("\n" + _plain(table))


def percentile(ordered: Sequence[float], share: int) -> float:
    """The smallest of `ordered` that `share` per cent are not above; NaN of nothing."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] if ordered else math.nan


def _spread(what: str, values: Sequence[float], form: str) -> Sequence[str]:
    if not values:
        return (what, *("-" for _ in range(1 + len(_SHARES))))
    ordered = sorted(values)
    mean = f"{sum(ordered) / len(ordered):.2f}"
    return (what, mean, *(format(percentile(ordered, share), form) for share in _SHARES))


def _plain(table: Table) -> str:
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = []
    for words, *numbers in (table.head, *table.rows):
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([words.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _draw(tables: Sequence[Table]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table as Drawing
    except ImportError:
        return False
    console = Console()
    for table in tables:
        drawing = Drawing(*table.head[:1])
        for head in table.head[1:]:
            drawing.add_column(head, justify="right")
        for row in table.rows:
            drawing.add_row(*row)
        console.print(drawing)
    return True
