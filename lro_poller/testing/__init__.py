"""An emulated service for tests, with operations and faults that go by script.

Its names are loaded when they are first used: pytest imports this package wherever
lro-poller is installed, for the sake of the fixture in `plugin`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = ("emulator", "faults", "operations")


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            loaded = importlib.import_module(f".{module}", __name__)
            if name in loaded.__all__:
                return getattr(loaded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
