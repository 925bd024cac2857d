"""What importing costs: time, memory, and how many modules come along.

`python -m benchmarks.imports`: `import lro_poller` and `lro-poller --version`, against the
clients that one would use in its place. Each in a new process, from warm files, beside an
interpreter that imports nothing. All are compiled before, as pip does when it installs.
"""

from __future__ import annotations

import compileall
import importlib.util
import json
import resource
import sys
import time
from collections.abc import Iterator

from .harness import Figures, in_turn, median, parse_options, ratio, run_pinned
from .report import Target, print_table, publish

__all__ = ["main"]

_IMPORTS = {
    "nothing": "",
    "lro_poller": "import lro_poller",
    "lro_poller, its aiohttp transport": "import lro_poller.transports.aiohttp, lro_poller",
    "aiohttp": "import aiohttp",
    "google-api-core's operations client": "import google.api_core.operations_v1",
    "google-apps-events-subscriptions": "import google.apps.events_subscriptions",
}
_COMMAND = "lro-poller --version"

_PROBE = """\
import json, sys, time
modules, cpu, began = len(sys.modules), time.process_time(), time.perf_counter()
{statement}
took, cpu = time.perf_counter() - began, time.process_time() - cpu
try:
    pages = int(open("/proc/self/statm").read().split()[1])
except OSError:
    pages = 0
print(json.dumps({{"ms": took * 1e3, "cpu_ms": cpu * 1e3, "pages": pages, "modules": len(sys.modules) - modules}}))
"""


def main() -> None:
    """Runs it, prints the table and keeps the figures."""
    options = parse_options("imports", __doc__)
    _compile()
    taken = in_turn([*_IMPORTS, _COMMAND], options.rounds_or(5), _measure, title="imports")
    _print(taken)
    publish("imports", taken, list(_targets(taken)), keep=not options.quick)


def _compile() -> None:
    """Compiles this package, which pip has not where it is installed from a clone in place.

    Python itself does so at the first import, unless it is told by PYTHONDONTWRITEBYTECODE to write nothing down.
    """
    package = importlib.util.find_spec("lro_poller")
    assert package is not None
    for folder in package.submodule_search_locations or ():
        compileall.compile_dir(folder, quiet=1)


def _measure(case: str) -> Figures:
    command = ["-m", "lro_poller", "--version"] if case == _COMMAND else ["-c", _PROBE.format(statement=_IMPORTS[case])]
    began = time.perf_counter()
    said = run_pinned([sys.executable, *command])
    whole = {"process_ms": (time.perf_counter() - began) * 1e3}
    return whole if case == _COMMAND else whole | json.loads(said)


def _print(taken: dict[str, list[Figures]]) -> None:
    nothing = taken["nothing"]
    rows = []
    for case, rounds in taken.items():
        cells = ["", "", "", ""]
        if case != _COMMAND:
            extra = (median(rounds, "pages") - median(nothing, "pages")) * resource.getpagesize() / 2**20
            times = [f"{median(rounds, figure):.0f}" for figure in ("ms", "cpu_ms")]
            cells = [*times, f"{extra:.1f}", f"{median(rounds, 'modules'):.0f}"]
        rows.append((case, *cells, f"{median(rounds, 'process_ms'):.0f}"))
    print_table("imports", ("imported", "ms", "CPU ms", "MiB", "modules", "ms, the whole process"), rows)


def _targets(taken: dict[str, list[Figures]]) -> Iterator[Target]:
    ours, google = taken["lro_poller"], taken.get("google-api-core's operations client")
    yield Target("import lro_poller, ms", median(ours, "ms"), "at most", 100)
    share = None if google is None else ratio(ours, google, "ms")
    yield Target("import lro_poller, of google-api-core's", share, "at most", 1 / 3)


if __name__ == "__main__":
    main()
