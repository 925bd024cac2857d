"""The command line: runs what is asked for, and ends with its status.

Decides how a process ends: with a status, with one line for what went wrong, and without a
traceback for what a user can meet.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence

from .arguments import parse
from .exits import Complaint, Exit
from .output import finish, prepare, say

__all__ = ["main"]


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
    try:
        options = parse(arguments)
    except SystemExit as ended:  # argparse has said why: help was asked for, or an argument is wrong
        return Exit.SUCCEEDED if not ended.code else Exit.USAGE
    _log(verbose=options.verbose)
    return int(_command(options.command)(options))


def _command(name: str) -> Callable[[argparse.Namespace], Exit]:
    # A command's module brings its libraries with it: only the one that runs is loaded.
    if name == "wait":
        from .wait import wait

        return wait
    if name == "get":
        from .get import get

        return get
    if name == "emulate":
        from .emulate import emulate

        return emulate
    from .demo import demo

    return demo


def _log(*, verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING, format="%(levelname)s: %(message)s", handlers=[_Handler()]
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    if not verbose:  # which servers google-auth has asked for credentials in vain, and that it found no project
        logging.getLogger("google.auth").setLevel(logging.ERROR)


class _Handler(logging.Handler):
    """Writes to standard error as it is at that time: a progress bar takes it over for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))
