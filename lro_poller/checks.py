"""What callers hand in, checked where they hand it in.

A value of a wrong kind would otherwise be found out at the first poll, as a fault of that poll.
"""

from __future__ import annotations

import datetime
import inspect
import math
import sys
from typing import Any, TypeVar

__all__ = [
    "check_credentials",
    "check_finite",
    "check_function",
    "check_part",
    "check_path",
    "check_rate",
    "check_seconds",
    "check_text",
    "check_wait",
    "check_whole",
]

T = TypeVar("T")


def check_seconds(what: str, value: float) -> float:
    """Returns a span of time; `math.inf` is one.

    Raises:
        ValueError: it is no number above zero.
    """
    return _above_zero(what, "seconds", value)


def check_finite(what: str, value: float) -> float:
    """Returns a span of time that ends.

    Raises:
        ValueError: it is no finite number above zero.
    """
    seconds = check_seconds(what, value)
    if seconds == math.inf:
        raise ValueError(f"{what} must be finite")
    return seconds


def check_wait(what: str, value: float) -> float:
    """Returns a finite span of time, which may be none at all.

    Raises:
        ValueError: it is no number of seconds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{what} must be a number of seconds, 0 or more, not {value!r}")
    return float(min(value, sys.float_info.max))


def check_rate(what: str, value: float) -> float:
    """Returns a number of polls a second; `math.inf` is one.

    Raises:
        ValueError: it is no number above zero.
    """
    return _above_zero(what, "polls a second", value)


def _above_zero(what: str, unit: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        hint = "; it has total_seconds()" if isinstance(value, datetime.timedelta) else ""
        raise ValueError(f"{what} must be a number of {unit} above 0, not {value!r}{hint}")
    return float(min(value, sys.float_info.max)) if value < math.inf else math.inf


def check_whole(what: str, value: int, least: int, most: int | None = None) -> int:
    """Returns a whole number from `least` to `most`.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{what} must be a whole number, {bounds}, not {value!r}")
    return value


def check_text(what: str, value: str) -> str:
    """Returns a text that can be written down; of one of another class, such as an enum's, the text.

    Raises:
        TypeError: it is something else.
        ValueError: it has half a surrogate pair in it, as of a file's name that is no UTF-8.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} cannot be written in UTF-8: {value!r}") from None
    return str.__str__(value)


def check_path(what: str, value: str) -> str:
    """Returns the path of a URL.

    Raises:
        TypeError: it is no text.
        ValueError: it does not begin with `/`.
    """
    if not check_text(what, value).startswith("/"):
        raise ValueError(f"{what} must begin with '/', not {value!r}")
    return value


def check_function(what: str, value: T) -> T:
    """Returns `value`, which can be called and does not want to be awaited.

    Raises:
        TypeError: it is something else.
    """
    function: Any = value
    if not callable(function):
        raise TypeError(f"{what} must be a function, not {value!r}")
    called = None if isinstance(value, type) else getattr(value, "__call__", None)  # noqa: B004 - an object may have an async one
    if any(map(inspect.iscoroutinefunction, (value, called))) or any(map(inspect.isasyncgenfunction, (value, called))):
        raise TypeError(f"{what} must be a plain function, for nobody would await {value!r}")
    return value


def check_part(what: str, value: object, kind: type[T]) -> T:
    """Returns `value`, which is a `kind`.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be a {kind.__name__}, not {value!r}")
    return value


def check_credentials(credentials: Any) -> Any:
    """Returns credentials of google-auth, or None; never shows them.

    Raises:
        TypeError: they are something else, such as the path of a file.
    """
    if isinstance(credentials, type):
        raise TypeError(f"credentials must be an object, not a class: {credentials.__name__}()")
    if credentials is not None and not hasattr(credentials, "before_request"):
        raise TypeError(
            f"credentials must be an object of google-auth, not {type(credentials).__name__}; "
            "google.auth.load_credentials_from_file reads a file"
        )
    return credentials
