"""An emulated service for tests, with operations and faults that go by script."""

from __future__ import annotations

from .emulator import Emulator, RecordedRequest
from .faults import Delay, Fault, Hang, HtmlPage, HttpError, RawReply, Reset, Trickle, Truncated, WrongName
from .operations import Chance, Script, ScriptedOperation

__all__ = [
    "Chance",
    "Delay",
    "Emulator",
    "Fault",
    "Hang",
    "HtmlPage",
    "HttpError",
    "RawReply",
    "RecordedRequest",
    "Reset",
    "Script",
    "ScriptedOperation",
    "Trickle",
    "Truncated",
    "WrongName",
]
