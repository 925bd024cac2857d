"""The command line as people and scripts use it: real processes, and the exit status of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lro_poller import Code
from lro_poller.testing import Emulator

from .process import KEYS, at, lro


@pytest.mark.parametrize(
    "script, deadline, status, outcome, code",
    [
        ({"response": {"n": 1}}, "30s", 0, "succeeded", None),
        ({"error": Code.NOT_FOUND}, "30s", 1, "failed", "NOT_FOUND"),
        ({"error": {"code": 99, "message": "odd"}}, "30s", 1, "failed", "CODE_99"),
        ({"duration": None}, "300ms", 3, "timed_out", None),
        (None, "30s", 4, "poll_failed", "NOT_FOUND"),
    ],
)
def test_each_outcome_has_its_record_and_its_exit_status(
    served: Emulator, script: dict[str, Any] | None, deadline: str, status: int, outcome: str, code: str | None
) -> None:
    name = "operations/unknown" if script is None else served.add_operation(**script)
    done = lro("wait", name, *at(served), "--deadline", deadline, "--format", "json")
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert list(record) == KEYS
    assert (done.returncode, record["outcome"], record["code"]) == (status, outcome, code)
    assert record["name"] == name


def test_text_is_plain_lines_off_a_terminal(served: Emulator) -> None:
    names = [served.add_operation("operations/abc"), served.add_operation("operations/def")]
    done = lro("wait", *names, *at(served), FORCE_COLOR="1")
    assert sorted(line.rpartition("  ")[0] for line in done.stdout.splitlines()) == [
        "operations/abc  succeeded  1 poll",
        "operations/def  succeeded  1 poll",
    ]
    assert done.stderr == "2 of 2 ended: 2 succeeded\n"
    assert lro("wait", names[0], *at(served)).stderr == ""  # what it came to stands in its one line


def test_get_polls_once(served: Emulator) -> None:
    name = served.add_operation(duration=None, metadata={"percent": 3})
    done = lro("get", name, *at(served), "--format", "json")
    record = json.loads(done.stdout)
    assert list(record) == KEYS
    assert (done.returncode, record["outcome"], record["metadata"]) == (0, "running", {"percent": 3})
    assert served.polls(name) == 1


@pytest.mark.parametrize(
    "script, status, said",
    [
        ({"response": {"a": [1]}}, 0, 'response: {\n  "a": [\n    1\n  ]\n}\n'),
        ({"error": Code.ABORTED}, 1, "failed  1 poll"),
        (None, 4, "NOT_FOUND"),
    ],
)
def test_get_in_text(served: Emulator, script: dict[str, Any] | None, status: int, said: str) -> None:
    name = "operations/unknown" if script is None else served.add_operation(**script)
    done = lro("get", name, *at(served))
    assert done.returncode == status
    assert said in done.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["wait", "../etc", "--anonymous"], "is not an operation's name"),
        (["wait", "subscriptions/a", "--anonymous"], "a name looks like operations/abc"),
        (["get", "https://example.com/v1/operations/a", "--anonymous"], "it is a URL; give the name alone"),
        (["wait", "operations/a", "--anonymous", "--endpoint", "http://example.com"], "plain HTTP to another machine"),
        (["wait", "operations/a", "--anonymous", "--endpoint", "nonsense"], "must be an origin"),
        (["wait", "operations/a", "--deadline", "0"], "no time above zero"),
        (["wait", "operations/a", "--max-rate", "-1"], "no number above zero"),
        (["wait", "operations/a", "--service", "nope:v1"], "unknown service 'nope:v1'"),
        (["wait", "operations/a", "--scope", "https://www.googleapis.com/auth/calendar"], "does not allow"),
        (["--verbose", "wait", "operations/a"], "options of a command come after it: lro-poller wait --verbose"),
        (["wait", "operations/a", "--deadline", "5", "operations/b"], "names belong together"),
        (["wait", "operations/a", "--deadline", "5", "-"], "names belong together"),
        (["--anonymous", "--bogus", "wait", "operations/a"], "come after it: lro-poller wait --anonymous …"),
        (["wait", "operations/a", "--anon"], "unrecognized arguments: --anon (did you mean --anonymous?)"),
        (["wait", "operations/a", "--deadlin=5"], "lro-poller wait: error: unrecognized arguments: --deadlin=5 (did"),
        (["get", "operations/a", "operations/b"], "lro-poller get: error: unrecognized arguments: operations/b\n"),
        (["wait", "operations/a", "--deadline", "99999999999999h"], "not a time as it is read here; write 90"),
        (["wait", "operations/a", "--deadline", "5 minutes"], "not a time as it is read here; write 90"),
        (["wait", "operations/a,operations/b", "--anonymous"], "it looks like several; write one a line"),
        (["wait", "operations/a operations/b", "--anonymous"], "it looks like several; write one a line"),
        (["emulate", "--port", "99999"], "there is no port 99999"),
        (["emulate", "--error-rate", "nan"], "no number between 0 and 1"),
        (["demo", "--operations", "0"], "not a whole number from 1 to 999999999"),
        (["operations/a"], "lro-poller wait operations/a"),
        ([], "COMMAND"),
    ],
)
def test_mistakes_are_told_and_exit_with_2(arguments: list[str], said: str) -> None:
    done = lro(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "allow_http" not in done.stderr  # that is an argument of the library


def test_a_refused_endpoint_is_named() -> None:
    done = lro("get", "operations/a", "--anonymous", "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 4
    assert "no connection to http://127.0.0.1:1" in done.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "lro-poller demo"),
        (["wait"], "--deadline TIME"),
        (["get"], "once"),
        (["emulate"], "operations/demo-endless"),
        (["demo"], "ended as scripted"),
    ],
)
def test_help_teaches(arguments: list[str], said: str) -> None:
    done = lro(*arguments, "--help")
    assert done.returncode == 0
    assert said in done.stdout
    assert done.stderr == ""
