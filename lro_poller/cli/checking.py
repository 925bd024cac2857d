"""Whether an operation of the demo ended as it was scripted."""

from __future__ import annotations

from typing import Any

from ..errors import LroError, OperationError
from ..future import OperationFuture
from ..status import Code
from ..testing import Script

__all__ = ["difference"]


def difference(future: OperationFuture[Any], script: Script, target: str) -> str | None:
    """How the outcome differs from what was scripted; None where it does not.

    Args:
        future: Done.
        script: How the operation was to go.
        target: The resource that its subscription was created for.
    """
    error = future.exception()
    if isinstance(script.error, Code):
        found = error.code if isinstance(error, OperationError) else None
        return None if found == script.error else f"{_told(error)}, not {script.error.name}"
    if error is not None:
        return f"{_told(error)}, but it was to succeed"
    response = future.result()
    of = response.get("targetResource") if isinstance(response, dict) else None
    return None if of == target else f"its response is of {of}, not {target}"


def _told(error: LroError | None) -> str:
    return "it succeeded" if error is None else str(error)
