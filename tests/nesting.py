"""How deep JSON has to be nested that no parser reads it."""

from __future__ import annotations

__all__ = ["TOO_DEEP"]

TOO_DEEP = 1_000_000
"""Levels that no stack of the usual size holds. Before Python 3.14 a thousand would do, however large the stack."""
