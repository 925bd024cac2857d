"""How many polls a second half the throughput of the poller is, on this machine at this hour."""

from __future__ import annotations

from .harness import run_child
from .server import Server

__all__ = ["half_throughput"]


def half_throughput(running: Server) -> float:
    """Half of what the poller manages with 64 polls in flight, without TLS, on asyncio's loop."""
    rates = [run_child("client", "lro_poller", running.plain, 64, "asyncio", 0.5, server=running) for _ in range(3)]
    return sorted(rate["polls_per_second"] for rate in rates)[1] / 2
