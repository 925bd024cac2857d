"""`api.py`, which type checkers read, leaves no public name out."""

from __future__ import annotations

import re
from pathlib import Path

import lro_poller


def test_every_public_name_is_annotated() -> None:
    words = set(re.findall(r"\w+", (Path(__file__).parent / "api.py").read_text()))
    assert set(lro_poller.__all__) <= words
