"""Tokens to resume from: what is worth keeping of a wait, as text.

Decides what outlives a process. A token is JSON with a version and a fixed set of fields,
so that one written today can be read, or refused with a reason, tomorrow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Token"]


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a wait stood.

    Attributes:
        service: `workspaceevents:v1beta`.
        origin: Where it was polled.
        name: The operation.
        version: Of this format.
        sightings: How many polls found it running: where its backoff stands.
        age: Seconds since its waiting began, when the token was written.
    """

    service: str
    origin: str
    name: str
    sightings: int = 0
    age: float = 0.0
    version: Literal[1] = msgspec.field(name="lro_poller")

    def write(self) -> str:
        """The token as one line of text. It holds no credentials."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str, service: str, origin: str) -> Token:
        """Reads what `write` wrote.

        Raises:
            ValueError: it is no token, or one of another service or origin.
        """
        if not isinstance(text, str):
            raise TypeError(f"a token is a text, not {type(text).__name__}")
        try:
            token = msgspec.json.decode(text, type=cls)
        except (ValueError, RecursionError) as error:
            hint = "" if text.lstrip().startswith("{") else "; an operation's name is for submit()"
            raise ValueError(f"not a token of this version of lro-poller: {error}{hint}") from None
        if (token.service, token.origin) != (service, origin):
            raise ValueError(
                f"the token is for {token.service} at {token.origin}, and this poller for {service} at {origin}"
            )
        if not 0 <= token.sightings < 2**31 or not 0 <= token.age < 2**31:
            raise ValueError("not a token of this version of lro-poller: sightings or age out of range")
        return token
