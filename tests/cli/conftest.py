"""The emulated service, in a thread of its own: the commands are other processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lro_poller.testing import Emulator


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator
