"""On a terminal: a bar with counts by state, tables at the end, and results that stay readable."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lro_poller import Code
from lro_poller.testing import Emulator

from .process import at, lro, on_terminal

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLORS = re.compile(r"\x1b\[[0-9;]*m")


def words(shown: str) -> str:
    return ESCAPES.sub("", shown)


@pytest.mark.parametrize("form", ["auto", "json"])
def test_a_bar_counts_by_state_and_standard_output_has_the_results(served: Emulator, form: str) -> None:
    names = [served.add_operation(), served.add_operation(error=Code.ABORTED), "operations/unknown"]
    status, shown, printed = on_terminal("wait", *names, *at(served), "--format", form)
    assert status == 4
    assert "\x1b[" in shown
    assert re.search(r"3/3  \d:\d\d  \d+ polls/s", words(shown))
    assert "0 running  1 succeeded  1 failed  1 poll failed" in words(shown)
    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 3


def test_results_are_shown_above_the_bar(served: Emulator) -> None:
    name = served.add_operation(
        "operations/" + "long-" * 30, error={"code": 9, "message": "[bold]as it is[/bold] :snowman: 1.5"}
    )
    status, shown, _ = on_terminal("wait", name, *at(served), out=True)
    assert status == 1
    assert f"{name}  failed  1 poll  " in shown
    assert "[bold]as it is[/bold] :snowman: 1.5" in shown
    assert "1/1" in words(shown)


def test_json_on_a_terminal_is_json_alone(served: Emulator) -> None:
    name = served.add_operation(response={"n": 1})
    status, shown, _ = on_terminal("wait", name, *at(served), "--format", "json", out=True)
    assert status == 0
    assert json.loads(shown)["response"] == {"n": 1}


@pytest.mark.parametrize("options, settings", [(["--format", "text"], {}), ([], {"TERM": "dumb"})])
def test_there_may_be_no_bar(served: Emulator, options: list[str], settings: dict[str, str]) -> None:
    status, shown, _ = on_terminal("wait", served.add_operation(), *at(served), *options, out=True, **settings)
    assert status == 0
    assert "\x1b" not in shown
    assert "succeeded  1 poll" in shown
    assert "polls/s" not in shown


def test_without_rich_a_terminal_has_plain_lines(served: Emulator, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('No module named rich', name='rich')")
    names = [served.add_operation(), served.add_operation()]
    status, shown, _ = on_terminal("wait", *names, *at(served), out=True, PYTHONPATH=str(tmp_path))
    assert (status, "polls/s" in shown) == (0, False)
    assert "2 of 2 ended: 2 succeeded" in shown
    status, shown, _ = on_terminal("demo", "--operations", "3", out=True, PYTHONPATH=str(tmp_path))
    assert (status, "\x1b" in shown, "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in shown) == (0, False, False)
    assert re.search(r"\noutcome +operations +share\r\n", shown)


def test_no_color_is_heeded(served: Emulator) -> None:
    _, colored, _ = on_terminal("wait", served.add_operation(), *at(served))
    _, plain, _ = on_terminal("wait", served.add_operation(), *at(served), NO_COLOR="1")
    assert COLORS.search(colored)
    assert not COLORS.search(plain)
    assert "1/1" in words(plain)


@pytest.mark.parametrize("columns", ["100", "40"])
def test_the_demo_ends_with_tables(columns: str) -> None:
    status, shown, _ = on_terminal("demo", "--operations", "20", out=True, COLUMNS=columns)
    text = words(shown)
    assert status == 0
    for told in ("OK", "share", "lateness, s", "p50", "p95", "p99", "max", "as scripted"):
        assert told in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_off_a_terminal_the_demo_is_plain_lines() -> None:
    done = lro("demo", "--operations", "20", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "20 operations ended as scripted, and none otherwise" in done.stdout


def test_what_is_said_meanwhile_does_not_break_the_bar(served: Emulator) -> None:
    name = served.add_operation()
    status, shown, _ = on_terminal("wait", name, *at(served), "--verbose", COLUMNS="200")
    assert status == 0
    assert f"DEBUG: {name}: poll 1: ended" in words(shown)
