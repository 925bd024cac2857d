"""google.longrunning.Operation, as it was read from one reply.

Decides what the JSON of an operation says; what follows from it is decided elsewhere.
`metadata` and `response` stay undecoded until somebody asks: most polls bring nothing
that anybody reads. An outcome is not lost for a character in it: what RFC 8259 allows and
most parsers refuse is read all the same.

Sources: google/longrunning/operations.proto, AIP-151, RFC 8259.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from . import mending
from .status import Code, Status, any_type

__all__ = ["Operation"]

_NULL = msgspec.Raw(b"null")


class _Wire(msgspec.Struct):
    """The fields that are read; all others are skipped, whatever they are."""

    done: bool | None = None
    error: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL


_decode_wire = msgspec.json.Decoder(_Wire).decode


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One reading of an operation.

    Attributes:
        name: The name it was asked for by, never the one a reply gave.
        done: Whether it has ended.
        error: Why it failed; None while it runs and when it succeeded.
        raw: The resource as it came, JSON in UTF-8. Whatever else is asked for is read out of it again: most
            operations that wait are never asked, and there may be a million.
    """

    name: str
    done: bool
    error: Status | None
    raw: bytes

    @classmethod
    def from_json(cls, name: str, body: bytes) -> Operation:
        """Reads the JSON body of a reply to operations.get for `name`.

        Raises:
            ValueError: the body is not the JSON of an Operation. It quotes nothing of the body.
        """
        try:
            wire = _read_wire(body)
        except UnicodeDecodeError:
            raise ValueError("the body is not UTF-8") from None
        except msgspec.ValidationError as error:
            raise ValueError(f"the body is no Operation: {_without_values(error)}") from None
        except msgspec.DecodeError:
            raise ValueError("the body is not JSON") from None
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None
        done = wire.done is True
        failure = _read_status(bytes(wire.error)) if done and wire.error != _NULL else None
        return cls(name, done, failure, body)

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> Operation:
        """Reads an Operation that a client library has already turned into a dict.

        Raises:
            ValueError: it is no Operation; the message names the field.
        """
        name = value.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"not an Operation: name must be a non-empty text, not {name!r}")
        done = value.get("done")
        if done is not None and not isinstance(done, bool):
            raise ValueError(f"not an Operation: done must be true or false, not {done!r}")
        for field in ("error", "response", "metadata"):
            if value.get(field) is not None and not isinstance(value[field], (dict, Mapping)):
                raise ValueError(f"not an Operation: {field} must be an object, not {type(value[field]).__name__}")
        try:
            body = _encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"not an Operation: {error}") from error
        failure = value.get("error") if done else None
        status = None if failure is None else _read_status(_encode(failure))
        return cls(str.__str__(name), done is True, status, body)

    @property
    def raw_metadata(self) -> bytes | None:
        """The JSON of `metadata`, U+FFFD in place of half a surrogate pair; None where there is none."""
        try:
            return _present(_read_wire(self.raw).metadata)
        except (ValueError, RecursionError):  # read at the edge of the stack, or not by `from_json`
            return None

    @property
    def raw_response(self) -> bytes | None:
        """The JSON of `response`, U+FFFD in place of half a surrogate pair; None where there is none."""
        return _present(_read_wire(self.raw).response)

    @property
    def metadata(self) -> Any:
        """`metadata` as JSON values; None where there is none or it cannot be decoded."""
        raw = self.raw_metadata
        try:
            return None if raw is None else _json(raw)
        except (ValueError, RecursionError):
            return None

    @property
    def response(self) -> Any:
        """`response` as JSON values; None where there is none, `{}` for google.protobuf.Empty.

        Raises:
            ValueError: the response is not valid JSON.
        """
        raw = self.raw_response
        if raw is None:
            return None
        try:
            value = _json(raw)
        except RecursionError:
            fault = "is nested too deeply"
        except ValueError:
            fault = "is no JSON that can be read"
        else:
            empty = isinstance(value, dict) and any_type(value) == "google.protobuf.Empty"
            return {} if empty else value
        raise ValueError(f"the response {fault}")  # out here, where an error that quotes the body is no context of it

    def __repr__(self) -> str:
        """State only: a body may hold what a log must not."""
        if not self.done:
            state = "running"
        elif self.error is not None:
            state = f"failed {self.error.code_name}"
        else:
            state = "succeeded"
        return f"<Operation {self.name} {state}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """No more than that to rich, which would go through the fields."""
        return [("name", self.name), ("done", self.done), ("error", self.error)]


def _read_wire(body: bytes) -> _Wire:
    return mending.read(_decode_wire, body)


def _read_status(raw: bytes) -> Status:
    """The error of an operation. One that cannot be read has failed the operation all the same."""
    try:
        return Status.read(mending.json_values(raw))
    except (ValueError, RecursionError):
        return Status(Code.UNKNOWN)


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError:  # half a surrogate pair, which is mended where it is read
        return json.dumps(value, default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """A mapping that is no dict, as a dict, and of a text of another class the text."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _json(raw: bytes | msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _present(raw: msgspec.Raw) -> bytes | None:
    """The bytes of a field, copied so that they do not keep the rest alive; None for null."""
    return None if raw == _NULL else bytes(raw)


def _without_values(error: msgspec.ValidationError) -> str:
    """What was expected and where. msgspec quotes types and paths, never values; a path may hold keys."""
    return str(error).partition(" - at ")[0]
