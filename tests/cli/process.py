"""Runs the command line in real processes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

from lro_poller.testing import Emulator

KEYS = ["name", "outcome", "code", "message", "http_status", "details", "response", "metadata", "polls", "elapsed"]
COMMAND = [sys.executable, "-m", "lro_poller"]


def lro(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, **environment},
    )


def shell(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which `"$@"` is the command with these arguments."""
    line = ["bash", "-c", script, "bash", *COMMAND, *arguments]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=40, check=False)


def on_terminal(*arguments: str, out: bool = False, **environment: str) -> tuple[int, str, str]:
    """Runs the command with standard error on a terminal, and standard output too where `out` says so.

    Returns:
        Its exit status, what the terminal got, and what standard output got elsewhere.
    """
    master, slave = pty.openpty()
    stdout: Any = slave if out else subprocess.PIPE
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=slave, env=settings
    ) as process:
        os.close(slave)
        shown = b""
        while chunk := _read(master):
            shown += chunk
        os.close(master)
        printed = b"" if process.stdout is None else process.stdout.read()
        return process.wait(40), shown.decode(), printed.decode()


def at(emulator: Emulator) -> list[str]:
    """The options that lead to the emulator."""
    return ["--endpoint", emulator.origin, "--anonymous"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # how Linux tells that nobody has the terminal open any more
