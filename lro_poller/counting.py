"""How a count is said."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """`1 poll`, `2 polls`, `0 polls`; for nouns that only an s makes several."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
