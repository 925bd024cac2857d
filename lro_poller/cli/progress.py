"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

Decides what is shown and how often. What is counted is counted elsewhere; it is looked at
by the clock, not at each change, so that its cost does not grow with what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol

from ..counting import counted
from .output import say, write_line
from .tally import Pace, Tally

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

__all__ = ["may_draw", "progress"]

_FRAME = 0.25  # seconds between two looks of a bar
_BAR_WIDTH = 40
_COLORS = {"running": "cyan", "succeeded": "green", "failed": "red", "timed out": "yellow", "poll failed": "magenta"}


class _Display(Protocol):
    every: float
    """Seconds between two looks."""

    def show(self, elapsed: float, pace: float) -> None:
        """Shows how it stands after `elapsed` seconds, at `pace` polls a second."""

    def line(self, text: str) -> None:
        """One line on standard output."""


def may_draw(form: str) -> bool:
    """Whether progress may be a bar: not where somebody asked for text, nor among JSON on the screen."""
    return form == "auto" or (form == "json" and not sys.stdout.isatty())


@contextlib.asynccontextmanager
async def progress(
    tally: Tally, polls: Callable[[], int], *, bar: bool, every: float
) -> AsyncIterator[Callable[[str], None]]:
    """Shows how far `tally` has come while the block runs; yields what prints a line on standard output.

    Args:
        tally: What is counted, elsewhere.
        polls: How many polls were made so far.
        bar: Whether a bar may be drawn; it is where standard error is a terminal and rich is installed.
        every: Seconds between two plain lines.
    """
    with contextlib.ExitStack() as stack:
        live = _live() if bar and _is_terminal() else None
        display: _Display = _Plain(tally, every) if live is None else _Bar(tally, stack.enter_context(live))
        ticking = asyncio.create_task(_tick(display, polls))
        try:
            yield display.line
        finally:
            ticking.cancel()
            await asyncio.wait([ticking])


async def _tick(display: _Display, polls: Callable[[], int]) -> None:
    loop = asyncio.get_running_loop()
    began, pace = loop.time(), Pace()
    pace.at(began, polls())
    try:
        while True:
            await asyncio.sleep(display.every)
            display.show(loop.time() - began, pace.at(loop.time(), polls()))
    finally:
        if isinstance(display, _Bar):  # what stays on the screen is the last
            display.show(loop.time() - began, pace.at(loop.time(), polls()))


class _Plain:
    def __init__(self, tally: Tally, every: float) -> None:
        self.every = every
        self._tally = tally

    def show(self, elapsed: float, pace: float) -> None:
        say(f"{elapsed:6.1f} s  {self._tally.text()}  {counted(round(pace), 'poll')} a second")

    def line(self, text: str) -> None:
        write_line(text)


class _Bar:
    def __init__(self, tally: Tally, live: Live) -> None:
        self.every = _FRAME
        self._tally = tally
        self._live = live

    def show(self, elapsed: float, pace: float) -> None:
        self._live.update(_drawing(self._tally, elapsed, pace), refresh=True)

    def line(self, text: str) -> None:
        if not sys.stdout.isatty():
            write_line(text)
            return
        # Both streams are one screen, on which rich moves the bar out of the way.
        self._live.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _drawing(tally: Tally, elapsed: float, pace: float) -> RenderableType:
    """Two lines, which fold on a narrow terminal."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    minutes, seconds = divmod(int(elapsed), 60)
    bar = ProgressBar(total=max(tally.total, 1), completed=tally.ended, width=_BAR_WIDTH)
    counts = Text("  ").join(Text(f"{n} {state}", _COLORS.get(state, "")) for state, n in tally.states().items())
    numbers = Text(f"{tally.ended}/{tally.total}  {minutes}:{seconds:02}  {pace:.0f} polls/s")
    return Group(Columns([bar, numbers]), counts)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _live() -> Live | None:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    # Standard output is the caller's, a pipe perhaps: rich would take it over.
    return Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=False)
