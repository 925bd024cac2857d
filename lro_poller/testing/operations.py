"""Operations that go as they are scripted.

Decides when an operation of the emulator ends, how, and what each poll of it meets. It
reads no clock: the time of each question is an argument.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..checks import check_wait, check_whole
from ..counting import counted
from ..status import Code
from .faults import FAULTS, Fault

__all__ = ["Chance", "Script", "ScriptedOperation"]


@dataclass(frozen=True, slots=True)
class Script:
    """How one operation goes.

    Args:
        duration: Seconds until it ends; None for never by time.
        polls: After how many clean polls that find it running it ends, whatever the duration; None for not by number.
        response: JSON of what it ends with; None for what the emulator makes of the request.
        error: JSON of a google.rpc.Status, or a Code, that it fails with instead.
        metadata: JSON, one object, or several of which each poll shows the next.
        faults: What the polls meet, one after another; None among them for a clean one.
    """

    duration: float | None = 0.0
    polls: int | None = None
    response: dict[str, Any] | None = None
    error: dict[str, Any] | Code | None = None
    metadata: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    faults: Sequence[Fault | None] = ()

    def __post_init__(self) -> None:
        if self.duration is not None:
            object.__setattr__(self, "duration", check_wait("duration", self.duration))
        if self.polls is not None:
            check_whole("polls", self.polls, 0)
        _check_object("response", self.response)
        for one in _several(self.metadata):
            _check_object("metadata", one)
        if not isinstance(self.faults, Sequence):
            raise TypeError(f"faults must be several, such as [HttpError(503)], not {self.faults!r}")
        for fault in self.faults:
            if fault is not None and (isinstance(fault, type) or not hasattr(fault, "answer")):
                raise TypeError(f"a fault must be one of lro_poller.testing's, such as HttpError(503), not {fault!r}")
        if self.error is not None and not isinstance(self.error, Code | dict):
            raise TypeError(f"error must be a Code, or the JSON of a google.rpc.Status, not {self.error!r}")
        if self.error is not None and self.response is not None:
            raise ValueError("give either a response or an error: an operation ends with one of them")
        if self.error is Code.OK:
            raise ValueError("error must be a Code of a failure; without an error an operation succeeds")
        json.dumps([self.response, self.error, self.metadata], allow_nan=False)  # raises here, and not at each poll

    @property
    def status(self) -> dict[str, Any] | None:
        """JSON of the google.rpc.Status it fails with; None when it succeeds."""
        if isinstance(self.error, Code):
            return {"code": int(self.error), "message": f"scripted {self.error.name}"}
        return self.error


def _several(metadata: Any) -> Sequence[Any]:
    if not isinstance(metadata, Sequence) or isinstance(metadata, str | bytes):
        return [metadata]
    if not metadata:
        raise ValueError("metadata must be an object or several of them, or None, not []")
    return metadata


def _check_object(what: str, value: Any) -> None:
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"{what} must be the JSON of an object, a dict, not {value!r}")


@dataclass(frozen=True, slots=True)
class Chance:
    """Scripts drawn at random, the same for the same seed.

    Args:
        duration: Median seconds an operation takes; it is drawn log-normal, most within half and twice of it.
        error_rate: Share of the operations that fail.
        fault_rate: Likelihood of a fault at each poll.
        codes: What the failing ones fail with.
    """

    duration: float = 0.0
    error_rate: float = 0.0
    fault_rate: float = 0.0
    codes: Sequence[Code] = (
        Code.PERMISSION_DENIED,
        Code.NOT_FOUND,
        Code.FAILED_PRECONDITION,
        Code.RESOURCE_EXHAUSTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
    )

    def __post_init__(self) -> None:
        for name in ("error_rate", "fault_rate"):
            share = getattr(self, name)
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {share!r}")
        object.__setattr__(self, "duration", check_wait("duration", self.duration))

    def draw(self, dice: random.Random) -> Script:
        """One script."""
        duration = self.duration * dice.lognormvariate(0, 0.5)
        error = dice.choice(self.codes) if dice.random() < self.error_rate else None
        return Script(duration=duration, error=error)

    def fault(self, dice: random.Random) -> Fault | None:
        """What the next poll meets."""
        return dice.choice(FAULTS)(dice) if dice.random() < self.fault_rate else None


class ScriptedOperation:
    """An operation of the emulator.

    Attributes:
        name: `operations/…`.
        script: How it goes.
        ends: When it ends, in seconds of the emulator's clock; None while only polls can end it.
        polls: How many polls it met, faulty ones included.
        over: Whether its end has been carried out.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        now: float,
        *,
        response: dict[str, Any] | None,
        metadata: dict[str, Any],
        on_end: Callable[[], dict[str, Any] | None] | None,
        on_failure: Callable[[], None] | None,
        chance: Chance,
        dice: random.Random,
    ) -> None:
        self.name = name
        self.script = script
        self.ends = None if script.duration is None or script.polls is not None else now + script.duration
        self.polls = 0
        self.over = False
        self._response = response
        self._metadata = metadata
        self._on_end = on_end
        self._on_failure = on_failure
        self._faults = iter(script.faults)
        self._chance = chance
        self._dice = dice
        self._clean = 0

    def __repr__(self) -> str:
        return f"<ScriptedOperation {self.name} {'over' if self.over else 'running'}, {counted(self.polls, 'poll')}>"

    def next_fault(self) -> Fault | None:
        """What the next poll meets: the script's faults first, then chance."""
        self.polls += 1
        missing = object()
        scripted = next(self._faults, missing)
        return self._chance.fault(self._dice) if scripted is missing else scripted  # type: ignore[return-value]

    def poll(self, now: float) -> dict[str, Any]:
        """JSON of the operation, as a clean poll at `now` sees it."""
        if self.script.polls is not None and self._clean >= self.script.polls:
            self.end()
        self._clean += 1
        return self.read(now)

    def read(self, now: float) -> dict[str, Any]:
        """JSON of the operation at `now`, without counting as a poll."""
        if self.ends is not None and now >= self.ends:
            self.end()
        shown: dict[str, Any] = {"name": self.name, "metadata": self._shown_metadata()}
        if self.over:
            shown["done"] = True
            if self.script.status is not None:
                shown["error"] = self.script.status
            elif self._response is not None:
                shown["response"] = self._response
        return shown

    def end(self) -> None:
        """Carries out what it was for, once."""
        if not self.over:
            self.over = True
            if self.script.status is not None and self._on_failure is not None:
                self._on_failure()
            if self.script.status is None and self._on_end is not None:
                made = self._on_end()
                self._response = made if self.script.response is None else self.script.response

    def cancel(self, now: float) -> None:
        """Ends it with CANCELLED, unless it has ended already (AIP-151)."""
        if not self.over and not (self.ends is not None and now >= self.ends):
            self.script = Script(duration=0, error=Code.CANCELLED, metadata=self.script.metadata)
            self.end()

    def _shown_metadata(self) -> dict[str, Any]:
        scripted = self.script.metadata
        if scripted is None:
            return self._metadata
        if isinstance(scripted, dict):
            return scripted
        return scripted[max(0, min(self._clean, len(scripted)) - 1)]


def make_name(template: str, dice: random.Random) -> str:
    """A name of the kind a service makes: opaque where the last wildcard is, and safe in a URL."""
    before, _, after = template.replace("**", "*").rpartition("*")
    return before.replace("*", "emulated") + base64.urlsafe_b64encode(dice.randbytes(18)).decode() + after
