"""What callers hand in to be waited for, read into a name and what is known of it.

Decides which objects stand for an operation. No client library is imported: an object is
an operation by the attributes it has.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from .names import NamePattern
from .operation import Operation

__all__ = ["Submission", "Submittable", "read_submission"]


@runtime_checkable  # for whoever checks the types of arguments by `Submittable`
class Named(Protocol):
    """An object with the name of an operation, such as a protobuf message."""

    @property
    def name(self) -> str: ...


@runtime_checkable
class Holding(Protocol):
    """An object that holds such a one, such as google-api-core's futures."""

    @property
    def operation(self) -> Any: ...


Submittable: TypeAlias = str | Operation | Mapping[str, Any] | Named | Holding
"""A name; an Operation, as a dict or as this library's; or an object with `.name` or `.operation.name`."""


class Submission(NamedTuple):
    """An operation to wait for.

    Attributes:
        name: Checked.
        operation: As the caller saw it; None where only the name is known.
        sightings: How often it was seen running.
        age: Seconds that it was waited for before.
        resumed: Whether it comes from a token; how long it has really been running is not known then.
    """

    name: str
    operation: Operation | None = None
    sightings: int = 0
    age: float = 0.0
    resumed: bool = False


def read_submission(names: NamePattern, given: Submittable) -> Submission:
    """Reads what was handed in.

    Raises:
        InvalidOperationName: its name is none of the service's.
        ValueError: it is a dict, and no Operation; the message names the field.
        TypeError: it has no name at all.
    """
    if isinstance(given, str):
        return Submission(names.check(given))
    operation = given if isinstance(given, Operation) else _read_operation(given)
    if isinstance(operation, str):
        return Submission(names.check(operation))
    return Submission(names.check(operation.name), operation, int(not operation.done))


def _read_operation(given: object) -> Operation | str:
    """The operation that an object holds, or its name where that is all it tells."""
    if isinstance(given, (dict, Mapping)):  # the first is told in a quarter of the time
        return Operation.from_mapping(given)
    held = getattr(given, "operation", None)  # google.api_core.operation.Operation holds the message
    if isinstance(held, Operation):  # this library's futures and errors hold one
        return held
    holder = held if hasattr(held, "name") else given
    name = getattr(holder, "name", None)
    if not isinstance(name, str):
        raise TypeError(
            f"an operation is given by its name, as a dict, or as an object with .name or .operation.name, "
            f"not as {type(given).__name__}{_forgotten(given)}"
        )
    return _read_message(holder) or name


def _forgotten(given: object) -> str:
    """What turns the object into an operation, where that is known."""
    if inspect.iscoroutine(given):
        given.close()  # or Python would say once more that it was never awaited
        return ": await it first"
    if hasattr(given, "add_done_callback"):  # a task, or a future of asyncio or of a thread
        return ": submit what it returns"
    return ": call its execute() first" if hasattr(given, "execute") else ""


def _read_message(holder: Any) -> Operation | None:
    """The whole Operation out of a protobuf message; None for other objects and for types that are not known here."""
    if not hasattr(holder, "DESCRIPTOR") or not hasattr(holder, "done"):
        return None
    from google.protobuf import json_format  # installed: the message comes from it

    try:
        return Operation.from_mapping(json_format.MessageToDict(holder))
    except (TypeError, ValueError, json_format.Error):
        return None  # an Any whose type nobody imported; polling the name tells as much
