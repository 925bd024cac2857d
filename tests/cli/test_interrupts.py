"""Ctrl-C, SIGTERM and SIGHUP: each command ends at once, with what it leaves behind said."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from lro_poller.testing import Emulator, Hang

from .process import COMMAND, at, lro
from .test_credentials import key, service_account  # noqa: F401 - a fixture

_HEAR = """
import os, signal, sys
for number in signal.SIGINT, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
_LOG_IN = """
import os, sys
os.login_tty(int(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""
HEARING = [sys.executable, "-c", _HEAR]
"""Ctrl-C is ignored by whatever is started in the background, these tests perhaps, and by its children."""

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(20)
        yield listening


class Child(subprocess.Popen[str]):
    """A process that does not outlive its test."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.poll() is None:
            self.kill()
        super().__exit__(kind, error, traceback)


def started(*arguments: str, stdin: int = subprocess.DEVNULL, **environment: str) -> Child:
    pipe, settings = subprocess.PIPE, {**os.environ, **environment}
    return Child([*HEARING, *COMMAND, *arguments], stdin=stdin, stdout=pipe, stderr=pipe, text=True, env=settings)


def ended(process: Child, number: signal.Signals) -> tuple[int, str, str]:
    """Sends a signal; returns the exit status and what was still said."""
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for(process: Child, words: str) -> None:
    """Reads standard error up to a line with `words`."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"{words!r} was never said")


@pytest.mark.parametrize("number, status", SIGNALS)
def test_wait_tells_what_may_still_run_after_what_it_has_told(
    served: Emulator, number: signal.Signals, status: int
) -> None:
    done, name = served.add_operation(), served.add_operation(duration=None)
    with started("wait", done, name, *at(served), "--verbose", "--format", "json") as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        wait_for(process, f"{name}: poll 1: still running")
        code, out, err = ended(process, number)
    left = json.loads(out)
    assert (code, json.loads(told)["name"]) == (status, done)
    assert (left["name"], left["outcome"], left["polls"]) == (name, "interrupted", 1)
    assert err.endswith(f"interrupted; these operations may still be running remotely:\n  {name}\n")


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_a_terminal_that_is_gone_is_no_failure_of_an_operation(served: Emulator, options: list[str]) -> None:
    name = served.add_operation(duration=None)
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-c", _LOG_IN, str(its_end), *HEARING, *COMMAND, "wait", name, *at(served), *options]
    with Child(command, pass_fds=[its_end]) as process:
        os.close(its_end)
        shown = b""
        while name.encode() not in shown and b"polls" not in shown:
            shown += os.read(terminal, 4096)
        os.close(terminal)
        assert process.wait(timeout=20) == 129


def test_what_was_told_not_to_hear_that_the_terminal_is_gone_goes_on(served: Emulator) -> None:
    name = served.add_operation(polls=1)
    command = ["nohup", *COMMAND, "wait", name, *at(served), "--verbose", "--format", "json"]
    with Child(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, f"{name}: poll 1: still running")
        code, out, _ = ended(process, signal.SIGHUP)
    assert (code, json.loads(out)["outcome"]) == (0, "succeeded")


def test_of_many_that_may_still_run_programs_get_a_line_each_and_people_the_first(served: Emulator) -> None:
    names = [served.add_operation(duration=None) for _ in range(30)]
    with started("wait", *names, *at(served), "--verbose", "--format", "json") as process:
        for name in names:
            wait_for(process, f"{name}: poll 1: still running")
        code, out, err = ended(process, signal.SIGINT)
    records = [json.loads(line) for line in out.splitlines()]
    assert (code, [record["name"] for record in records]) == (130, names)
    assert {record["outcome"] for record in records} == {"interrupted"}
    assert err.endswith(f"  {names[19]}\n  and 10 more\n")


@pytest.mark.parametrize("number, status", SIGNALS)
def test_get_says_that_it_has_not_looked(
    served: Emulator, silent: socket.socket, number: signal.Signals, status: int
) -> None:
    origin = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with started("get", "operations/a", "--endpoint", origin, "--anonymous") as process, silent.accept()[0]:
        code, out, err = ended(process, number)
    assert (code, out) == (status, "")
    assert err == "interrupted; operations/a was not looked at, and may still be running remotely\n"


@pytest.mark.parametrize("number, status", SIGNALS)
def test_emulate_ends_and_says_what_ends_with_it(number: signal.Signals, status: int) -> None:
    with started("emulate", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        code, out, err = ended(process, number)
    assert (code, out) == (status, "")
    assert err.endswith("interrupted after 0 requests, with 3 operations still running\n")


def test_emulate_tells_of_one_request_and_of_one_operation() -> None:
    with started("emulate", "--port", "0", "--duration", "0", "--fault-rate", "0") as process:
        assert process.stdout is not None
        origin = process.stdout.readline().strip()
        assert lro("get", "operations/demo-success", "--endpoint", origin, "--anonymous").returncode == 0
        _, _, err = ended(process, signal.SIGINT)
    assert err.endswith("interrupted after 1 request, with 1 operation still running\n")


@pytest.mark.parametrize("number, status", SIGNALS)
def test_the_demo_says_how_far_it_came(number: signal.Signals, status: int) -> None:
    with started("demo", "--operations", "300", "--format", "json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        code, _, err = ended(process, number)
    assert code == status
    assert "of 300 ended: " in err
    assert err.endswith("the others have ended with the emulated service\n")


def test_reading_names_can_be_interrupted() -> None:
    terminal, typed = pty.openpty()
    with started("wait", "-", "--anonymous", stdin=typed) as process:
        wait_for(process, "reading names from the terminal")
        os.write(terminal, b"operations/a\n")
        code, out, err = ended(process, signal.SIGINT)
    os.close(typed)
    os.close(terminal)
    assert (code, out) == (130, "")
    assert err == "interrupted; nothing was polled\n"


@pytest.mark.parametrize("number, status", SIGNALS)
def test_a_token_server_that_hangs_does_not_hold_up_the_end(
    served: Emulator,
    silent: socket.socket,
    tmp_path: Path,
    key: str,  # noqa: F811
    number: signal.Signals,
    status: int,
) -> None:
    file = service_account(tmp_path / "key.json", key, f"http://127.0.0.1:{silent.getsockname()[1]}/token")
    options = ["--endpoint", served.origin, "--credentials-file", file]
    with started("wait", "operations/a", *options, NO_PROXY="127.0.0.1") as process, silent.accept()[0]:
        code, _, err = ended(process, number)
    assert code == status
    assert err == "interrupted; these operations may still be running remotely:\n  operations/a\n"


def test_a_poll_that_hangs_is_cut(served: Emulator) -> None:
    name = served.add_operation(faults=[Hang()])
    with started("wait", name, *at(served), "--deadline", "500ms", "--format", "json") as process:
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 3
    assert json.loads(out)["outcome"] == "timed_out"
