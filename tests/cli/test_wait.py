"""What `wait` says of many: while it waits, and of what it leaves behind."""

from __future__ import annotations

import asyncio
import errno
import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import backoff
import pytest

from lro_poller.cli.tally import Tally
from lro_poller.cli.wait import _report, _tell_what_goes_on

from ..scripted import Scripted, done, open_scripted, running

TEN_A_SECOND = functools.partial(backoff.constant, interval=[0.1])


def ends(after: dict[str, float]) -> Callable[[str, int], Any]:
    """Operations that end by the loop's clock."""
    return lambda name, attempt: done() if asyncio.get_running_loop().time() >= after[name] else running()


async def test_a_line_comes_each_ten_seconds_and_the_polls_of_those_that_ended_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    transport = Scripted(ends({"operations/a": 17.0, "operations/b": 35.0}))
    async with open_scripted(transport, backoff=TEN_A_SECOND, max_rate=1000) as poller:
        untold = dict.fromkeys(poller.submit(name) for name in ("operations/a", "operations/b"))
        await _report(poller, untold, Tally(total=2), "text")
    assert capsys.readouterr().err.splitlines() == [
        "  10.0 s  0 of 2 ended  20 polls a second",
        "  20.0 s  1 of 2 ended: 1 succeeded  17 polls a second",
        "  30.0 s  1 of 2 ended: 1 succeeded  10 polls a second",
    ]


@pytest.mark.parametrize(
    "count, form, terminal, listed, more",
    [
        (20, "json", False, 20, None),
        (21, "json", False, 20, "  and 1 more"),
        (21, "text", False, 21, None),
        (21, "text", True, 20, "  and 1 more"),
    ],
)
async def test_on_a_terminal_and_beside_json_the_first_twenty_are_listed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: int,
    form: str,
    terminal: bool,
    listed: int,
    more: str | None,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
        names = [f"operations/{number}" for number in range(count)]
        _tell_what_goes_on([poller.submit(name) for name in names], form)
    shown = [f"  {name}" for name in names[:listed]]
    assert capsys.readouterr().err.splitlines() == [
        "interrupted; these operations may still be running remotely:",
        *shown,
        *([] if more is None else [more]),
    ]


async def test_of_what_has_ended_nothing_is_said_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_scripted(Scripted(lambda name, attempt: done())) as poller:
        future = poller.submit("operations/a")
        await future
        _tell_what_goes_on([future], "text")
    assert capsys.readouterr().err == ""


class Full(io.StringIO):
    """A stream that takes no more."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_where_the_reader_has_gone_too_people_are_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
        _tell_what_goes_on([poller.submit("operations/a")], "json")
    assert capsys.readouterr().err.endswith("may still be running remotely:\n  operations/a\n")
