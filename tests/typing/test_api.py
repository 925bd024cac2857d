"""`api.py`, which type checkers read, leaves no public name out."""

from __future__ import annotations

import ast
from pathlib import Path

import lro_poller


def test_every_public_name_is_annotated() -> None:
    tree = ast.parse((Path(__file__).parent / "api.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(lro_poller.__all__) <= used  # to be imported is not enough
