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
    columns = [_spread(polls, "d"), _spread(lateness, ".2f")]
    names = ["mean", *(f"p{share}" for share in _SHARES[:-1]), "max"]
    return Table(("", "polls an operation", "lateness, s"), list(zip(names, *columns, strict=True)))


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
    """The smallest of `ordered`, which is not empty, that `share` per cent of them do not exceed."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def _spread(values: Sequence[float], form: str) -> Sequence[str]:
    """The mean and the percentiles, as they are shown."""
    if not values:
        return ["-"] * (1 + len(_SHARES))
    ordered = sorted(values)
    return [f"{sum(ordered) / len(ordered):.2f}", *(format(percentile(ordered, share), form) for share in _SHARES)]


def _plain(table: Table) -> str:
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = []
    for words, *numbers in (table.head, *table.rows):
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([words.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _draw(tables: Sequence[Table]) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as Drawing
    except ImportError:
        return False
    console = Console()
    for table in tables:
        drawing = Drawing(box=box.SIMPLE_HEAD, pad_edge=False)
        for column, head in enumerate(table.head):
            drawing.add_column(head, justify="right" if column else "left", overflow="fold")
        for row in table.rows:
            drawing.add_row(*row)
        console.print(drawing)
    return True
