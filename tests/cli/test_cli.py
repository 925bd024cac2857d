"""The command line as people and scripts use it: real processes, and the exit status of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lro_poller import Code
from lro_poller.testing import Emulator

KEYS = ["name", "outcome", "code", "message", "response", "metadata", "polls", "elapsed"]


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def lro(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lro_poller", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, **environment},
    )


def at(emulator: Emulator) -> list[str]:
    return ["--endpoint", emulator.origin, "--anonymous"]


@pytest.mark.parametrize(
    "script, deadline, status, outcome, code",
    [
        ({"response": {"n": 1}}, "30s", 0, "succeeded", None),
        ({"error": Code.NOT_FOUND}, "30s", 1, "failed", "NOT_FOUND"),
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


def test_of_several_the_highest_counts_and_names_come_from_standard_input(served: Emulator) -> None:
    names = [served.add_operation(), served.add_operation(error=Code.ABORTED), "operations/unknown"]
    done = lro("wait", "-", *at(served), "--format", "json", stdin="\n".join(names) + "\n\n")
    assert done.returncode == 4
    assert sorted(json.loads(line)["name"] for line in done.stdout.splitlines()) == sorted(names)


def test_text_is_plain_lines_off_a_terminal(served: Emulator) -> None:
    done = lro("wait", served.add_operation("operations/abc"), *at(served))
    assert done.stdout.startswith("operations/abc  succeeded  1 poll  ")
    assert "\x1b" not in done.stdout + done.stderr


def test_get_polls_once(served: Emulator) -> None:
    name = served.add_operation(duration=None, metadata={"percent": 3})
    done = lro("get", name, *at(served), "--format", "json")
    record = json.loads(done.stdout)
    assert (done.returncode, record["outcome"], record["metadata"]) == (0, "running", {"percent": 3})
    assert served.polls(name) == 1


def test_an_interruption_says_what_may_still_run(served: Emulator) -> None:
    name = served.add_operation(duration=None)
    command = [sys.executable, "-m", "lro_poller", "wait", name, *at(served), "--verbose"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if name in line:  # the first poll has been made
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(20) == 130
    assert "may still be running remotely" in said
    assert name in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["wait", "../etc", "--anonymous"], "is no operation's name"),
        (["wait", "subscriptions/a", "--anonymous"], "a name looks like operations/**"),
        (["wait", "operations/a", "--anonymous", "--endpoint", "http://example.com"], "plain HTTP to another machine"),
        (["wait", "operations/a", "--anonymous", "--endpoint", "nonsense"], "must be an origin"),
        (["wait", "operations/a", "--deadline", "0"], "no time above zero"),
        (["wait", "operations/a", "--max-rate", "-1"], "no number above zero"),
        (["wait", "operations/a", "--service", "nope:v1"], "invalid choice"),
        (["wait", "operations/a", "--scope", "https://www.googleapis.com/auth/calendar"], "does not allow"),
        (["wait", "-", "--anonymous"], "no names came on standard input"),
        (["wait", "operations/a", "--credentials-file", "nowhere.json"], "nowhere.json"),
        (["emulate", "--port", "99999"], "there is no port 99999"),
        ([], "COMMAND"),
    ],
)
def test_mistakes_are_told_and_exit_with_2(arguments: list[str], said: str) -> None:
    done = lro(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_missing_credentials_say_how_to_supply_them(tmp_path: Path) -> None:
    nowhere = {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}
    done = lro("wait", "operations/a", GOOGLE_APPLICATION_CREDENTIALS="", **nowhere)
    assert done.returncode == 2
    assert "gcloud auth application-default login" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_endpoint_is_named() -> None:
    done = lro("get", "operations/a", "--anonymous", "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 4
    assert "no connection to http://127.0.0.1:1" in done.stdout


def test_emulate_prints_its_origin_first_and_is_waited_on() -> None:
    command = [sys.executable, "-m", "lro_poller", "emulate", "--port", "0", "--duration", "100ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        origin = process.stdout.readline().strip()
        served = ["--endpoint", origin, "--anonymous", "--deadline", "30s"]
        statuses = [lro("wait", f"operations/demo-{kind}", *served).returncode for kind in ("success", "failure")]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert origin.startswith("http://127.0.0.1:")
    assert statuses == [0, 1]


def test_the_demo_ends_as_scripted() -> None:
    done = lro("demo", "--operations", "40", "--format", "json")
    assert done.returncode == 0
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == [KEYS] * 40
    assert "every one of the 40 operations ended as scripted" in done.stderr


@pytest.mark.parametrize("command, said", [("wait", "--deadline TIME"), ("get", "once"), ("emulate", "origin")])
def test_help_teaches(command: str, said: str) -> None:
    done = lro(command, "--help")
    assert done.returncode == 0
    assert said in done.stdout
