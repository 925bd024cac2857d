"""Standard output, which carries results, and standard error, which carries all else.

Decides how text is written to streams that may be closed, full or unable to encode it. A
result that cannot be written ends the command; words about progress may be lost.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import TextIO, cast

from .exits import Complaint, Exit

__all__ = ["escape_controls", "finish", "prepare", "say", "write_json", "write_line"]

_ACTED_ON = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, line breaks, what turns the direction of writing, and what is not shown at all."""


def prepare() -> None:
    """Makes the streams of this process fit to be written to.

    Raises:
        Complaint: standard output is closed: nothing that is asked for could be told.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        raise Complaint("cannot write to standard output: it is closed", Exit.OUTPUT_LOST)
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        # As by PYTHONUNBUFFERED: what a raw stream does not take would be dropped without a word.
        encoding, raw = sys.stdout.encoding, sys.stdout.detach()
        whole = io.BufferedWriter(cast("io.RawIOBase", raw))
        sys.stdout = io.TextIOWrapper(whole, encoding=encoding, errors="backslashreplace", line_buffering=True)


def write_line(text: str) -> None:
    """One line on standard output, at once: who reads it may be waiting.

    Raises:
        Complaint: it cannot be written.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from error


def write_json(text: str) -> None:
    """A JSON text as one line. What standard output cannot encode, or a terminal would act on, JSON escapes.

    Raises:
        Complaint: it cannot be written.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        fit = _ACTED_ON.search(text) is None
    except UnicodeEncodeError:
        fit = False
    write_line(text if fit else "".join(_escaped(character, encoding) for character in text))


def say(text: str) -> None:
    """Words about what goes on, on standard error. Nothing depends on their being read."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def finish() -> None:
    """Flushes both; Python's own attempt at the end of the process would end in a traceback, or in a status of its own.

    Raises:
        Complaint: standard output cannot be written.
    """
    try:
        sys.stderr.flush()  # a progress bar may have left something that a terminal which is gone does not take
    except OSError:
        _discard(sys.stderr)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _lost(error) from error


def escape_controls(text: str) -> str:
    """`text` without what a terminal acts on: a service's words stay one line, and words, in their order."""
    return _ACTED_ON.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _escaped(character: str, encoding: str) -> str:
    """Characters of other kinds than ASCII's stand inside strings only, where JSON escapes them as UTF-16."""
    try:
        character.encode(encoding)
        if not _ACTED_ON.match(character):
            return character
    except UnicodeEncodeError:
        pass
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _lost(error: OSError) -> Complaint:
    _discard(sys.stdout)
    return Complaint(f"cannot write to standard output: {error.strerror or error}", Exit.OUTPUT_LOST)


def _discard(stream: TextIO) -> None:
    """Lets what is left in the buffer go nowhere, or the interpreter would stumble over it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # no real file: nothing is flushed at the end
