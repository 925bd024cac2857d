"""What a poll brings back: the words that transports speak and the engine understands."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from .counting import counted

__all__ = ["MAX_BODY", "Fault", "NoReply", "Reply", "passes"]

MAX_BODY = 1 << 20
"""Bytes of a decoded body. An Operation carries one resource; a mebibyte is far more than any has."""


_PASSING_4XX = frozenset({408, 425, 429})
_FINAL_5XX = frozenset({501, 505})  # neither a method nor a protocol version appears by waiting


def passes(status: int) -> bool:
    """Whether an HTTP status is one that the next poll may not meet (AIP-194, RFC 9110)."""
    return status in _PASSING_4XX or (status >= 500 and status not in _FINAL_5XX) or status < 200


class Reply(msgspec.Struct, frozen=True):
    """An HTTP reply: its status, its header fields and its decoded body.

    The fields are a mapping in which names are found in capitals or not, such as `multidict.CIMultiDict`: in a plain dict
    with names in small letters Retry-After and Date are not found.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {counted(len(self.body), 'byte')}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """No more than that to rich, which would go through the fields."""
        return [("status", self.status)]


class Fault(enum.Enum):
    """Why a request brought no reply."""

    UNREACHABLE = "no connection"
    UNKNOWN_HOST = "unknown host"
    UNTRUSTED = "certificate not trusted"
    TIMED_OUT = "timed out"
    BROKEN = "broken reply"
    TOO_LARGE = "reply too large"
    UNAUTHORIZED = "no credentials"


class NoReply(Exception):
    """A request brought no reply.

    Attributes:
        fault: The kind.
        reason: What happened, in words that name the origin and quote nothing of a body.
    """

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(fault, reason)
        self.fault = fault
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
