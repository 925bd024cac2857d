"""What a service is, to a poller: where its operations are read, and under which rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..checks import check_finite, check_function, check_path, check_text, check_wait, check_whole
from ..names import NamePattern
from ..operation import Operation
from ..origin import check_origin

__all__ = ["Dialect", "Quota", "Service"]

Dialect = Callable[[str, bytes], Operation]
"""Reads a reply's body for a name; raises ValueError when it is no operation."""


_MOST_POLLS = 10**15  # of a quota; more than anybody allows, and a number that can be divided


@dataclass(frozen=True, slots=True)
class Quota:
    """How many reads a service allows: `polls` in `seconds`."""

    polls: int
    seconds: float

    def __post_init__(self) -> None:
        check_whole("polls of a Quota", self.polls, 1, _MOST_POLLS)
        object.__setattr__(self, "seconds", check_finite("seconds of a Quota", self.seconds))


_WORD = r"\w[\w.-]*"
_FORMS = {"name": re.compile(_WORD, re.ASCII), "version": re.compile(f"{_WORD}(?:/{_WORD})*", re.ASCII)}

_KINDS: dict[str, Any] = {
    "name": str,
    "version": str,
    "origin": str,
    "names": NamePattern,
    "scopes": tuple,
    "quota": Quota | None,
    "cancellable": bool,
    "not_found_grace": int | float,
    "batch_path": str | None,
}


_EXAMPLES = {
    "names": "a NamePattern, such as NamePattern('projects/*/operations/*')",
    "quota": "a Quota, such as Quota(600, 60), or None",
    "scopes": "several texts, such as ('https://www.googleapis.com/auth/cloud-platform',)",
}


@dataclass(frozen=True, slots=True, repr=False)
class Service:
    """One version of one API that has operations.

    Attributes:
        name: As in Google's discovery directory, such as `workspaceevents`.
        version: Such as `v1beta`, or `compute/v1`; what every path begins with.
        origin: Scheme and host, such as `https://workspaceevents.googleapis.com`.
        names: Which names its operations have.
        scopes: The OAuth scopes any one of which allows operations.get.
        quota: What it is known to allow a project; None where that is not known.
        cancellable: Whether it has operations.cancel.
        not_found_grace: Seconds after an operation is submitted in which a 404 means "not yet";
            some servers answer operations.get before they know what they have just created.
        dialect: How its replies are read; AIP-151 unless the service is older than it.
        batch_path: Where it takes many requests in one, as its discovery document has it; None
            where it does not. See `transports.batch`.
    """

    name: str
    version: str
    origin: str
    names: NamePattern = NamePattern("operations/**")
    _: KW_ONLY
    scopes: tuple[str, ...] = ("https://www.googleapis.com/auth/cloud-platform",)
    quota: Quota | None = None
    cancellable: bool = False
    not_found_grace: float = 0.0
    dialect: Dialect = Operation.from_json
    batch_path: str | None = None

    def __post_init__(self) -> None:
        """A part of a wrong kind would be taken for a fault of the first poll.

        Raises:
            TypeError, ValueError: the message names it.
        """
        if isinstance(self.scopes, list):
            object.__setattr__(self, "scopes", tuple(self.scopes))
        for part, kind in _KINDS.items():
            value = getattr(self, part)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                shown = kind.__name__ if isinstance(kind, type) else kind
                wanted = _EXAMPLES.get(part, f"of type {shown}")
                raise TypeError(f"{part} of a Service must be {wanted}, not {value!r}")
        check_function("dialect of a Service", self.dialect)
        object.__setattr__(self, "not_found_grace", check_wait("not_found_grace of a Service", self.not_found_grace))
        for scope in self.scopes:
            check_text("a scope of a Service", scope)
        if self.batch_path is not None:
            check_path("batch_path of a Service", self.batch_path)
        for part, form in _FORMS.items():
            if not form.fullmatch(value := getattr(self, part)):
                raise ValueError(f"{part} of a Service must be a word, such as 'run' or 'v2', not {value!r}")
        if self.names.template.startswith(f"{self.version}/"):
            raise ValueError(
                f"names of a Service must not begin with its version: {self.names.template!r} comes after {self.version}/"
            )
        origin = check_origin(self.origin, allow_http=True, what="origin of a Service")
        object.__setattr__(self, "origin", origin)  # as it is written mostly

    def __repr__(self) -> str:
        """Which it is: a score of scopes would hide it."""
        return f"<Service {self.id} at {self.origin}>"

    @property
    def id(self) -> str:
        """`workspaceevents:v1beta`."""
        return f"{self.name}:{self.version}"

    def check_scopes(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """Returns the scopes, once each is known to allow operations.get.

        Raises:
            ValueError: one of them does not, or there is none.
            TypeError: they are no texts.
        """
        if not isinstance(scopes, Iterable) or isinstance(scopes, bytes):
            raise TypeError(f"scopes must be several texts, not {scopes!r}")
        chosen = (scopes,) if isinstance(scopes, str) else tuple(scopes)
        foreign = [scope for scope in chosen if scope not in self.scopes]
        if foreign or not chosen:
            who = ", ".join(map(repr, foreign)) if foreign else "an empty list of scopes"
            verb = "do" if len(foreign) > 1 else "does"
            raise ValueError(
                f"{who} {verb} not allow operations.get of {self.id}; any one of these does: {', '.join(self.scopes)}"
            )
        return chosen
