"""The command line as its users run it: exit codes, what goes to which stream, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lro_poller import WORKSPACE_EVENTS, __version__
from lro_poller.cli import main
from lro_poller.status import Code
from lro_poller.testing import Emulator, HttpError

COMMAND = [sys.executable, "-m", "lro_poller"]
KEYS = ["name", "outcome", "code", "message", "response", "metadata", "polls", "elapsed"]
TYPED = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
TYPED.pop("NO_COLOR", None)


def lines(text: str) -> list[Any]:
    """The records of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def run(
    *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=40, env=env, cwd=cwd, check=False
    )


@contextlib.contextmanager
def running(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs; it hears of Ctrl-C also where the tests do not."""
    hears = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, *arguments], text=True, **{**pipes, **options})
    signal.signal(signal.SIGINT, hears)
    with process:
        try:
            yield process
        finally:
            process.kill()


def on_terminal(*command: str, stdout_too: bool = False) -> tuple[int, str, str]:
    """Runs a command whose standard error is a terminal; returns its exit status, its output and what was shown."""
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen, open(slave, "wb", buffering=0) as terminal:  # noqa: PTH123
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave if stdout_too else subprocess.PIPE, stderr=slave, env=TYPED
        )
        terminal.close()
        shown = bytearray()
        with contextlib.suppress(OSError):  # how Linux tells that nobody holds the terminal any more
            while piece := screen.read(65536):
                shown += piece
        output, _ = process.communicate(timeout=40)
    return process.returncode, (output or b"").decode(), shown.decode()


def until(condition: Callable[[], Any]) -> None:
    """Waits for what another process does."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def there(served: Emulator) -> list[str]:
    """The options that lead to the emulator."""
    return ["--endpoint", served.origin, "--anonymous"]


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without credentials, where google-auth asks nobody on the network for them."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GOOGLE", "GCE", "CLOUDSDK"))}
    return {**kept, "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}


# Waiting.


@pytest.mark.parametrize(
    "script, options, status, outcome, code",
    [
        ({"response": {"answer": 42}}, [], 0, "succeeded", None),
        ({}, [], 0, "succeeded", None),
        ({"error": Code.FAILED_PRECONDITION}, [], 1, "failed", "FAILED_PRECONDITION"),
        ({"error": Code.DEADLINE_EXCEEDED}, [], 1, "failed", "DEADLINE_EXCEEDED"),
        ({"error": {"code": 99, "message": "odd"}}, [], 1, "failed", "CODE_99"),
        ({"duration": None}, ["--deadline", "200ms"], 3, "timed_out", None),
        ({"faults": [HttpError(404)]}, [], 4, "poll_failed", "NOT_FOUND"),
        ({"faults": [HttpError(403)]}, [], 4, "poll_failed", "PERMISSION_DENIED"),
    ],
)
def test_the_exit_status_tells_what_became_of_an_operation(
    served: Emulator,
    there: list[str],
    capsys: pytest.CaptureFixture[str],
    script: dict[str, Any],
    options: list[str],
    status: int,
    outcome: str,
    code: str | None,
) -> None:
    name = served.add_operation(**script, metadata={"progress": 1})
    assert main(["wait", name, *there, *options, "--format", "json"]) == status
    (record,) = lines(capsys.readouterr().out)
    assert list(record) == KEYS
    assert (record["name"], record["outcome"], record["code"]) == (name, outcome, code)
    assert record["response"] == script.get("response")
    assert record["metadata"] == (None if outcome == "poll_failed" else {"progress": 1})
    assert (record["message"] is None) is (outcome == "succeeded")
    assert record["polls"] == served.polls(name) >= 1
    assert record["elapsed"] >= (0.2 if outcome == "timed_out" else 0)


@pytest.mark.parametrize(
    "chosen, status",
    [
        (["succeeds"], 0),
        (["succeeds", "fails"], 1),
        (["fails", "endless", "succeeds"], 3),
        (["unknown", "endless", "fails", "succeeds"], 4),
    ],
)
def test_of_several_the_highest_status_counts(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str], chosen: list[str], status: int
) -> None:
    served.add_operation("operations/succeeds")
    served.add_operation("operations/fails", error=Code.ABORTED)
    served.add_operation("operations/endless", duration=None)
    names = [f"operations/{one}" for one in chosen]
    assert main(["wait", *names, *there, "--deadline", "200ms", "--format", "json"]) == status
    assert {record["name"] for record in lines(capsys.readouterr().out)} == set(names)


def test_it_is_a_command_of_its_own(served: Emulator, there: list[str]) -> None:
    fine, bad = served.add_operation(response={"é": 1}), served.add_operation(error={"code": 5, "message": "gone"})
    ended = run("wait", bad, fine, *there)
    assert ended.returncode == 1
    assert ended.stderr == ""
    for name, outcome, rest in ((fine, "succeeded", ""), (bad, "failed", "  NOT_FOUND: gone")):
        assert re.search(rf"^{name}  {outcome}  1 poll  \d+\.\d s{rest}$", ended.stdout, re.MULTILINE)
    assert ended.stdout.count("\n") == 2


def test_with_json_nothing_but_records_is_on_standard_output(served: Emulator, there: list[str]) -> None:
    names = [served.add_operation(faults=[HttpError(503)], response={"text": "ü\n"}), served.add_operation()]
    ended = run("wait", *names, *there, "--verbose", "--format", "json")
    assert ended.returncode == 0
    records = {record["name"]: record for record in lines(ended.stdout)}
    assert all(list(record) == KEYS for record in records.values())
    assert {name: record["response"] for name, record in records.items()} == {names[0]: {"text": "ü\n"}, names[1]: None}
    assert names[0] in ended.stderr
    assert "503" in ended.stderr


def test_a_record_is_written_when_its_operation_ends(served: Emulator, there: list[str]) -> None:
    first, second = served.add_operation(), served.add_operation(duration=None)
    with running("wait", second, first, *there, "--format", "json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["name"] == first
        assert process.poll() is None


@pytest.mark.parametrize("stdout_too", [False, True])
def test_text_holds_no_escape_codes_of_a_servers(served: Emulator, there: list[str], stdout_too: bool) -> None:
    name = served.add_operation(error={"code": 5, "message": "one\x1b[31m two\nthree\x9b31m"})
    ended = run("wait", name, *there)
    assert ended.returncode == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", ended.stdout)
    assert ended.stdout.count("\n") == 1
    assert "three" in ended.stdout


def test_names_come_from_standard_input(served: Emulator, there: list[str]) -> None:
    names = [served.add_operation(), served.add_operation("operations/größe b"), served.add_operation()]
    ended = run("wait", names[0], "-", *there, "--format", "json", stdin=f"\n{names[1]}\r\n  {names[2]}  ")
    assert ended.returncode == 0
    assert sorted(record["name"] for record in lines(ended.stdout)) == sorted(names)


@pytest.mark.behaviour("B7")
def test_a_name_given_twice_is_polled_once_and_reported_twice(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = served.add_operation()
    assert main(["wait", name, name, *there, "--format", "json"]) == 0
    assert [record["name"] for record in lines(capsys.readouterr().out)] == [name, name]
    assert served.polls(name) == 1


def test_the_other_version_is_polled_when_asked_for(served: Emulator, there: list[str]) -> None:
    assert main(["wait", served.add_operation(), *there, "--service", "workspaceevents:v1"]) == 0
    assert main(["wait", served.add_operation(), *there]) == 0
    assert [request.path.split("/")[1] for request in served.requests] == ["v1", "v1beta"]


def test_polls_keep_to_the_rate_and_the_number_in_flight(served: Emulator, there: list[str]) -> None:
    names = [served.add_operation() for _ in range(4)]
    assert main(["wait", *names, *there, "--max-rate", "20", "--max-in-flight", "1"]) == 0
    times = [request.time for request in served.requests]
    assert min(later - earlier for earlier, later in zip(times, times[1:], strict=False)) >= 0.045


# Ctrl-C.


@pytest.mark.behaviour("B21")
def test_ctrl_c_tells_what_may_still_be_running(served: Emulator, there: list[str]) -> None:
    ended, *pending = served.add_operation(), served.add_operation(duration=None), served.add_operation(duration=None)
    with running("wait", ended, *pending, *there, "--format", "json") as process:
        until(lambda: all(served.polls(name) for name in (ended, *pending)))
        assert process.stdout
        written = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [record["name"] for record in lines(written + rest)] == [ended]
    assert "may still be running" in said
    assert all(name in said for name in pending)
    assert ended not in said
    assert "Traceback" not in said


@pytest.mark.xfail(strict=True, reason="the loop is blocked by reading: the first Ctrl-C is not acted on")
def test_one_ctrl_c_ends_the_reading_of_names(there: list[str]) -> None:
    with running("wait", "-", *there) as process:
        assert process.stdin
        process.stdin.write("\n" * 1_000_000)  # more than a pipe holds: it is being read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=3) == 130


def test_a_reader_that_leaves_is_no_error_of_ours(served: Emulator, there: list[str]) -> None:
    first, second = served.add_operation(), served.add_operation(polls=1)
    with running("wait", first, second, *there, "--format", "json") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == ""


# One poll.


@pytest.mark.parametrize(
    "script, status, outcome, code",
    [
        ({"duration": None, "metadata": {"progress": 1}}, 0, "running", None),
        ({"response": {"answer": 42}}, 0, "succeeded", None),
        ({}, 0, "succeeded", None),
        ({"error": Code.DATA_LOSS}, 1, "failed", "DATA_LOSS"),
        ({"faults": [HttpError(404)]}, 4, "poll_failed", "NOT_FOUND"),
        ({"faults": [HttpError(503)]}, 4, "poll_failed", "UNAVAILABLE"),
    ],
)
def test_get_shows_how_an_operation_stands(
    served: Emulator,
    there: list[str],
    capsys: pytest.CaptureFixture[str],
    script: dict[str, Any],
    status: int,
    outcome: str,
    code: str | None,
) -> None:
    name = served.add_operation(**script)
    assert main(["get", name, *there, "--format", "json"]) == status
    (record,) = lines(capsys.readouterr().out)
    assert list(record) == KEYS
    assert (record["name"], record["outcome"], record["code"]) == (name, outcome, code)
    assert record["response"] == script.get("response")
    assert record["polls"] == served.polls(name) == 1


def test_get_as_text_shows_metadata_and_response(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = served.add_operation(response={"größe": 42}, metadata={"progress": 1})
    assert main(["get", name, *there]) == 0
    head, *rest = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{name}  succeeded  1 poll  ")
    assert rest == ["metadata: {", '  "progress": 1', "}", "response: {", '  "größe": 42', "}"]


@pytest.mark.xfail(strict=True, reason="the log says that polling goes on, and it does not")
def test_get_does_not_say_that_polling_goes_on(served: Emulator, there: list[str]) -> None:
    ended = run("get", served.add_operation(faults=[HttpError(503)]), *there)
    assert ended.returncode == 4
    assert "503" in ended.stdout
    assert "goes on" not in ended.stderr


# What callers get wrong.


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["wait"], "NAME"),
        (["get"], "NAME"),
        (["get", "operations/a", "operations/b"], "operations/b"),
        (["wait", "operations/a", "--deadline", "0"], "'0' is no time above zero"),
        (["wait", "operations/a", "--deadline=-5"], "'-5' is no time above zero"),
        (["wait", "operations/a", "--deadline", "nan"], "'nan' is no time above zero"),
        (["wait", "operations/a", "--deadline", "5 minutes"], "'5 minutes' is no time above zero"),
        (["wait", "operations/a", "--deadline", ""], "'' is no time above zero"),
        (["wait", "operations/a", "--max-in-flight", "0"], "--max-in-flight"),
        (["wait", "operations/a", "--max-in-flight", "1.5"], "--max-in-flight"),
        (["wait", "operations/a", "--max-rate", "0"], "--max-rate"),
        (["wait", "operations/a", "--max-rate", "nan"], "--max-rate"),
        (["wait", "operations/a", "--service", "drive:v3"], "workspaceevents:v1beta"),
        (["wait", "operations/a", "--format", "xml"], "--format"),
        (["wait", "operations/a", "--anonymous", "--credentials-file", "f"], "not allowed with"),
        (["get", "operations/a", "--deadline", "5m"], "--deadline"),
        (["emulate", "--duration", "0"], "--duration"),
        (["emulate", "--error-rate", "1.1"], "--error-rate"),
        (["emulate", "--fault-rate", "nan"], "--fault-rate"),
        (["emulate", "--port", "http"], "--port"),
        (["demo", "--operations", "0"], "--operations"),
        (["demo", "--operations", "many"], "--operations"),
        (["demo", "--seed", "x"], "--seed"),
    ],
)
def test_bad_usage_is_status_2_and_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    output = capsys.readouterr()
    assert caught.value.code == 2
    assert output.out == ""
    assert said in output.err


@pytest.mark.parametrize("text", ["9" * 400 + "h", "9" * 400 + "ms", "9" * 5000])
@pytest.mark.xfail(strict=True, reason="OverflowError, or a message of int()'s")
def test_a_time_without_end_is_bad_usage(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["wait", "operations/a", "--deadline", text, "--endpoint", "nonsense"])
    assert caught.value.code == 2
    assert "time" in capsys.readouterr().err


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("command", ["wait", "get"])
@pytest.mark.parametrize(
    "name, said",
    [
        ("", "it is empty"),
        ("abc", "it does not match operations/**"),
        ("/operations/abc", "it begins with '/'"),
        ("https://example.com/operations/abc", "it is a URL"),
        ("operations/../secrets", "it has a segment '..'"),
        ("operations//abc", "empty segment"),
        ("operations/a?b", "it contains '?'"),
        ("operations/%2e%2e", "percent-encoded already"),
        ("operations/a\nb", "cannot be printed"),
        ("operations/" + "a" * 10_000, "at most 2048"),
    ],
)
def test_a_bad_name_is_status_2_and_nothing_is_sent(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str], command: str, name: str, said: str
) -> None:
    assert main([command, name, *there]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("lro-poller: ")
    assert output.err.count("\n") == 1
    assert said in output.err
    assert served.requests == []


def test_every_bad_name_is_told_and_no_good_one_is_polled(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("operations/./b\n"))
    assert main(["wait", served.add_operation(), "a", "-", *there]) == 2
    said = capsys.readouterr().err
    assert "'a'" in said
    assert "'operations/./b'" in said
    assert served.requests == []


@pytest.mark.parametrize("given", ["", "\n \n"])
def test_no_names_at_all_is_status_2(
    there: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    assert main(["wait", "-", *there]) == 2
    assert "no names came on standard input" in capsys.readouterr().err


@pytest.mark.behaviour("B16")
def test_an_endpoint_that_refuses_is_named(nowhere: int, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--endpoint", f"http://127.0.0.1:{nowhere}", "--anonymous", "--format", "json"]
    assert main(["get", "operations/abc", *there]) == 4
    assert main(["wait", "operations/abc", *there, "--deadline", "300ms"]) == 3
    once, waited = lines(capsys.readouterr().out)
    assert (once["outcome"], once["code"], waited["outcome"], waited["code"]) == (
        "poll_failed",
        None,
        "timed_out",
        None,
    )
    for record in (once, waited):
        assert f"no connection to http://127.0.0.1:{nowhere}" in record["message"]


@pytest.mark.behaviour("B17")
def test_a_host_that_is_unknown_is_named() -> None:
    ended = run("get", "operations/abc", "--endpoint", "https://nowhere.invalid", "--anonymous")
    assert ended.returncode == 4
    assert "the host of https://nowhere.invalid " in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "endpoint, said",
    [
        ("http://example.com", "plain HTTP to another machine"),
        ("http://10.0.0.1:8901", "plain HTTP to another machine"),
        ("http://127.0.0.1.example.com", "plain HTTP to another machine"),
        ("example.com", "must be an origin"),
        ("ftp://example.com", "must be an origin"),
        ("https://example.com/v1", "nothing else"),
        ("https://user:secret@example.com", "nothing else"),
        ("", "must be an origin"),
    ],
)
def test_an_endpoint_that_will_not_do_is_named(capsys: pytest.CaptureFixture[str], endpoint: str, said: str) -> None:
    for command in ("wait", "get"):
        assert main([command, "operations/abc", "--endpoint", endpoint, "--anonymous"]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert f"endpoint {endpoint!r}" in output.err
        assert said in output.err


@pytest.mark.parametrize("command", ["wait", "get"])
def test_without_credentials_it_says_how_to_supply_them(bare: dict[str, str], command: str) -> None:
    ended = run(command, "operations/abc", env=bare)
    assert ended.returncode == 2
    assert ended.stdout == ""
    for way in ("gcloud auth application-default login", "GOOGLE_APPLICATION_CREDENTIALS", "service account"):
        assert way in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.xfail(strict=True, reason="the ways are those of the library, not of the command")
def test_without_credentials_it_names_its_own_options(bare: dict[str, str]) -> None:
    said = run("wait", "operations/abc", env=bare).stderr
    assert "--credentials-file" in said
    assert "--anonymous" in said
    assert "credentials=" not in said


@pytest.mark.xfail(strict=True, reason="get looks for credentials first")
def test_a_bad_name_is_told_before_credentials_are_looked_for(bare: dict[str, str]) -> None:
    assert "'../x'" in run("get", "../x", env=bare).stderr


@pytest.mark.parametrize(
    "content, said",
    [(None, "not found"), ("{", "not a valid json"), ('{"type": "authorized_user"}', "authorized_user")],
)
def test_a_credentials_file_that_will_not_do_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    assert main(["get", "operations/abc", "--credentials-file", str(file)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"credentials file {str(file)!r}" in output.err
    assert "Traceback" not in output.err


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("command", ["wait", "get"])
def test_a_scope_that_does_not_allow_polling_is_status_2_and_those_that_do_are_listed(
    served: Emulator, there: list[str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    fine, foreign = WORKSPACE_EVENTS.scopes[0], "https://www.googleapis.com/auth/chat.app.spaces"
    name = served.add_operation()
    assert main([command, name, *there, "--scope", fine, "--scope", foreign]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert repr(foreign) in output.err
    assert all(scope in output.err for scope in WORKSPACE_EVENTS.scopes)
    assert served.requests == []
    assert main([command, name, *there, "--scope", fine]) == 0


@pytest.mark.xfail(strict=True, reason="bad usage is told, after the operation has ended")
def test_an_output_that_cannot_hold_a_response_is_written_all_the_same(served: Emulator, there: list[str]) -> None:
    name = served.add_operation(response={"größe": 1})
    for form in ("json", "text"):
        ended = run("get", name, *there, "--format", form, env={**os.environ, "PYTHONIOENCODING": "ascii"})
        assert ended.returncode == 0
        assert name in ended.stdout


@pytest.mark.xfail(strict=True, reason="a traceback, and the status of a failed operation")
def test_a_full_disk_is_told_and_is_no_failed_operation(served: Emulator, there: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with (
        Path("/dev/full").open("w") as full,
        running("wait", served.add_operation(), *there, stdout=full) as process,
    ):
        _, said = process.communicate(timeout=30)
    assert process.returncode not in (0, 1)
    assert "No space left" in said
    assert "Traceback" not in said


# The emulator.


def test_emulate_prints_its_origin_first_and_serves_until_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--duration", "50ms", "--error-rate", "0", "--fault-rate", "0"]
    with running("emulate", "--port", "0", *options) as process:
        assert process.stdout
        origin = process.stdout.readline().rstrip("\n")
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", origin)
        there = ["--endpoint", origin, "--anonymous", "--deadline", "500ms", "--format", "json"]
        statuses = {
            name: main(["wait", f"operations/{name}", *there])
            for name in ("demo-success", "demo-failure", "demo-endless", "unknown")
        }
        assert statuses == {"demo-success": 0, "demo-failure": 1, "demo-endless": 3, "unknown": 4}
        success, failure, *_ = lines(capsys.readouterr().out)
        assert success["response"] == {"demo": "success"}
        assert failure["code"] == "FAILED_PRECONDITION"
        process.send_signal(signal.SIGINT)
        output, said = process.communicate(timeout=30)
    assert (process.returncode, output, said) == (130, "", "")


def test_emulate_takes_requests_as_the_service_does() -> None:
    with running("emulate", "--port", "0", "--error-rate", "1", "--duration", "1h", "--seed", "5") as process:
        assert process.stdout
        address = process.stdout.readline().strip().removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(address, timeout=10)) as connection:
            body = {
                "targetResource": "//chat.googleapis.com/spaces/A",
                "eventTypes": ["google.workspace.chat.message.v1.created"],
                "notificationEndpoint": {"pubsubTopic": "projects/p/topics/t"},
            }
            connection.request("POST", "/v1/subscriptions", json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200
            assert json.load(response)["name"].startswith("operations/")


def test_emulate_says_that_a_port_is_taken(served: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    port = served.origin.rpartition(":")[2]
    assert main(["emulate", "--port", port]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert f"cannot listen on port {port}" in output.err
    assert "in use" in output.err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_emulate_refuses_a_port_that_is_none(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["emulate", f"--port={port}"]) == 2
    assert f"no port {port}" in capsys.readouterr().err


# The demonstration. Each takes seconds: they run beside one another.

DEMOS: dict[str, Sequence[str]] = {
    "text": ["--operations", "40"],
    "json": ["--operations", "40", "--format", "json"],
    "again": ["--operations", "40", "--format", "json", "--seed", "7"],
    "other": ["--operations", "40", "--format", "json", "--seed", "8"],
}


@pytest.fixture(scope="module")
def demos() -> Iterator[Mapping[str, tuple[int, str, str]]]:
    """Exit status, standard output and standard error of each demonstration, and of one on a terminal."""
    ended: dict[str, tuple[int, str, str]] = {}

    def see() -> None:
        ended["terminal"] = on_terminal(*COMMAND, "demo", "--operations", "20")

    watching = threading.Thread(target=see)
    watching.start()
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(running("demo", *options)) for name, options in DEMOS.items()}
        for name, process in started.items():
            output, said = process.communicate(timeout=50)
            ended[name] = process.returncode, output, said
        watching.join(timeout=50)
    yield ended


def test_the_demo_ends_well_and_says_so_in_plain_text(demos: Mapping[str, tuple[int, str, str]]) -> None:
    status, output, said = demos["text"]
    assert status == 0
    assert "every one of the 40 operations ended as scripted" in output
    assert "40 operations on an emulated Workspace Events service at http://127.0.0.1:" in output
    for what in ("outcome", "polls an operation", "lateness, s", "p50", "p95", "a second"):
        assert what in output
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", output + said)
    assert re.search(r"^ +\d+\.\d s  \d+ of 40 ended(: .*)?  \d+ polls, \d+ a second$", said, re.MULTILINE)


def test_the_demo_as_json_is_one_record_an_operation(demos: Mapping[str, tuple[int, str, str]]) -> None:
    status, output, said = demos["json"]
    records = lines(output)
    assert status == 0
    assert len({record["name"] for record in records}) == len(records) == 40
    assert all(list(record) == KEYS for record in records)
    assert {record["outcome"] for record in records} == {"succeeded", "failed"}
    assert all((record["response"] is None) == (record["outcome"] == "failed") for record in records)
    assert "every one of the 40 operations ended as scripted" in said


def test_a_demo_of_one_seed_comes_to_the_same_again(demos: Mapping[str, tuple[int, str, str]]) -> None:
    codes = {name: Counter(record["code"] or "OK" for record in lines(demos[name][1])) for name in ("json", "again")}
    names, others = ({record["name"] for record in lines(demos[name][1])} for name in ("json", "other"))
    assert codes["json"] == codes["again"]
    assert demos["other"][0] == 0
    assert names.isdisjoint(others)
    for code, count in codes["json"].items():
        assert re.search(rf"^{code} +{count} ", demos["text"][1], re.MULTILINE)


def test_on_a_terminal_the_demo_shows_a_bar_with_counts(demos: Mapping[str, tuple[int, str, str]]) -> None:
    status, output, shown = demos["terminal"]
    assert status == 0
    assert "\x1b[" in shown
    assert "━" in shown
    assert re.search(r"20 of 20 ended: \d+ succeeded, \d+ failed  \d+ polls, \d+ a second", shown)
    assert "every one of the 20 operations ended as scripted" in output
    assert "\x1b" not in output


@pytest.mark.xfail(strict=True, reason="rich takes standard output over and writes it to the terminal")
def test_the_bar_leaves_standard_output_alone(served: Emulator, there: list[str]) -> None:
    names = [served.add_operation(), served.add_operation()]
    status, output, shown = on_terminal(*COMMAND, "wait", *names, *there)
    assert status == 0
    assert "2 of 2 ended: 2 succeeded" in shown
    assert all(name in output for name in names)
    assert output.count("\n") == 2


def test_all_on_one_terminal_the_bar_and_the_outcomes_are_seen(served: Emulator, there: list[str]) -> None:
    name = served.add_operation()
    status, _, shown = on_terminal(*COMMAND, "wait", name, *there, stdout_too=True)
    assert status == 0
    assert f"{name}  succeeded" in shown
    assert "1 of 1 ended: 1 succeeded" in shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_form_that_was_asked_for_has_no_bar(served: Emulator, there: list[str], form: str) -> None:
    name = served.add_operation()
    status, output, shown = on_terminal(*COMMAND, "wait", name, *there, "--format", form)
    assert (status, shown) == (0, "")
    assert name in output


def test_without_rich_a_terminal_has_plain_lines(served: Emulator, there: list[str]) -> None:
    name = served.add_operation()
    code = "import sys; sys.modules['rich'] = None; from lro_poller.cli import main; sys.exit(main())"
    status, output, shown = on_terminal(sys.executable, "-c", code, "wait", name, *there)
    assert status == 0
    assert output.startswith(f"{name}  succeeded  1 poll")
    assert "\x1b" not in shown


# Help.


@pytest.mark.parametrize(
    "command, mentioned",
    [
        ([], ["wait", "get", "emulate", "demo", "130", "a deadline passed", "With several operations, the highest"]),
        (
            ["wait"],
            ["- reads names from standard input", "--service", "--endpoint", "--anonymous", "--credentials-file"]
            + ["--scope", "--deadline", "1h30m", "--max-in-flight", "--max-rate", "--format", "exit status", *KEYS],
        ),
        (["get"], ["--service", "--endpoint", "--anonymous", "--credentials-file", "--scope", "--format"]),
        (
            ["emulate"],
            ["--port", "8901", "--duration", "--error-rate", "--fault-rate", "--seed", "demo-endless", "loopback"],
        ),
        (["demo"], ["--operations", "200", "--seed", "--format", "No request leaves this machine"]),
    ],
)
def test_help_mentions_what_there_is_to_know(
    capsys: pytest.CaptureFixture[str], command: list[str], mentioned: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert [what for what in mentioned if what not in said] == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"lro-poller {__version__}\n"
