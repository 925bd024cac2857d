"""The demo ends as it was scripted, and would say so if it did not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lro_poller import Code, OperationPoller
from lro_poller.cli.checking import difference
from lro_poller.testing import Emulator, Script

from .process import KEYS, lro

TARGET = "//chat.googleapis.com/spaces/a"


@pytest.mark.parametrize("count, operations", [(1, "1 operation"), (40, "40 operations")])
def test_json_is_one_line_for_each_operation_and_nothing_else(count: int, operations: str) -> None:
    done = lro("demo", "--operations", str(count), "--format", "json")
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(record) for record in records] == [KEYS] * count
    assert len({record["name"] for record in records}) == count
    assert f"\n{operations} ended as scripted, and none otherwise\n" in done.stderr
    assert re.search(r"lateness, s\n", done.stderr)


def test_the_seed_decides_how_operations_end() -> None:
    runs = [lro("demo", "--operations", "6", "--seed", seed, "--format", "json") for seed in ("3", "3", "4")]
    codes = [sorted(str(json.loads(line)["code"]) for line in run.stdout.splitlines()) for run in runs]
    assert codes[0] == codes[1]
    assert codes[0] != codes[2]


@pytest.mark.parametrize(
    "script, ends, told",
    [
        (Script(), {"response": {"targetResource": TARGET}}, None),
        (Script(), {"response": {"targetResource": "//other"}}, f"its response is of //other, not {TARGET}"),
        (Script(), {"response": {}}, f"its response is of None, not {TARGET}"),
        (Script(), {"error": Code.ABORTED}, "ABORTED: scripted ABORTED, but it was to succeed"),
        (Script(error=Code.ABORTED), {"error": Code.ABORTED}, None),
        (Script(error=Code.ABORTED), {"response": {}}, "it succeeded, not ABORTED"),
        (Script(error=Code.ABORTED), {"error": Code.INTERNAL}, "INTERNAL: scripted INTERNAL, not ABORTED"),
        (Script(error=Code.NOT_FOUND), None, "not NOT_FOUND"),
    ],
)
async def test_each_outcome_is_held_against_its_script(
    emulator: Emulator, poller: OperationPoller, script: Script, ends: dict[str, Any] | None, told: str | None
) -> None:
    name = "operations/unknown" if ends is None else emulator.add_operation(**ends)
    (future,) = await poller.wait_all([name])
    found = difference(future, script, TARGET)
    assert found is None if told is None else told in str(found)
