"""The parts of the command line that decide without doing: values, counts, figures, records."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from lro_poller import Code, DecodeError, Operation, OperationError, PollError, PollTimeout, Status
from lro_poller.cli.exits import Exit
from lro_poller.cli.progress import _drawing, _Plain, progress
from lro_poller.cli.records import Record, record_of_error, record_of_interrupted, record_of_operation
from lro_poller.cli.summary import Table, figures, outcomes, percentile, print_tables
from lro_poller.cli.tally import Pace, Tally
from lro_poller.cli.values import parse_count, parse_duration, parse_port, parse_rate, parse_seconds, parse_share

from ..scripted import Scripted, done, open_scripted, running


@pytest.mark.parametrize(
    "parse, text, value",
    [
        (parse_seconds, "90", 90),
        (parse_seconds, "1.5s", 1.5),
        (parse_seconds, "5m", 300),
        (parse_seconds, "1h30m", 5400),
        (parse_seconds, "2d1s", 172_801),
        (parse_seconds, "250ms", 0.25),
        (parse_seconds, "999999999999ms", 999_999_999.999),
        (parse_seconds, "999999999d", 999_999_999 * 86_400),
        (parse_duration, "0", 0),
        (parse_duration, "0s", 0),
        (parse_duration, "2s", 2),
        (parse_port, "0", 0),
        (parse_port, "65535", 65535),
        (parse_count, "12", 12),
        (parse_count, "999999999", 999_999_999),
        (parse_rate, "0.5", 0.5),
        (parse_rate, "inf", float("inf")),
        (parse_share, "0", 0),
        (parse_share, "1", 1),
    ],
)
def test_values(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "parse, texts",
    [
        (parse_seconds, ["", "0", "0ms", "-1", "1h-5m", "5min", "nan", "inf", "1e3", "\u0663"]),
        (parse_duration, ["", "-1", "2 s", "nan"]),
        (parse_port, ["", "-1", "65536", "8901.0", "\u0663"]),
        (parse_count, ["", "0", "-1", "1.5", "1e3", "9999999999"]),
        (parse_rate, ["", "0", "-1", "nan", "fast"]),
        (parse_share, ["", "-0.1", "1.1", "nan", "10%"]),
    ],
)
def test_values_that_are_none(parse: Callable[[str], float], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)


def record(outcome: str, code: str | None = None, **more: Any) -> Record:
    return Record(name="operations/a", outcome=outcome, code=code, polls=2, elapsed=1.25, **more)


def test_a_tally_counts_by_state_and_code_and_keeps_the_highest_status() -> None:
    tally = Tally(total=6)
    assert tally.text() == "0 of 6 ended"
    for one in (record("failed", "ABORTED"), record("timed_out"), record("succeeded"), record("succeeded")):
        tally.add(one)
    assert tally.states() == {"running": 2, "succeeded": 2, "failed": 1, "timed out": 1}
    assert tally.text() == "4 of 6 ended: 2 succeeded, 1 failed, 1 timed out"
    assert tally.codes == {"OK": 2, "ABORTED": 1, "timed_out": 1}
    assert tally.exit is Exit.TIMED_OUT
    tally.add(record("failed", "INTERNAL"))
    assert tally.exit is Exit.TIMED_OUT


def test_the_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.at(100.0, 0) == 0.0
    assert pace.at(101.0, 50) == 50.0
    assert pace.at(102.0, 60) == 30.0
    for second in range(103, 120):
        last = pace.at(float(second), 60 + 2 * (second - 102))
    assert last == 2.0


def test_a_line_of_progress_says_how_fast_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    for pace in (0.6, 1.6):
        _Plain(Tally(total=1), 10.0).show(20.0, pace)
    said = "  20.0 s  0 of 1 ended  "
    assert capsys.readouterr().err == f"{said}1 poll a second\n{said}2 polls a second\n"


async def test_plain_lines_of_progress_come_each_so_many_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(1000)  # the loop's clock tells nothing of the command's beginning
    began = loop.time()
    async with progress(Tally(total=1), lambda: round(5 * (loop.time() - began)), bar=False, every=10.0):
        await asyncio.sleep(25)
    said = "0 of 1 ended  5 polls a second"
    assert capsys.readouterr().err == f"  10.0 s  {said}\n  20.0 s  {said}\n"


def drawn(tally: Tally, elapsed: float, color: Any = None) -> str:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=color, width=80).print(_drawing(tally, elapsed, 3.2))
    return out.getvalue()


def test_a_bar_is_as_long_as_the_share_that_has_ended_and_each_state_has_its_color() -> None:
    tally = Tally(total=4)
    for outcome in ("failed", "timed_out"):
        tally.add(record(outcome))
    plain = drawn(tally, 75.9)
    assert plain.count("\N{BOX DRAWINGS HEAVY HORIZONTAL}") == 20
    assert "  2/4  1:15  3 polls/s\n2 running  1 failed  1 timed out\n" in plain
    colored = drawn(tally, 75.9, "standard")
    assert "\x1b[36m2 running\x1b[0m  \x1b[31m1 failed\x1b[0m  \x1b[33m1 timed out\x1b[0m" in colored


def test_percentiles() -> None:
    assert [percentile(range(1, 101), share) for share in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert [percentile([7], share) for share in (1, 50, 100)] == [7, 7, 7]


def test_figures_are_laid_out_in_plain_columns() -> None:
    tally = Tally(total=3)
    for one in (record("failed", "ABORTED"), record("succeeded"), record("succeeded")):
        tally.add(one)
    lines: list[str] = []
    print_tables([outcomes(tally), figures([3, 1], [0.125, 12.5]), Table(("a",), [])], lines.append, terminal=False)
    assert "\n".join(lines) == FIGURES


def test_where_nothing_is_late_there_are_no_figures_of_it() -> None:
    assert [row[2] for row in figures([3, 1], []).rows] == ["-"] * 5


def test_a_terminal_has_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables([Table(("word", "number"), [("a", "1"), ("b", "22")])], print, terminal=True)
    head, _, *rows = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [head, *rows] == ["word   number", "a           1", "b          22"]


FIGURES = """
outcome  operations  share
OK                2  66.7%
ABORTED           1  33.3%

      polls an operation  lateness, s
mean                2.00         6.31
p50                    1         0.12
p95                    3        12.50
p99                    3        12.50
max                    3        12.50

a"""


def reading(body: bytes) -> Operation:
    return Operation.from_json("operations/a", body)


@pytest.mark.parametrize(
    "body, outcome, response, metadata",
    [
        (b'{"done":false,"metadata":{"a": 1}}', "running", None, {"a": 1}),
        (b'{"done":true}', "succeeded", None, None),
        (b'{"done":true,"response":{"a" :\n [1.0]}}', "succeeded", {"a": [1.0]}, None),
        (b'{"done":true,"response":{"@type":"type.googleapis.com/google.protobuf.Empty"}}', "succeeded", {}, None),
        (
            b'{"done":true,"response":{"n":123456789012345678901234567890}}',
            "succeeded",
            {"n": 12345678901234567890 * 10**10 + 1234567890},
            None,
        ),
        (b'{"done":true,"error":{"code":5,"message":"gone"},"metadata":{}}', "failed", None, {}),
    ],
)
def test_the_record_of_a_reading(body: bytes, outcome: str, response: Any, metadata: Any) -> None:
    made = record_of_operation(reading(body), 1, 0.5)
    told = json.loads(made.json())
    assert (told["outcome"], told["response"], told["metadata"]) == (outcome, response, metadata)
    assert "\n" not in made.json()


def test_a_record_of_something_nested_deeply_is_json_all_the_same() -> None:
    body = b'{"done":true,"response":' + b"[\n" * 600 + b"]" * 600 + b"}"
    line = record_of_operation(reading(body), 1, 0.5).json()
    assert json.loads(line)["outcome"] == "succeeded"
    assert "\n" not in line


def test_the_line_and_the_details_of_a_record() -> None:
    made = record("failed", "ABORTED", message="by\nhand", metadata=b'{"a":1}', response=b"{}")
    assert made.text() == r"operations/a  failed  2 polls  1.2 s  ABORTED: by\nhand"
    acting = record("running", metadata=b'{"a":"\xc2\x9b31m\xe2\x80\xae"}')
    assert acting.whole_text().endswith('metadata: {\n  "a": "\\x9b31m\\u202e"\n}')
    assert made.whole_text().partition("\n")[2] == 'metadata: {\n  "a": 1\n}\nresponse: {}'
    assert made.exit is Exit.FAILED


def test_the_record_of_an_error_says_the_name_once() -> None:
    operation = reading(b'{"done":true,"error":{"code":10,"message":"m"}}')
    made = record_of_error("operations/a", OperationError.of(operation), operation, 1, 0.1)
    assert (made.code, made.message) == (Code.ABORTED.name, "m")
    other = record_of_error("operations/a", DecodeError(operation, "r"), None, 1, 0.1)
    assert other.outcome == "poll_failed"
    late = PollTimeout("operations/a", None, 3, 5.0, None, "token")
    told = record_of_error("operations/a", late, None, 3, 5.0)
    assert (told.outcome, told.message) == ("timed_out", str(late).removeprefix("operations/a: "))
    assert told.text().count("operations/a") == 1


def test_the_seconds_of_a_record_are_exact_to_the_microsecond() -> None:
    told = json.loads(Record(name="operations/a", outcome="running", polls=1, elapsed=1.23456789).json())
    assert told["elapsed"] == 1.234568


@pytest.mark.parametrize(
    "error, details",
    [
        (b'{"code":9,"details":[{"@type":"a.example/Own","n": 1.0}]}', [{"@type": "a.example/Own", "n": 1.0}]),
        (b'{"code":9,"details":[]}', []),
        (b'{"code":9,"details":null}', None),
        (b'{"code":9}', None),
    ],
)
def test_a_record_has_the_details_of_an_error_as_they_came(error: bytes, details: Any) -> None:
    made = record_of_operation(reading(b'{"done":true,"error":%b}' % error), 1, 0.5)
    assert json.loads(made.json())["details"] == details


def test_the_record_of_a_failed_poll_has_the_status_of_its_reply() -> None:
    error = PollError("operations/a", "HTTP 403", 403, Status(Code.PERMISSION_DENIED, "not yours"))
    told = json.loads(record_of_error("operations/a", error, None, 1, 0.5).json())
    assert (told["outcome"], told["code"], told["http_status"]) == ("poll_failed", "PERMISSION_DENIED", 403)
    assert told["message"] == "HTTP 403: PERMISSION_DENIED: not yours"
    line = record_of_error("operations/a", error, None, 1, 0.5).text()
    assert line == "operations/a  poll failed  1 poll  0.5 s  HTTP 403: PERMISSION_DENIED: not yours"


async def test_a_wait_that_was_interrupted_is_told_with_all_that_was_seen_of_its_operation() -> None:
    transport = Scripted(lambda name, attempt: done({"n": 1}) if name == "operations/b" else running(step=1))
    async with open_scripted(transport) as poller:
        seen, ended = poller.submit("operations/a"), poller.submit("operations/b")
        await ended
        told = [record_of_interrupted(future) for future in (ended, seen, poller.submit("operations/c"))]
    assert [(one.outcome, one.metadata, one.message) for one in told] == [
        ("succeeded", None, None),
        ("interrupted", b'{"step": 1}', "it may still be running"),
        ("interrupted", None, "it may still be running"),
    ]


def test_what_is_nested_too_deeply_to_be_laid_out_is_told_as_it_stands() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    for written in (deep, deep.replace("[", "[\r\n")):
        assert f'"metadata":{deep},' in record("running", metadata=written.encode()).json()
