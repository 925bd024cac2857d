"""What every client of a benchmark is given: a server, how many polls at once, and a token.

Decides what an operation looks like on the wire; measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BATCH_PATH", "BODY", "TOKEN", "Scene"]

TOKEN = "benchmark"
BATCH_PATH = "/batch"

BODY = (
    b'{"name":"operations/pending","metadata":{"@type":"type.googleapis.com/google.protobuf.Duration",'
    b'"value":"12.5s"},"done":false}'
)
"""A pending operation. Its metadata is of a type that google-api-core can read: it knows few."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the operations are, and how many polls of them may be under way at once."""

    origin: str
    in_flight: int

    @property
    def tls(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def names(self) -> list[str]:
        """As many operations as there may be polls in flight: a coroutine for each keeps them all busy."""
        return [f"operations/{number}" for number in range(self.in_flight)]

    def url(self, name: str) -> str:
        return f"{self.origin}/v1beta/{name}"
