"""JSON of servers that write what RFC 8259 allows and most parsers refuse, or a little more.

Decides what is made of it: nothing of a reply is lost for a character elsewhere in it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import msgspec

__all__ = ["json_values", "read"]

T = TypeVar("T")

_Parts: TypeAlias = dict[str, msgspec.Raw] | list[msgspec.Raw]

_DEEPEST = 6  # objects within objects in which what can be read is told from what cannot

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HALF_OF_A_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole one
    rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(?:\\[^u])+",  # other escapes, such as the backslash before a `ud800` that is text
)


def read(decode: Callable[[bytes], T], body: bytes) -> T:
    """What `decode` makes of `body`; where it is refused, of `body` mended.

    Raises:
        ValueError: as `decode` does.
    """
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decode(_mended(body))


def json_values(body: bytes) -> Any:
    """The JSON values of `body`. Those in it that cannot be read, such as a number too large, are texts as they came.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return _readable(_mended(body.decode("utf-8", "replace").encode()), _DEEPEST)


def _readable(body: bytes | msgspec.Raw, deepest: int) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        parts = msgspec.json.decode(body, type=_Parts)
    if isinstance(parts, dict):
        return {key: _part(one, deepest) for key, one in parts.items()}
    return [_part(one, deepest) for one in parts]


def _part(raw: msgspec.Raw, deepest: int) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        if deepest:
            return _readable(raw, deepest - 1)
    return bytes(raw).decode()


def _mended(body: bytes) -> bytes:
    """`body` without what RFC 8259 lets a parser refuse: a byte order mark, and halves of surrogate pairs.

    The second come from servers that cut a text by its UTF-16 units (section 8.2).
    """
    return _HALF_OF_A_PAIR.sub(
        lambda escape: rb"\ufffd" if escape[1] else escape[0], body.removeprefix(_BYTE_ORDER_MARK)
    )
