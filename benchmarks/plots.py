"""Draws the kept figures: `python -m benchmarks.plots` turns `results/*.json` into `docs/plots/*.svg`.

White behind everything, so that a plot can be read on a dark page too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .contenders import CONTENDERS
from .load import LABELS
from .report import PLOTS, RESULTS
from .waiting import WAITERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["main"]

_OURS, _PEERS, _SECOND = "#1a73e8", "#9aa0a6", "#fbbc04"
_OFF_SCALE = 1000.0  # µs a poll: a bar of more than this would leave the others too short to compare

mpl.use("svg")
mpl.rcParams |= {
    "svg.fonttype": "none",  # text stays text: a tenth of the size
    "svg.hashsalt": "lro-poller",  # the same figures, the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def main() -> None:
    """Draws every plot whose figures were kept."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for name, (draw, height) in _PLOTS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text())
            figure = Figure(figsize=(7.2, height), facecolor="white", layout="constrained")
            draw(figure, kept["figures"])
            machine = kept["machine"]
            figure.supxlabel(
                f"{kept['command']}, Python {machine['python']}, {machine['processor']}, {machine['date']}", size=7
            )
            figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})


def _draw_throughput(figure: Figure, figures: Any) -> None:
    for axes, transport in zip(figure.subplots(2, 1), ("plain", "TLS"), strict=True):
        taken = figures[f"64 in flight, {transport}, asyncio"]
        bars = {CONTENDERS[name].label: _median(rounds, "cpu_us") for name, rounds in taken.items()}
        _bars(axes, {label: value for label, value in bars.items() if value < _OFF_SCALE}, "{:,.0f}")
        off = "; ".join(f"{label}: {value:,.0f}" for label, value in bars.items() if value >= _OFF_SCALE)
        title = f"processor time a poll, µs, {'HTTPS' if transport == 'TLS' else 'HTTP'}"
        axes.set_title(f"{title} ({off}, not drawn)" if off else title, size=9)


def _draw_memory(figure: Figure, figures: Any) -> None:
    taken = [one for one in figures.values() if "google" in one][-1]
    pair = {"bytes": ("bytes of a pending operation", "{:,.0f}"), "submit_us": ("µs to submit one", "{:.1f}")}
    for axes, (column, (title, form)) in zip(figure.subplots(2, 1), pair.items(), strict=True):
        _bars(axes, {WAITERS[name][0]: _median(rounds, column) for name, rounds in taken.items()}, form)
        axes.set_title(title, size=9)


def _draw_imports(figure: Figure, figures: Any) -> None:
    axes = figure.subplots()
    bars = {case: _median(rounds, "ms") for case, rounds in figures.items() if rounds[0].get("modules")}
    _bars(axes, bars, "{:,.0f}")
    axes.set_title("time to import, ms", size=9)


def _draw_lateness(figure: Figure, figures: Any) -> None:
    axes = figure.subplots()
    rows = {
        ", ".join((LABELS[name], f"{int(count):,}", *rate)): figures[case]
        for case in figures
        for name, count, *rate in [case.split()]
    }
    heights = range(len(rows))
    for column, shift, colour in (("p99_ms", 0.2, _SECOND), ("p50_ms", -0.2, _OURS)):
        values = [_median(rounds, column) for rounds in rows.values()]
        axes.barh([height + shift for height in heights], values, 0.38, color=colour, label=column.removesuffix("_ms"))
    axes.set_yticks(heights, list(rows))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.legend(frameon=False)
    axes.set_title("how late polls start, ms, at half the throughput, or a quarter", size=9)


def _draw_growth(figure: Figure, figures: Any) -> None:
    axes = figure.subplots()
    for name, colour in (("lro_poller", _OURS), ("coroutines", _PEERS)):
        line = {int(case.split()[1]): _median(rounds, "cpu_us") for case, rounds in figures.items() if name in case}
        axes.plot(list(line), list(line.values()), "o-", color=colour, label=LABELS[name])
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.set_title("processor time a poll, µs, by operations pending", size=9)


def _bars(axes: Axes, values: Mapping[str, float], form: str) -> None:
    """One bar for each, ours in colour, with its value at its end."""
    colours = [_OURS if "lro_poller" in label else _PEERS for label in values]
    bars = axes.barh(list(values), list(values.values()), color=colours)
    axes.bar_label(bars, [form.format(value) for value in values.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)


def _median(rounds: list[dict[str, float]], column: str) -> float:
    return statistics.median(one[column] for one in rounds)


_PLOTS: dict[str, tuple[Callable[[Figure, Any], None], float]] = {
    "throughput": (_draw_throughput, 4.4),
    "memory": (_draw_memory, 3.8),
    "imports": (_draw_imports, 2.6),
    "lateness": (_draw_lateness, 3.0),
    "growth": (_draw_growth, 2.8),
}


if __name__ == "__main__":
    main()
