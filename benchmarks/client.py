"""One client in a process of its own: polls for a while and prints what that cost, as JSON.

`python -m benchmarks.client CONTENDER ORIGIN IN_FLIGHT LOOP SECONDS [--profile FILE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS
from .scene import Scene

__all__ = ["cpu_seconds", "level_allocator", "loop_factory"]

_WARM_UP = 4  # polls of each operation before the measured time: connections are open, caches filled
_LONGEST_WARM_UP = 1.0  # seconds; who is slow is warm by then


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("origin")
    parser.add_argument("in_flight", type=int)
    parser.add_argument("loop", choices=("asyncio", "uvloop"))
    parser.add_argument("seconds", type=float)
    parser.add_argument("--profile", type=Path, help="write the top of a cProfile of the measured time here")
    options = parser.parse_args()
    level_allocator()
    profile = None if options.profile is None else cProfile.Profile()
    scene = Scene(options.origin, options.in_flight)
    with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
        figures = runner.run(_measure(options.contender, scene, options.seconds, profile))
    if profile is not None:
        _write(profile, options.profile)
    print(json.dumps(figures))


async def _measure(name: str, scene: Scene, seconds: float, profile: cProfile.Profile | None) -> dict[str, float]:
    async with CONTENDERS[name].open(scene) as count:
        give_up = time.perf_counter() + _LONGEST_WARM_UP
        while count() < _WARM_UP * scene.in_flight and time.perf_counter() < give_up:  # noqa: ASYNC110 - clients have no event for it
            await asyncio.sleep(0.05)
        if profile is not None:
            profile.enable()
        polls, cpu, began = count(), cpu_seconds(), time.perf_counter()
        await asyncio.sleep(seconds)
        polls, cpu, took = count() - polls, cpu_seconds() - cpu, time.perf_counter() - began
        if profile is not None:
            profile.disable()
    if not polls:
        raise RuntimeError(f"{name} made no poll in {took:.1f} s")
    return {"polls_per_second": polls / took, "cpu_us": cpu / polls * 1e6}


def level_allocator() -> None:
    """Frees one large block, so that no client owes its speed to what its imports have allocated.

    asyncio reads plain sockets into a new block of 256 KiB each time. Until a larger one has been freed
    glibc maps and unmaps every one of them (mallopt(3), M_MMAP_THRESHOLD), for up to a fifth of a poll's time.
    """
    bytearray(1 << 20)


def cpu_seconds() -> float:
    """The processor time of this process, the kernel's share of it included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def loop_factory(name: str) -> Callable[[], Any] | None:
    if name == "asyncio":
        return None
    import uvloop

    return uvloop.new_event_loop


def _write(profile: cProfile.Profile, path: Path) -> None:
    with path.open("w") as stream:
        for order in ("tottime", "cumulative"):
            pstats.Stats(profile, stream=stream).strip_dirs().sort_stats(order).print_stats(60)
    os.sync()


if __name__ == "__main__":
    main()
