"""A transport whose answers a test writes, for what no server could be made to do."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from google.auth.credentials import AnonymousCredentials

from lro_poller import OperationPoller
from lro_poller.wire import Reply

__all__ = ["Scripted", "done", "open_scripted", "running"]


def running(**metadata: Any) -> Reply:
    """An operation that goes on."""
    return Reply(200, {}, json.dumps({"name": "operations/x", "metadata": metadata}).encode())


def done(response: Any = None, error: Any = None) -> Reply:
    """An operation that has ended."""
    end = {"error": error} if error is not None else {"response": {} if response is None else response}
    return Reply(200, {}, json.dumps({"name": "operations/x", "done": True, **end}).encode())


class Scripted:
    """Answers with what `answer(name, attempt)` returns, or what it returns awaits; attempts count from 1.

    Attributes:
        sent: When a poll was sent, and of what, in order.
    """

    library = "rest/scripted"

    def __init__(self, answer: Callable[[str, int], Any]) -> None:
        self._answer = answer
        self.sent: list[tuple[float, str]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = False

    def polls(self, name: str) -> int:
        return sum(polled == name for _, polled in self.sent)

    def times(self, name: str) -> list[float]:
        return [when for when, polled in self.sent if polled == name]

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        name = path.removeprefix("/v1beta/")
        self.sent.append((asyncio.get_running_loop().time(), name))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = self._answer(name, self.polls(name))
            reply: Reply = await answer if inspect.isawaitable(answer) else answer
            return reply
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        self.closed = True


def open_scripted(transport: Any, **options: Any) -> OperationPoller:
    """A poller over a transport of the test's own."""
    options.setdefault("credentials", AnonymousCredentials())
    options.setdefault("random", lambda: 0.5)
    return OperationPoller(endpoint="http://127.0.0.1:1", transport=transport, **options)
