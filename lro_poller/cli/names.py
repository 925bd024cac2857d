"""Which operations a command is about: names from its arguments and from standard input.

Reads before a loop runs, so that Ctrl-C ends a read that waits for a terminal.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..counting import counted
from ..errors import InvalidOperationName
from ..names import NamePattern
from .exits import Complaint
from .output import say

__all__ = ["check_names", "read_names"]

_TOLD = 10  # wrong names that are told one by one


def read_names(given: Sequence[str], pattern: NamePattern) -> list[str]:
    """The names, those on standard input in the place of `-`, each of them once.

    Raises:
        Complaint: a name is none, or there is none.
    """
    if given.count("-") > 1:
        raise Complaint("'-' stands more than once; standard input can be read once")
    names = [name for one in given for name in (_lines() if one == "-" else (one,))]
    if not names:
        raise Complaint("no names came on standard input")
    check_names(names, pattern)
    distinct = list(dict.fromkeys(names))
    if len(distinct) < len(names):
        repeated = len(names) - len(distinct)
        say(f"lro-poller: {len(names)} names, {repeated} of them repeated; each is waited for once")
    return distinct


def check_names(names: Iterable[str], pattern: NamePattern) -> None:
    """Checks all of them before the first is polled.

    Raises:
        Complaint: with a line for each of the first that are wrong.
    """
    faults = [fault for name in names if (fault := _fault(name, pattern)) is not None]
    wrong = [str(fault) for fault in faults]
    if len(wrong) > _TOLD:
        wrong[_TOLD:] = [f"and {counted(len(wrong) - _TOLD, 'more wrong name')}"]
    if wrong:
        raise Complaint("\n  ".join([*wrong, *_hints([str(fault.name) for fault in faults[:_TOLD]])]))


def _hints(wrong: Sequence[str]) -> Iterator[str]:
    """What whoever wrote these names may have meant."""
    file = next((name.removeprefix("@") for name in wrong if _is_file(name.removeprefix("@"))), None)
    if file is not None:
        yield f"to read names from a file: lro-poller wait - < {file}"
    if any("\0" in name for name in wrong):
        yield "names are read as UTF-8, one a line; is this UTF-16, or do names end with NUL?"


def _lines() -> Iterator[str]:
    """The lines of standard input, without blank ones and comments, whatever ends them."""
    if sys.stdin is None:
        raise Complaint("'-' reads names from standard input, which is closed")
    if sys.stdin.isatty():
        say("lro-poller: reading names from the terminal, one a line; Ctrl-D ends them")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is no text is refused as a name, with its own message
    for line in _read_lines():
        name = line.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").strip()  # the mark that Windows puts first
        if name and not name.startswith("#"):
            yield name


def _read_lines() -> Iterator[str]:
    """The lines, waited for: of a stream that does not block, what is not there yet would be its end.

    Raises:
        Complaint: it cannot be read.
    """
    try:
        with contextlib.suppress(io.UnsupportedOperation):
            os.set_blocking(sys.stdin.fileno(), True)
        yield from sys.stdin
    except OSError as error:
        raise Complaint(f"cannot read standard input: {error.strerror or error}") from error


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _fault(name: str, pattern: NamePattern) -> InvalidOperationName | None:
    try:
        pattern.check(name)
    except InvalidOperationName as error:
        return error
    # A name may have such characters in it; none of a real service has been seen to.
    several = [part for part in re.split(r"[\s,;]+", name) if part]
    if len(several) > 1 and all(re.fullmatch(pattern.regex, part) for part in several):
        return InvalidOperationName(name, "it looks like several; write one a line, or each as an argument of its own")
    return None
