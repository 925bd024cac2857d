"""Looks for a secret in everything that an object reaches: texts, reprs, tracebacks, pickles, causes."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

__all__ = ["chain", "leaks"]


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that it was caused by or came in the course of."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        left += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


def leaks(error: BaseException, secret: str) -> list[str]:
    """Where `secret` shows: in what is printed of the error, pickled of it, or reached from it by an attribute."""
    found = []
    if secret in "".join(traceback.format_exception(error)):
        found.append("the traceback")
    for one in chain(error):
        label = type(one).__name__
        found += [f"{label}: {where}" for where, text in _texts(one) if secret in text]
        found += [f"{label}.{path}" for path, value in _attributes(one) if _shows(value, secret)]
    return found


def _texts(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "str", str(error)
    yield "repr", repr(error)
    yield "notes", repr(getattr(error, "__notes__", ()))
    with contextlib.suppress(Exception):  # errors of others need not survive a pickle
        yield "pickle", repr(pickle.dumps(error))


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    names = [name for name in dir(error) if not name.startswith("__")]
    for name in names:
        value = getattr(error, name, None)
        yield name, value
        if hasattr(value, "__dict__"):
            yield from ((f"{name}.{inner}", held) for inner, held in vars(value).items())


def _shows(value: Any, secret: str) -> bool:
    return secret in repr(value) or (isinstance(value, bytes) and secret.encode() in value)
