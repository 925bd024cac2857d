"""Names of operations: which are well-formed, and how they are written into a URL.

Decides what may be put into the path of a request. A name comes from outside and ends
in a URL beside a bearer token, so whatever could change the host, the path's prefix or
the query is refused here, before any request.

Sources: google/api/http.proto (path templates, percent-encoding), AIP-122, AIP-127, RFC 3986.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, field

from .errors import InvalidOperationName

__all__ = ["MAX_NAME_LENGTH", "NamePattern", "encode"]

MAX_NAME_LENGTH = 2048
"""Characters. Google's longest documented resource names stay below 1,600."""

_UNRESERVED = re.compile("[-_.~/0-9A-Za-z]*").fullmatch
_PLAIN = re.compile("[0-9A-Za-z_~-][-_.~=0-9A-Za-z]*(?:/[0-9A-Za-z_~-][-_.~=0-9A-Za-z]*)*").fullmatch
"""Names with nothing in them that could be wrong, as nearly all are."""

_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class NamePattern:
    """Which names a service has: the template of a path variable, such as `operations/**`.

    `*` stands for one segment and `**`, at the end only, for one or more.
    (google/api/http.proto lets `**` match none; no operation has such a name.)
    """

    template: str
    _matches: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.template, str):
            raise TypeError(f"a path template is a text, not {self.template!r}")
        segments = self.template.split("/")
        odd = [segment for segment in segments if segment not in ("*", "**") and not _UNRESERVED(segment)]
        if not all(segments) or "**" in segments[:-1] or odd or "*" not in self.template:
            raise ValueError(f"not a path template, such as 'projects/*/operations/*': {self.template!r}")
        kinds = {"*": "[^/]+", "**": ".+"}
        regex = "/".join(kinds.get(segment, re.escape(segment)) for segment in segments)
        object.__setattr__(self, "_matches", re.compile(regex, re.DOTALL))

    @property
    def regex(self) -> str:
        """The same as a regular expression, to be matched in full."""
        return self._matches.pattern

    def check(self, name: object) -> str:
        """Returns `name` when it is the name of an operation.

        Raises:
            InvalidOperationName: it is not; the message says what is wrong.
        """
        if type(name) is str and len(name) <= MAX_NAME_LENGTH and _PLAIN(name) and self._matches.fullmatch(name):
            return name
        wrong = self._fault(name)
        if wrong is not None or not isinstance(name, str):
            example = self.template.replace("**", "abc").replace("*", "abc")
            raise InvalidOperationName(name, f"{wrong}; a name looks like {example}")
        return str.__str__(name)  # of a subclass, which may hold anything, the text

    def _fault(self, name: object) -> str | None:
        if not isinstance(name, str):
            return f"it must be a str, not {type(name).__name__}"
        return _fault_of_text(name) or (None if self._matches.fullmatch(name) else f"it does not match {self.template}")


def encode(name: str) -> str:
    """`name` as it is written into a path: UTF-8, percent-encoded except for `-_.~/0-9A-Za-z`."""
    return name if _UNRESERVED(name) else urllib.parse.quote(name, safe="/")


def _fault_of_text(name: str) -> str | None:
    """What makes `name` unfit for a path, whatever the service; None where nothing does."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name)} characters; at most {MAX_NAME_LENGTH} are allowed"
    if "://" in name:
        return "it is a URL; give the name alone"
    if name.startswith("/"):
        return "it begins with '/'"
    return _fault_of_characters(name) or _fault_of_segments(name) or _fault_of_ends(name)


def _fault_of_characters(name: str) -> str | None:
    for character in "?#\\":
        if character in name:
            return f"it contains {character!r}"
    if not name.isprintable():  # controls, newlines, lone surrogates, odd spaces
        return "it contains a character that cannot be printed"
    if _PERCENT_ENCODED.search(name):
        return "it is percent-encoded already; give it decoded"
    return None


def _fault_of_ends(name: str) -> str | None:
    return None if name == name.strip() else "it begins or ends with a space"


def _fault_of_segments(name: str) -> str | None:
    for segment in name.split("/"):
        if not segment:
            return "it has an empty segment ('//', or a '/' at its end)"
        if segment in (".", ".."):
            return f"it has a segment {segment!r}"
    return None
