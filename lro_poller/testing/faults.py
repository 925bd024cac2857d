"""What can be wrong with the answer to one poll.

Each fault is a record that answers in place of the clean reply; `FAULTS` lists those that a
seeded emulator draws from. A fault spoils one answer and never the operation.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from ..checks import check_part, check_wait, check_whole
from ..status import Code

__all__ = [
    "FAULTS",
    "Delay",
    "Fault",
    "Hang",
    "HtmlPage",
    "HttpError",
    "RawReply",
    "Reset",
    "Trickle",
    "Truncated",
    "WrongName",
    "error_body",
]


class Fault(Protocol):
    """Answers one poll in its own way."""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """The reply; `body` is the JSON that a clean one would carry."""
        ...


@dataclass(frozen=True, slots=True)
class HttpError:
    """An error with a google.rpc.Status in its body.

    Args:
        status: Of HTTP.
        retry_after: Seconds, or any text, for the Retry-After field; None for no such field.
        message: For people.
        details: JSON of google.rpc error details.
    """

    status: int = 503
    retry_after: float | str | None = None
    message: str = "scripted fault"
    details: Sequence[dict[str, Any]] = ()

    def __post_init__(self) -> None:
        check_whole("status", self.status, 300, 599)
        check_part("message", self.message, str)
        if not isinstance(self.details, Sequence) or not all(isinstance(detail, dict) for detail in self.details):
            raise TypeError(f"details must be several JSON objects, not {self.details!r}")
        json.dumps([*self.details], allow_nan=False)  # raises here, and not at each poll
        if not str(self.retry_after).isprintable():
            raise ValueError(f"retry_after must be a header field's value, in one line, not {self.retry_after!r}")

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        code = Code.from_http(self.status)
        return web.json_response(
            error_body(self.status, code, self.message, self.details), status=self.status, headers=headers
        )


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection ends without a reply. The aiohttp transport sends a poll again once: only two in a row make it fail."""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@dataclass(frozen=True, slots=True)
class Truncated:
    """The body breaks off half-way, before the length that was announced."""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A page of HTML, as proxies and sign-in portals send, by default with status 200."""

    status: int = 200

    def __post_init__(self) -> None:
        check_whole("status", self.status, 200, 599)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        page = "<!doctype html><title>Sign in</title><p>Please sign in to use this network."
        return web.Response(text=page, status=self.status, content_type="text/html")


@dataclass(frozen=True, slots=True)
class Trickle:
    """The body comes byte by byte, one each `interval` seconds."""

    interval: float = 1.0

    def __post_init__(self) -> None:
        check_wait("interval", self.interval)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        for position in range(len(body)):
            await response.write(body[position : position + 1])
            await asyncio.sleep(self.interval)
        return response


@dataclass(frozen=True, slots=True)
class WrongName:
    """A clean reply that calls the operation by another name."""

    name: str = "operations/somebody-elses"

    def __post_init__(self) -> None:
        check_part("name", self.name, str)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.json_response({**json.loads(body), "name": self.name})


@dataclass(frozen=True, slots=True)
class Delay:
    """A clean reply after `seconds`."""

    seconds: float = 1.0

    def __post_init__(self) -> None:
        check_wait("seconds", self.seconds)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        return web.Response(body=body, content_type="application/json")


@dataclass(frozen=True, slots=True)
class Hang:
    """No reply at all, for as long as the client stays."""

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class RawReply:
    """Any status, fields and body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def __post_init__(self) -> None:
        check_part("body", self.body, bytes)
        check_whole("status", self.status, 200, 599)
        check_part("headers", self.headers, dict)
        for name, value in self.headers.items():
            check_part("the name of a header field", name, str)
            check_part("the value of a header field", value, str)

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(body=self.body, status=self.status, headers=self.headers)


FAULTS: Sequence[Callable[[random.Random], Fault]] = (
    lambda dice: HttpError(503),
    lambda dice: HttpError(500),
    lambda dice: HttpError(502),
    lambda dice: HttpError(503, retry_after=1),
    lambda dice: Reset(),
    lambda dice: Truncated(),
    lambda dice: HtmlPage(),
    lambda dice: WrongName(),
    lambda dice: Delay(dice.uniform(0.05, 0.5)),
    lambda dice: Trickle(0.001),
)
"""Faults that a poller survives, each drawn with the same likelihood.

A 429 is none of them: it speaks for the whole service, and is no accident of one poll.
"""


def error_body(status: int, code: Code, message: str, details: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The body of an HTTP error as Google's services write it (AIP-193)."""
    error: dict[str, Any] = {"code": status, "message": message, "status": code.name}
    if details:
        error["details"] = list(details)
    return {"error": error}
