"""Standard output that cannot take what is written: it is escaped, or its loss is told in one line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import unicodedata

import pytest

from lro_poller import Code
from lro_poller.cli.output import escape_controls, write_json
from lro_poller.testing import Emulator, RawReply

from .process import COMMAND, at, lro, shell

NARROW = [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
WORDS = "snow\N{SNOWMAN}, clef\N{MUSICAL SYMBOL G CLEF}, e\u0301"


@pytest.mark.parametrize("environment", NARROW)
@pytest.mark.parametrize("command", ["wait", "get"])
def test_json_that_cannot_be_encoded_is_escaped(served: Emulator, command: str, environment: dict[str, str]) -> None:
    body = {"done": True, "response": {WORDS: WORDS}, "metadata": {"at": WORDS}}
    reply = RawReply(json.dumps(body, ensure_ascii=False).encode())
    name = served.add_operation(faults=[reply])
    done = lro(command, name, *at(served), "--format", "json", **environment)
    record = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert (record["response"], record["metadata"]) == ({WORDS: WORDS}, {"at": WORDS})


@pytest.mark.parametrize("command", ["wait", "get"])
def test_text_that_cannot_be_encoded_is_escaped(served: Emulator, command: str) -> None:
    name = served.add_operation(error={"code": 9, "message": WORDS})
    done = lro(command, name, *at(served), **NARROW[0])
    assert done.returncode == 1
    assert "snow\\u2603, clef\\U0001d11e" in done.stdout


@pytest.mark.parametrize("command", ["wait", "get"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_response_that_is_no_text_is_written_escaped(served: Emulator, command: str, form: str) -> None:
    body = b'{"name":"operations/a","done":true,\n"response":{"half":"\xed\xa0\x80",\n"n":1e999}}'
    name = served.add_operation("operations/a", faults=[RawReply(body)])
    done = lro(command, name, *at(served), "--format", form)
    assert done.returncode == 0
    assert done.stderr == ""
    if form == "json":
        (line,) = done.stdout.splitlines()
        assert '"outcome":"succeeded"' in line
        assert r'"response":{"half":"\udced\udca0\udc80","n":1e999}' in line


def test_words_of_a_service_stay_one_line_and_no_command_to_the_terminal(served: Emulator) -> None:
    name = served.add_operation(error={"code": 9, "message": "one\ntwo \x1b[2J three\r\x9b"})
    done = lro("wait", name, *at(served))
    assert len(done.stdout.splitlines()) == 2
    line, _metadata = done.stdout.splitlines()
    assert line.endswith(r"FAILED_PRECONDITION: one\ntwo \x1b[2J three\r\x9b")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_a_pipe_that_does_not_block_has_no_room_for_is_lost_output(served: Emulator, unbuffered: str) -> None:
    name = served.add_operation()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    command = [*COMMAND, "wait", name, *at(served), "--format", "json"]
    settings = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=settings, check=False, timeout=40
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 74
    assert b"cannot write to standard output" in done.stderr


@pytest.mark.parametrize("redirection, why", [("> /dev/full", "No space left on device"), (">&-", "it is closed")])
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lost_output_is_one_line_and_a_status_of_its_own(
    served: Emulator, redirection: str, why: str, form: str, unbuffered: str
) -> None:
    names = [served.add_operation(), served.add_operation(duration=None)]
    script = f'PYTHONUNBUFFERED={unbuffered} "$@" {redirection}'
    done = shell(script, "wait", *names, *at(served), "--format", form)
    assert done.returncode == 74
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lro-poller: cannot write to standard output: {why}")


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["wait", "--help"],
        ["--version"],
        ["demo", "--operations", "3"],
        ["demo", "--operations", "3", "--format", "json"],
        ["emulate", "--port", "0"],
        ["get", "operations/a", "--anonymous", "--endpoint", "http://127.0.0.1:1"],
    ],
)
def test_every_command_tells_a_full_disk(command: list[str]) -> None:
    done = shell('"$@" > /dev/full', *command)
    assert done.returncode == 74
    assert done.stderr.splitlines()[-1] == "lro-poller: cannot write to standard output: No space left on device"
    assert "Traceback" not in done.stderr


def test_of_several_those_that_were_not_reported_are_counted(served: Emulator) -> None:
    names = [served.add_operation(), served.add_operation(duration=None)]
    command = [*COMMAND, "wait", *names, *at(served), "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        served.operations[names[1]].end()
        assert process.stderr.read().endswith("Broken pipe; 1 of 2 operations not reported\n")
        assert process.wait(20) == 74


def test_a_reader_that_has_gone(served: Emulator) -> None:
    names = [served.add_operation(), served.add_operation(duration=None)]
    done = shell('("$@"; echo status $? >&2) | true', "wait", *names, *at(served), "--format", "json")
    lost = "lro-poller: cannot write to standard output: Broken pipe; 2 of 2 operations not reported"
    assert done.stderr.splitlines() == [lost, "status 74"]


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full"])
def test_standard_error_may_be_lost(served: Emulator, redirection: str) -> None:
    names = [served.add_operation(), served.add_operation(error=Code.ABORTED)]
    done = shell(f'"$@" {redirection}', "wait", *names, *at(served))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_what_is_escaped_is_the_same_json(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    value = {WORDS: "\xe9 \u20ac \ud800", "plain": "a", "acts": "\x9b31m \u2028 \u202e \U000e0001"}
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline=""))
    write_json(json.dumps(value, ensure_ascii=False))
    line = raw.getvalue().decode(encoding)
    assert json.loads(line) == value
    assert line.endswith("\n")
    assert not set("\x9b\u2028\u202e\U000e0001") & set(line)


def test_what_a_terminal_would_act_on_is_escaped_where_it_could_be_encoded(capsys: pytest.CaptureFixture[str]) -> None:
    plain = "\xe9 \u20ac \u6771\u3000\u99c5 10\xa0km \u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f4bb"
    value = {"acts": "\x9b31m \u202e", "plain": plain}
    write_json(json.dumps(value, ensure_ascii=False))
    line = capsys.readouterr().out.removesuffix("\n")
    assert json.loads(line) == value
    assert not set("\x9b\u202e") & set(line)
    assert plain in line
    assert escape_controls(plain) == plain


def test_controls_are_escaped_and_words_are_not() -> None:
    assert escape_controls(f"{WORDS}\t\x00\x7f\u2028\u202e{os.linesep}") == rf"{WORDS}\t\x00\x7f\u2028\u202e\n"


def test_every_control_and_every_mark_that_turns_the_direction_of_writing_is_escaped() -> None:
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    acted_on = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.bidirectional(character) in turning
        or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    ]
    acted_on += "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
    assert [character for character in acted_on if not escape_controls(character).isprintable()] == []
