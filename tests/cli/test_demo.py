"""The demo ends as it was scripted, and would say so if it did not."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any

import pytest

from lro_poller import Code, OperationPoller
from lro_poller.cli.arguments import parse
from lro_poller.cli.checking import difference
from lro_poller.cli.demo import _demo, _Run, _script, _summarize
from lro_poller.cli.exits import Exit
from lro_poller.cli.records import record_of
from lro_poller.cli.tally import Tally
from lro_poller.testing import Emulator, Script

from .process import KEYS, lro

TARGET = "//chat.googleapis.com/spaces/a"
THREE = parse(["demo", "--operations", "3", "--format", "json"])


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


async def test_an_operation_that_ends_otherwise_is_told_and_how_late_each_end_was_known(
    emulator: Emulator, poller: OperationPoller, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.sleep(1000)  # the loop's clock tells nothing of the beginning
    names = [emulator.add_operation(duration=5, response={"targetResource": target}) for target in (TARGET, "//other")]
    run = _Run(emulator, Tally(total=2), asyncio.get_running_loop().time())
    for future in await poller.wait_all(names):
        run.tally.add(record_of(future))
        run.add(future, TARGET)
    assert run.wrong == [f"{names[1]}: its response is of //other, not {TARGET}"]
    assert all(0 < late < 5 for late in run.lateness)
    assert (len(run.lateness), sum(run.counts)) == (2, run.polls())
    _summarize(run, 2.0, json=True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith(f"\n1 operation did not end as scripted:\n  {run.wrong[0]}\n")
    assert f"\n{run.polls()} polls in 2.0 s, {run.polls() / 2:.0f} a second\n" in told.err


async def test_the_demo_fails_where_an_operation_ends_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lro_poller.cli.demo.difference", lambda *_: "it is otherwise")
    assert await _demo(THREE) is Exit.FAILED
    assert "\n3 operations did not end as scripted:\n" in capsys.readouterr().err


def test_no_operation_of_the_demo_takes_longer_than_anybody_watches() -> None:
    dice = random.Random(0)
    assert max(_script(dice).duration or 0.0 for _ in range(10_000)) == 10.0


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
