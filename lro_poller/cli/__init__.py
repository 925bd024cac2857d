"""The command line, `lro-poller`."""

from __future__ import annotations

from .main import main, process

__all__ = ["main", "process"]
