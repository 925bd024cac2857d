"""The emulated service, in a thread of its own: the commands are other processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lro_poller.testing import Emulator

os.environ.pop(
    "PYTHONUNBUFFERED", None
)  # commands buffer what they write, as they do elsewhere, whoever runs the tests


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator
