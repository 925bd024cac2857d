"""The command line: runs what is asked for, and ends with its status.

Decides how a process ends: with a status, with one line for what went wrong, and without a
traceback for what a user can meet.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from .arguments import parse
from .exits import Complaint, Exit
from .output import finish, prepare, say, write_line

__all__ = ["main", "process"]


def process() -> NoReturn:
    """Runs `main` as the whole process, and ends it."""
    try:
        status = main()
    except KeyboardInterrupt:  # a second one, while it was told what the first has ended
        status = Exit.INTERRUPTED
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status. `--help` of each command says what it does."""
    try:
        prepare()
        status = _run(arguments)
        finish()
    except Complaint as complaint:
        say(f"lro-poller: {complaint.text}")
        return int(complaint.status)
    except KeyboardInterrupt:  # outside of a loop: names were being read
        say("interrupted; nothing was polled")
        return Exit.INTERRUPTED
    return status


def _run(arguments: Sequence[str] | None) -> int:
    help_text = io.StringIO()  # argparse would not mind if it could not be written
    try:
        with contextlib.redirect_stdout(help_text):
            options = parse(arguments)
    except SystemExit as ended:
        if ended.code:
            return Exit.USAGE  # argparse has said why
        write_line(help_text.getvalue().rstrip())
        return Exit.SUCCEEDED
    _log(verbose=options.verbose)
    return int(_command(options.command)(options))


def _command(name: str) -> Callable[[argparse.Namespace], Exit]:
    """What runs a command: the function of its name, of the module of its name, which brings its libraries with it."""
    command: Callable[[argparse.Namespace], Exit] = getattr(importlib.import_module(f".{name}", __package__), name)
    return command


def _log(*, verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING, format="%(levelname)s: %(message)s", handlers=[_Handler()]
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    if not verbose:  # which servers google-auth has asked for credentials in vain, and that it found no project
        logging.getLogger("google.auth").setLevel(logging.ERROR)
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the emulator's clients that went away


class _Handler(logging.Handler):
    """Writes to standard error as it is at that time: a progress bar takes it over for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))
