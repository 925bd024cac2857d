"""The pytest plugin: the fixture `lro_emulator`. The emulator, and aiohttp with it, is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator


@pytest.fixture
def lro_emulator() -> Iterator[Emulator]:
    """An emulated Workspace Events service, listening on loopback in a thread of its own.

    It serves blocking and async tests alike, under whichever plugin runs those.
    """
    from .emulator import Emulator

    with Emulator() as emulator:
        yield emulator
