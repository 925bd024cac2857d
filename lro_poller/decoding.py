"""How a response becomes what the caller asked for.

Decides nothing about whether an operation succeeded. A response is JSON until `decode=`
says otherwise, and no library that a caller's type comes from is imported here.

An error of a library that decodes may quote the body, so only what it says of types and
places is passed on. A caller's own callable is chained whole: what it raises is its own.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast, get_args, get_origin

import msgspec

from .checks import check_function
from .errors import DecodeError, quoted
from .operation import Operation
from .status import any_type

__all__ = ["Decoder", "Decoding", "decode_response", "decoding_of"]


_MOST_FAULTS = 20  # that are told of one response
_LONGEST_FIELD = 64  # characters of a field's name
_DEEPEST = 20  # types within types: some stand for what has them in it


class Decoding(NamedTuple):
    """How a succeeded operation becomes the value of its future."""

    read: Callable[[Any, Operation], Any]
    what: Any
    """What `read` goes by: a type, or a function of the caller's or of a library's."""


class Decoder(msgspec.Struct, gc=False, eq=False):
    """The decoding of one future.

    The garbage collector does not look at it, for there may be one for each operation that is pending. So the
    future empties it when it ends: a decoder that raises leaves it in the frames that its traceback leads to.
    """

    read: Callable[[Any, Operation], Any]
    what: Any

    def empty(self) -> None:
        """Lets go of what is the caller's."""
        self.read, self.what = _spent, None


def decoding_of(decode: Any) -> Decoding | None:
    """How a succeeded operation becomes the value of its future.

    Args:
        decode: None for JSON values; a msgspec Struct, dataclass, TypedDict or other type that
            msgspec reads; a pydantic model, dataclass or TypeAdapter; a protobuf message class, plain or
            proto-plus; a NewType or an alias of one of these; or any callable, which is given the JSON value.

    Raises:
        TypeError: it is none of these.
    """
    if decode is None:
        return None
    decode = _under(decode)
    decoding = _decoding_of_type(decode)
    if decoding is not None:
        return decoding
    if isinstance(decode, type) and issubclass(decode, tuple):
        raise TypeError(f"decode must be a type that JSON objects are read into, such as a dataclass, not {decode!r}")
    if not callable(decode):
        raise TypeError(f"decode must be a type or a callable, not {decode!r}")
    if isinstance(decode, type) and hasattr(decode, "parse_obj") and hasattr(decode, "__fields__"):
        raise TypeError(
            f"decode={decode!r} is a model of pydantic 1, which is not made of one value: say its parse_obj"
        )
    return Decoding(_call, check_function("decode", decode))


def _under(decode: Any) -> Any:
    """What a NewType is made of in the end, or a `type` statement stands for; anything else as it is.

    Raises:
        TypeError: it stands for itself.
    """
    under = decode
    for _ in range(_DEEPEST):
        if isinstance(under, type) or get_origin(under) is not None:
            return under
        if hasattr(under, "__supertype__"):
            under = under.__supertype__
        elif hasattr(under, "__value__"):
            under = under.__value__
        else:
            return under
    raise TypeError(f"decode={decode!r} stands for itself")


def _decoding_of_type(decode: Any) -> Decoding | None:
    """For a type that a library knows how to read; None for any other, and for a mere callable."""
    validate = _pydantic_validator(decode)
    if validate is not None:
        return Decoding(_parse_pydantic, validate)
    if isinstance(decode, type) and hasattr(decode, "DESCRIPTOR"):
        return Decoding(_parse_protobuf, decode)
    if isinstance(decode, type) and hasattr(decode, "pb") and hasattr(decode, "from_json"):
        return Decoding(_parse_proto_plus, decode)
    if decode in _PLAIN_TYPES:
        return Decoding(_convert, decode)
    if not _is_msgspec_type(decode):
        return None
    if any(map(_pydantic_validator, _parts(decode))):
        raise TypeError(f"decode={decode!r} has a model of pydantic's in it: say pydantic.TypeAdapter(…) of it")
    try:
        return Decoding(_parse_typed, msgspec.json.Decoder(decode))
    except RecursionError:
        raise TypeError(f"decode={decode!r} has itself in it") from None


def _pydantic_validator(decode: Any) -> Callable[[bytes | None], Any] | None:
    """What reads JSON into a model or a dataclass of pydantic's, or by a TypeAdapter; None for anything else."""
    for validate in ("model_validate_json", "validate_json"):
        if hasattr(decode, validate):
            return cast("Callable[[bytes | None], Any]", getattr(decode, validate))
    if not isinstance(decode, type):
        return None  # an instance of such a dataclass may be a callable
    validator = getattr(decode, "__pydantic_validator__", None)
    if validator is not None and "__pydantic_validator__" not in vars(decode):  # its base's, which makes one of those
        from pydantic import TypeAdapter  # installed: the caller's class comes from it

        validator = TypeAdapter(decode)
    return None if validator is None else _pydantic_validator(validator)


def _parts(decode: Any, depth: int = 0) -> Iterator[Any]:
    """The types that a union or a container is made of, all the way down."""
    if depth < _DEEPEST:
        alias = getattr(get_origin(decode), "__value__", None)  # what Box[int] stands for, after `type Box[T] = ...`
        for part in map(_under, (*get_args(decode), alias)):
            yield part
            yield from _parts(part, depth + 1)


def decode_response(operation: Operation, decoder: Decoding | Decoder | None) -> Any:
    """The value of a succeeded operation; None where it has no response, whatever the decoder.

    Raises:
        DecodeError: the response is not what the decoder takes.
    """
    try:
        if decoder is None or operation.raw_response is None:
            return operation.response
        return decoder.read(decoder.what, operation)
    except _UnfitError as error:
        failure, cause = DecodeError(operation, quoted(str(error))), None
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # cancelling is not a decoder's to do, and others wait for the same response
        failure, cause = DecodeError(operation, type(error).__name__), error
    raise failure from cause  # out here, where an error that quotes the body is no context of this one


_PLAIN_TYPES = (Any, bool, bytes, dict, float, frozenset, int, list, object, set, str, tuple)
"""As callables they would make something of anything: a text of a dict, and of a list a list of its keys."""


class _UnfitError(ValueError):
    """The response is not of the type that was asked for, in words that quote nothing of it."""


def _spent(what: Any, operation: Operation) -> Any:
    raise AssertionError(f"{operation.name} is decoded once, and not by {what}")


def _call(function: Callable[[Any], Any], operation: Operation) -> Any:
    return function(operation.response)


def _convert(kind: type, operation: Operation) -> Any:
    return _read_strictly(lambda: msgspec.convert(operation.response, kind))


def _parse_typed(decoder: msgspec.json.Decoder[Any], operation: Operation) -> Any:
    return _read_strictly(lambda: decoder.decode(operation.raw_response or b"null"))


def _read_strictly(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except msgspec.MsgspecError as error:
        reason = _without_values(str(error))
    raise _UnfitError(reason)


_PLACED = re.compile(r"(.*?)( - at `\$[^`]*`)?", re.DOTALL)


def _without_values(said: str) -> str:
    """What msgspec says of types and places; a value is in quotation marks, and may hold some itself."""
    if "unknown field `" in said:  # which may itself look like a place
        return said.partition("unknown field `")[0] + "unknown field `…`"
    match = _PLACED.fullmatch(said)
    assert match is not None  # it matches anything
    return re.sub("([\"']).*\\1", "'…'", match[1], flags=re.DOTALL) + (match[2] or "")


def _parse_pydantic(validate: Callable[[bytes | None], Any], operation: Operation) -> Any:
    try:
        return validate(operation.raw_response)
    except ValueError as error:
        tell = getattr(error, "errors", None)
        if tell is None:
            raise
        faults = tell(include_url=False, include_context=False)
    raise _UnfitError("; ".join(map(_fault_of_pydantic, faults[:_MOST_FAULTS])))


def _fault_of_pydantic(fault: dict[str, Any]) -> str:
    """What was wrong, and where. A place may be a key of the response, and what is said of a tag tells the tag."""
    places = [place if _is_a_name(place) else "…" for place in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        places[-1:] = ["…"]
    told = "its tag is none of those expected" if fault["type"] == "union_tag_invalid" else fault["msg"]
    return f"{'.'.join(map(str, places))}: {told}"


def _is_a_name(place: int | str) -> bool:
    return isinstance(place, int) or (place.isidentifier() and len(place) <= _LONGEST_FIELD)


def _is_msgspec_type(decode: Any) -> bool:
    if not isinstance(decode, type):
        return hasattr(decode, "__origin__") or isinstance(decode, types.UnionType)  # dict[str, int], A | B
    return (
        issubclass(decode, msgspec.Struct)
        or decode is msgspec.Raw
        or decode.__module__ == "collections.abc"
        or dataclasses.is_dataclass(decode)
        or hasattr(decode, "__total__")  # TypedDict
        or hasattr(decode, "__attrs_attrs__")
    )


def _parse_protobuf(kind: Callable[[], Any], operation: Operation) -> Any:
    return _fill(kind(), operation)


def _parse_proto_plus(kind: Any, operation: Operation) -> Any:
    return kind.wrap(_fill(kind.pb(kind()), operation))


def _fill(message: Any, operation: Operation) -> Any:
    from google.protobuf import json_format  # installed: the caller's message class comes from it

    value = operation.response
    if not isinstance(value, dict):
        raise TypeError(f"the response is no object but a {type(value).__name__}")
    if message.DESCRIPTOR.full_name != "google.protobuf.Any":  # which keeps the name of the type
        value = _without_type(value)
    try:
        return json_format.ParseDict(value, message, ignore_unknown_fields=True)
    except json_format.ParseError:
        pass  # it quotes what it could not read
    raise _UnfitError(f"it is no {message.DESCRIPTOR.full_name}")


def _without_type(value: dict[str, Any]) -> Any:
    """What an Any holds, as the JSON of its own type."""
    if any_type(value).startswith("google.protobuf.") and "value" in value:
        return value["value"]  # of the types whose JSON is no object
    return {key: field for key, field in value.items() if key != "@type"}
