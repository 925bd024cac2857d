"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .records import Tally

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["progress"]


@contextlib.contextmanager
def progress(
    tally: Tally, *, bar: bool, every: float, details: Callable[[], str] = str
) -> Iterator[Callable[[], None]]:
    """Shows how far `tally` has come while the block runs; yields what to call when it has changed.

    Args:
        tally: What is counted, elsewhere.
        bar: Whether a bar may be drawn; it is where standard error is a terminal and rich is installed.
        every: Seconds between two plain lines.
        details: What to say beside the counts.
    """
    if bar and sys.stderr.isatty() and (bars := _bar()) is not None:
        with bars:
            task = bars.add_task("", total=tally.total)
            yield lambda: bars.update(task, completed=tally.ended, description=f"{tally.text()}  {details()}")
    else:
        yield _plain(tally, every, details)


def _plain(tally: Tally, every: float, details: Callable[[], str]) -> Callable[[], None]:
    began = last = time.monotonic()

    def show() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            print(f"{now - began:6.1f} s  {tally.text()}  {details()}".rstrip(), file=sys.stderr, flush=True)

    return show


def _bar() -> Progress | None:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    columns = (BarColumn(bar_width=30), TimeElapsedColumn(), TextColumn("{task.description}"))
    # Standard output is the caller's, a pipe perhaps: rich would take it over.
    return Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
