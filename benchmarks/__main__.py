"""Runs every benchmark, or one: `python -m benchmarks [NAME] [--quick]`.

Each is a module of its own, `python -m benchmarks.NAME`, and takes arguments of its own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time

_ALL = ("imports", "memory", "throughput", "lateness", "growth", "overhead", "decision", "cadence")
"""What a run without a name consists of: some ten minutes on two cores."""

_NO_QUICK = ("cadence",)
"""Simulates in place of measuring: it has nothing to try out, and takes no such argument."""

_NAMED_ONLY = ("exits",)
"""Runs hundreds of processes: to decide on a transport, not to know how fast one is."""


def main(arguments: list[str]) -> int:
    """Returns the first exit status that is not 0; a target that is missed is no failure."""
    known = [name for name in (*_ALL, *_NAMED_ONLY) if importlib.util.find_spec(f"benchmarks.{name}")]
    if arguments and not arguments[0].startswith("-"):
        name, *rest = arguments
        if name not in known:
            print(f"there is no benchmark {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
        return _run(name, rest) or _draw(rest)
    if arguments not in ([], ["--quick"]):
        print(__doc__, file=sys.stderr)
        return 0 if arguments in (["--help"], ["-h"]) else 2
    began = time.monotonic()
    names = [name for name in _ALL if name in known and not (arguments and name in _NO_QUICK)]
    statuses = [_run(name, arguments) for name in names]
    print(f"\nall of it took {time.monotonic() - began:.0f} s")
    return next((status for status in statuses if status), 0) or _draw(arguments)


def _run(name: str, arguments: list[str]) -> int:
    print(f"\n== {name} ==", flush=True)
    began = time.monotonic()
    status = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode
    print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)
    return status


def _draw(arguments: list[str]) -> int:
    """The plots follow the figures that are kept, which a quick run's are not."""
    if "--quick" in arguments or "--help" in arguments:
        return 0
    return subprocess.run([sys.executable, "-m", "benchmarks.plots"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
