"""The service that a simulated fleet is polled from: what each operation does, and what goes wrong.

Everything is drawn from the seed. The world keeps its own books of what was asked and what
it answered; the fleet is held against them afterwards.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.auth.credentials import Credentials, TokenState
from google.auth.exceptions import RefreshError

from lro_poller.engine.retry import LONGEST_WAIT
from lro_poller.wire import Fault, NoReply, Reply

from .clock import SimulatedLoop

__all__ = ["Line", "Plot", "SimulatedCredentials", "World"]

_PHASES = ("dead", "5xx", "429", "429 with Retry-After", "tokens revoked", "401")
_PHASE_WEIGHTS = (3, 3, 3, 3, 3, 1)
_JUNK = (
    b"",
    b"<html><title>502</title>",
    b'{"name": "operations/',
    b"\xff\xfe\x00",
    b'{"done": "perhaps"}',
    b"[]",
    b'{"metadata":' + b"[" * 20_000,
    b'{"done": true, "response": {"a": 1}} trailing',
)
_RAISED: dict[str, Callable[[], BaseException]] = {
    "reset": lambda: NoReply(Fault.UNREACHABLE, "reset"),
    "too large": lambda: NoReply(Fault.TOO_LARGE, "too large"),
    "cancelled": asyncio.CancelledError,
}
_REFUSALS = (400, 403, 404, 410, 302, 501)


@dataclass(slots=True)
class Plot:
    """How one operation goes, and what the world remembers of it."""

    name: str
    ends: float
    kind: str
    dice: random.Random
    poller: int = 0
    polls: int = 0
    told: str | None = None
    told_at: float = 0.0
    refused_in_a_row: int = 0
    may_be_refused: bool = False
    not_before: float = 0.0
    cancelled: bool = False
    manners: set[str] = field(default_factory=set)
    deadlines: list[float] = field(default_factory=list)

    def may_look_early(self, now: float) -> bool:
        """Whether Retry-After of this operation does not bind: a deadline comes first."""
        return any(now < deadline < self.not_before + 60 for deadline in self.deadlines)

    def body(self, now: float) -> bytes:
        """The resource as it is now."""
        value: dict[str, Any] = {"name": self.name, "metadata": {"@type": "type.googleapis.com/x.Progress"}}
        if self.dice.random() < 0.3:
            value["metadata"]["percent"] = self.dice.randrange(100)
        if self.dice.random() < 0.1:
            value["name"] = "operations/another"
        if self.cancelled and (now < self.ends or self.kind == "refused"):
            value["done"] = True
            value["error"] = {"code": 1, "message": self.name}
        elif now >= self.ends and self.kind != "refused":
            value["done"] = True
            if self.kind == "fails":
                value["error"] = {"code": 9, "message": self.name}
            elif self.kind != "ends without a result":
                value["response"] = {"@type": "type.googleapis.com/x.Thing", "name": self.name}
        return json.dumps(value).encode()


@dataclass
class World:
    """The service of a simulated fleet."""

    seed: int
    loop: SimulatedLoop
    cap: int
    rate: float
    fault_rate: float
    frames_replies: bool = False  # whether what comes back is always a reply, if a broken one
    plots: dict[str, Plot] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)
    in_flight: int = 0
    generation: int = 0
    issued: int = 0
    refresh_failed_at: float = -math.inf
    _revoked: bool = False
    _starts: deque[float] = field(default_factory=deque)
    _pause_until: float = 0.0

    def __post_init__(self) -> None:
        self._dice = random.Random(f"world {self.seed}")
        self._began = self.loop.time()
        self._phases = self._draw_phases()

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """One poll, or one request to cancel."""
        name, _, verb = urllib.parse.unquote(path.removeprefix("/v1beta/")).partition(":")
        plot = self.plots[name]
        self._note_turn(plot)
        if verb:
            return await self._cancel(plot, headers)
        self._note_start(plot)
        self.in_flight += 1
        try:
            reply = await self._answer(plot, headers)
        except BaseException:
            plot.refused_in_a_row = 0
            raise
        finally:
            self.in_flight -= 1
        if isinstance(reply, Reply):
            self._note_reply(plot, reply)
        else:
            plot.told, plot.told_at = "been refused", self.loop.time()
        return reply

    async def _cancel(self, plot: Plot, headers: Mapping[str, str]) -> Reply:
        self.counts["cancellations asked for"] += 1
        self.in_flight += 1
        try:
            await asyncio.sleep(plot.dice.uniform(0, 1))
        finally:
            self.in_flight -= 1
        if int(headers["authorization"].removeprefix("Bearer ")) < self.generation:
            return self._error(401)
        if plot.dice.random() < self.fault_rate:
            return self._error(plot.dice.choice((400, 503)))
        plot.cancelled = True
        return Reply(200, {}, b"{}")

    async def _answer(self, plot: Plot, headers: Mapping[str, str]) -> Reply:
        await asyncio.sleep(min(plot.dice.lognormvariate(-2.5, 1.0), 100.0))
        match self._phase():
            case "dead":
                self._count("no connection")
                raise NoReply(Fault.UNREACHABLE, "no route")
            case "5xx":
                return self._error(plot.dice.choice((500, 502, 503, 504)))
            case "429":
                return self._error(429)
            case "429 with Retry-After":
                return self._error(429, {"Retry-After": str(plot.dice.randrange(1, 20))})
            case "401":
                return self._error(401)
            case "tokens revoked" if not self._revoked:
                self._revoked, self.generation = True, self.issued + 1
        if int(headers["authorization"].removeprefix("Bearer ")) < self.generation:
            return self._error(401)
        if plot.kind == "refused" and self.loop.time() >= plot.ends:
            return self._error(plot.dice.choice(_REFUSALS))
        luck = plot.dice.random()
        if luck < self.fault_rate:
            garbage = luck <= self.fault_rate / 100 and not self.frames_replies
            return await (self._garbage() if garbage else self._fault(plot))
        return Reply(200, {}, plot.body(self.loop.time()))

    async def _garbage(self) -> Any:
        self._count("garbage")
        return None

    async def _fault(self, plot: Plot) -> Reply:
        kind = plot.dice.choice(
            (
                "cancelled",
                "reset",
                "hang",
                "trickle",
                "junk",
                "503",
                "408",
                "500 empty",
                "Retry-After",
                "absurd",
                "too large",
            )
        )
        if kind in _RAISED:
            self._count(kind)
            error = _RAISED[kind]()
            raise error
        if kind == "hang":
            self._count("hang")
            await asyncio.Event().wait()
        if kind == "trickle":
            self._count("trickle")
            await asyncio.sleep(plot.dice.uniform(5, 60))
            return Reply(200, {}, plot.body(self.loop.time()))
        if kind == "junk":
            self._count("junk")
            return Reply(200, {}, plot.dice.choice(_JUNK))
        if kind == "500 empty":
            self._count("500 empty")
            return Reply(500, {}, b"")
        if kind == "Retry-After":
            return self._error(503, {"Retry-After": str(plot.dice.randrange(1, 30))})
        if kind == "absurd":
            return self._error(503, {"Retry-After": plot.dice.choice(("-5", "31536000", "soon", "1e9", "٣"))})
        return self._error(int(kind))

    def _error(self, status: int, headers: Mapping[str, str] | None = None) -> Reply:
        self._count(str(status) if not headers else f"{status} with Retry-After")
        return Reply(status, headers or {}, json.dumps({"error": {"code": status, "message": "simulated"}}).encode())

    # The books.

    def _note_turn(self, plot: Plot) -> None:
        """A request of either kind was sent: the cap, the rate and a pause hold for all of them."""
        now = self.loop.time()
        self._starts.append(now)
        while self._starts[0] <= now - 1 + 1e-4:
            self._starts.popleft()
        if self.in_flight >= self.cap:
            self._wrong(f"{plot.name}: more than {self.cap} polls in flight")
        if len(self._starts) > self.rate:
            self._wrong(f"{plot.name}: {len(self._starts)} polls within a second, at a rate of {self.rate}")
        if now < self._pause_until - 1e-4:
            self._wrong(f"{plot.name}: polled {self._pause_until - now:.1f} s before the pause was over")

    def _note_start(self, plot: Plot) -> None:
        now = self.loop.time()
        plot.polls += 1
        self.counts["polls"] += 1
        if now < plot.not_before - 1e-4 and not plot.may_look_early(now):
            self._wrong(f"{plot.name}: polled {plot.not_before - now:.1f} s before Retry-After was over")
        if plot.told is not None:
            self._wrong(f"{plot.name}: polled after it was told to have {plot.told}")

    def _note_reply(self, plot: Plot, reply: Reply) -> None:
        """Called when the poller has the reply for certain."""
        now = self.loop.time()
        self._note_401(plot, refused=reply.status == 401)
        asked = reply.headers.get("Retry-After", "")
        plot.not_before = 0.0  # what a server said last is what counts
        if asked.isascii() and asked.isdigit() and int(asked) < 900:
            plot.not_before = now + int(asked)
            if reply.status == 429:
                self._pause_until = max(self._pause_until, plot.not_before)
        if reply.status == 200 and b'"done": true' in reply.body and reply.body.endswith(b"}"):
            plot.told, plot.told_at = "ended", now
        elif reply.status in _REFUSALS:
            plot.told, plot.told_at = "been refused", now

    def _note_401(self, plot: Plot, *, refused: bool) -> None:
        """Two in a row are final, unless a poll may have failed between them for want of a token.

        After a refresh that failed, polls are told so without another, for a while.
        """
        plot.refused_in_a_row = plot.refused_in_a_row + 1 if refused else 0
        if plot.refused_in_a_row == 2:
            if self.loop.time() - self.refresh_failed_at > LONGEST_WAIT:
                plot.told, plot.told_at = "been refused", self.loop.time()
            plot.may_be_refused = True
            plot.refused_in_a_row = 1

    def _wrong(self, what: str) -> None:
        if len(self.wrongs) < 20:
            self.wrongs.append(f"{self.loop.time():.3f} {what}")

    def _count(self, what: str) -> None:
        self.counts[f"fault: {what}"] += 1

    # The weather.

    def _draw_phases(self) -> list[tuple[float, float, str]]:
        """Bad times of the whole service: when each begins and ends, and of what kind it is."""
        phases, now = [], self._began + self._dice.uniform(5, 60)
        while now < self._began + 1200:
            end = now + self._dice.uniform(2, 60)
            phases.append((now, end, self._dice.choices(_PHASES, _PHASE_WEIGHTS)[0]))
            now = end + self._dice.uniform(20, 200)
        return phases

    def _phase(self) -> str | None:
        now = self.loop.time()
        kind = next((kind for begins, ends, kind in self._phases if begins <= now < ends), None)
        if kind != "tokens revoked":
            self._revoked = False
        return kind


class Line:
    """What one poller sends its polls through."""

    frames_replies = False
    library = "rest/simulated"

    def __init__(self, world: World) -> None:
        self.closed = False
        self._world = world

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """See `World.send`."""
        if self.closed:
            self._world.wrongs.append(f"{path}: polled after the transport was closed")
        return await self._world.send(method, path, headers)

    async def aclose(self) -> None:
        self.closed = True


class SimulatedCredentials(Credentials):
    """Tokens that expire by the simulated clock. A refresh is done in a thread, as with real ones."""

    def __init__(self, world: World) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._world = world
        self._number = 0
        self._expires = 0.0
        self._dice = random.Random(f"credentials {world.seed}")

    @property
    def token_state(self) -> TokenState:
        left = self._expires - self._world.loop.time()
        return TokenState.INVALID if left <= 0 else TokenState.STALE if left < 30 else TokenState.FRESH

    def refresh(self, request: Any) -> None:
        self._number += 1
        self._world.counts["token refreshes"] += 1
        if self._dice.random() < 0.1:
            self._world.counts["fault: token server"] += 1
            self._world.refresh_failed_at = self._world.loop.time()
            raise RefreshError("simulated", retryable=True)
        self.token, self._world.issued = str(self._number), self._number
        self._expires = self._world.loop.time() + self._dice.uniform(60, 600)
