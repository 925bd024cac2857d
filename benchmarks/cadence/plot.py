"""The figures as pictures: small SVG files, on white, so that they can be read on a dark page too."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox

from .figures import OURS, Row
from .optimum import Point
from .run import ALONE, Result

__all__ = ["plot_alone", "plot_crowd"]

_OURS, _PEER, _LIMIT, _INK = "#d1242f", "#57606a", "#0969da", "#1f2328"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cadence",  # the same figures make the same file
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.color": _INK,
    "axes.edgecolor": "#8c959f",
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_LEAST = 0.9  # polls, where the axis begins
_FONTS = "DejaVu Sans, Verdana, sans-serif"
_COLUMNS = 3
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # where a label may stand
_DISTANCES = (5, 9, 14, 20, 28)  # points from its dot, the nearest that is free
_ALIGN = {-1: "right", 0: "center", 1: "left"}
_RISE = {-1: "top", 0: "center", 1: "bottom"}


def plot_alone(results: Sequence[Result], path: Path) -> None:
    """Polls against lateness of every policy, and the line below which nobody can be."""
    with mpl.rc_context(_STYLE):
        alone = [result for result in results if result.mode == ALONE]
        title = "One operation at a time: polls it takes, and how late its end is known (both logarithmic)"
        figure, panels = _panels(title, len(alone), height=3.1)
        for axes, result in zip(panels, alone, strict=True):
            _scatter(axes, result)
        figure.draw_without_rendering()  # places the axes, which labels go by
        for axes, result in zip(panels, alone, strict=True):
            _label_all(axes, result)
        _save(figure, path)


def plot_crowd(results: Sequence[Result], mode: str, path: Path) -> None:
    """Mean lateness of every policy in one crowd, with its polls and 429s."""
    with mpl.rc_context(_STYLE):
        crowd = [result for result in results if result.mode == mode]
        title = f"A {mode}, 600 polls a minute allowed: mean seconds from an end until it is known"
        figure, panels = _panels(title, len(crowd), height=2.7)
        for axes, result in zip(panels, crowd, strict=True):
            _bars(axes, result)
        _save(figure, path)


def _panels(title: str, count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.0 * columns, height * rows), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def _save(figure: Figure, path: Path) -> None:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    path.write_text(_slim(written.getvalue()))


def _slim(svg: str) -> str:
    """The same picture in half the bytes: the font is named once, and what draws nothing is left out."""
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg).replace("<svg ", f'<svg font-family="{_FONTS}" ', 1)
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"|<!--.*?-->', "", svg, flags=re.DOTALL)
    svg = re.sub(r'\n\s*<g id="line2d_\d+"/>| id="(?:text|line2d|patch|[xy]tick)_\d+"', "", svg)
    return re.sub(r"\n\s*", "\n", re.sub(r"(\d\.\d\d)\d+", r"\1", svg))


# One operation at a time.


def _scatter(axes: Axes, result: Result) -> None:
    own, peers = result.rows[0], result.rows[1:]
    most, line = _most(result), _line(result)
    polls, lateness = [point.polls for point in line], [point.lateness for point in line]
    axes.set(xscale="log", yscale="log", title=result.workload.title, xlabel="polls an operation", ylabel="late, s")
    axes.plot(polls, lateness, color=_LIMIT, linewidth=1.5, zorder=1)
    axes.fill_between([_LEAST, *polls], [lateness[0], *lateness], 1e-9, color=_LIMIT, alpha=0.08, linewidth=0, zorder=0)
    axes.scatter([row.polls for row in peers], [row.lateness for row in peers], s=14, color=_PEER, zorder=2)
    axes.scatter([own.polls], [own.lateness], s=70, marker="*", color=_OURS, zorder=3)
    axes.set_xlim(_LEAST, most)
    heights = [row.lateness for row in result.rows] + [point.lateness for point in line if point.polls < most / 1.5]
    axes.set_ylim(min(heights) * 0.7, max(row.lateness for row in result.rows) * 2.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    axes.text(0.03, 0.04, "nobody can be here", color=_LIMIT, fontsize=7, transform=axes.transAxes)


def _most(result: Result) -> float:
    return max(row.polls for row in result.rows) * 1.5


def _line(result: Result) -> list[Point]:
    """The part of the frontier that is shown."""
    return [point for point in result.frontier if point.polls <= _most(result)]


def _label_all(axes: Axes, result: Result) -> None:
    """Each dot's name, where it covers no dot, no other name and not the line, if such a place is near."""
    places = [(row.polls, row.lateness) for row in result.rows]
    places += [(point.polls, point.lateness) for point in _line(result)]
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in map(axes.transData.transform, places)]
    for row in result.rows:
        _label(axes, row, taken)


def _label(axes: Axes, row: Row, taken: list[Bbox]) -> None:
    color, weight = (_OURS, "bold") if row.policy == OURS else (_PEER, "normal")
    at, name = (row.polls, row.lateness), row.policy.removeprefix("google-")
    text = axes.annotate(name, at, (0, 0), textcoords="offset points", color=color, weight=weight, fontsize=7)
    text.set_in_layout(False)
    distance = _place(text, axes.get_window_extent(), taken)
    taken.append(text.get_window_extent().padded(2))
    if distance > _DISTANCES[0]:  # it may stand nearer to another's dot than to its own
        leader = {"arrowstyle": "-", "linewidth": 0.5, "color": color, "shrinkA": 0, "shrinkB": 2}
        axes.annotate("", at, text.get_position(), textcoords="offset points", arrowprops=leader).set_in_layout(False)


def _place(text: Annotation, bounds: Bbox, taken: Sequence[Bbox]) -> float:
    """Moves a label to the nearest free place; returns how far that is, in points."""
    for distance, (right, up) in itertools.product(_DISTANCES, _SIDES):
        text.set(position=(right * distance, up * distance), ha=_ALIGN[right], va=_RISE[up])
        box = text.get_window_extent()
        inside = bounds.x0 <= box.x0 and box.x1 <= bounds.x1 and bounds.y0 <= box.y0 and box.y1 <= bounds.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return distance
    return distance


# Crowds.


def _bars(axes: Axes, result: Result) -> None:
    rows = sorted(result.rows, key=lambda row: -row.lateness)
    colors = [_OURS if row.policy == OURS else "#afb8c1" for row in rows]
    bars = axes.barh([row.policy for row in rows], [row.lateness for row in rows], color=colors, height=0.75)
    texts = [f"{row.lateness:.3g} s, {row.polls:.1f} polls{_refusals(row)}" for row in rows]
    axes.bar_label(bars, texts, padding=3, fontsize=7)
    axes.set(title=result.workload.title, xlim=(0, 2.35 * rows[0].lateness), xticks=[])
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.spines["bottom"].set_visible(False)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(color=_OURS if row.policy == OURS else _INK, weight="bold" if row.policy == OURS else "normal")


def _refusals(row: Row) -> str:
    return f", {row.refused:,.0f} refused" if row.refused else ""
