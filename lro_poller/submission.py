"""What callers hand in to be waited for, read into a name and what is known of it.

Decides which objects stand for an operation. No client library is imported: an object is
an operation by the attributes it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from .names import NamePattern
from .operation import Operation

__all__ = ["Submission", "Submittable", "read_submission"]

Submittable: TypeAlias = str | Operation | Mapping[str, Any] | object
"""A name; an Operation, as a dict or as this library's; or an object with `.name` or `.operation.name`."""


class Submission(NamedTuple):
    """An operation to wait for: as the caller saw it, or None, and how often it was seen running."""

    name: str
    operation: Operation | None
    sightings: int


def read_submission(names: NamePattern, given: Submittable) -> Submission:
    """Reads what was handed in.

    Raises:
        InvalidOperationName: its name is none of the service's.
        ValueError: it is a dict, and no Operation; the message names the field.
        TypeError: it has no name at all.
    """
    if isinstance(given, str):
        return Submission(names.check(given), None, 0)
    operation = given if isinstance(given, Operation) else _read_operation(given)
    if isinstance(operation, str):
        return Submission(names.check(operation), None, 0)
    return Submission(names.check(operation.name), operation, int(not operation.done))


def _read_operation(given: object) -> Operation | str:
    """The operation that an object holds, or its name where that is all it tells."""
    if isinstance(given, Mapping):
        return Operation.from_mapping(given)
    held = getattr(given, "operation", None)  # google.api_core.operation.Operation holds the message
    holder = held if hasattr(held, "name") else given
    name = getattr(holder, "name", None)
    if not isinstance(name, str):
        raise TypeError(
            f"an operation is given by its name, as a dict, or as an object with .name or .operation.name, "
            f"not as {type(given).__name__}"
        )
    return _read_message(holder) or name


def _read_message(holder: Any) -> Operation | None:
    """The whole Operation out of a protobuf message; None for other objects and for types that are not known here."""
    if not hasattr(holder, "DESCRIPTOR") or not hasattr(holder, "done"):
        return None
    from google.protobuf import json_format  # installed: the message comes from it

    try:
        return Operation.from_mapping(json_format.MessageToDict(holder))
    except (TypeError, ValueError, json_format.Error):
        return None  # an Any whose type nobody imported; polling the name tells as much
