"""Names from standard input: however they are written, each is waited for once."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest

from lro_poller import Code, NamePattern
from lro_poller.cli.exits import Complaint
from lro_poller.cli.names import read_names
from lro_poller.testing import Emulator

from .process import at, lro, shell


def test_of_several_the_highest_counts_and_names_come_from_standard_input(served: Emulator) -> None:
    names = [served.add_operation(), served.add_operation(error=Code.ABORTED), "operations/unknown"]
    done = lro("wait", "-", *at(served), "--format", "json", stdin="\n".join(names) + "\n\n")
    assert done.returncode == 4
    assert sorted(json.loads(line)["name"] for line in done.stdout.splitlines()) == sorted(names)


def test_repeated_names_blank_lines_and_the_marks_of_windows(served: Emulator) -> None:
    for letter in "abc":
        served.add_operation(f"operations/{letter}")
    text = "\N{ZERO WIDTH NO-BREAK SPACE}operations/a\r\n\r\n  operations/b  \r\noperations/a\r\n \noperations/b"
    done = lro("wait", "operations/c", "-", "operations/c", *at(served), "--format", "json", stdin=text)
    assert done.returncode == 0
    names = sorted(json.loads(line)["name"] for line in done.stdout.splitlines())
    assert names == ["operations/a", "operations/b", "operations/c"]
    assert "6 names, 3 of them repeated; each is waited for once" in done.stderr


@pytest.mark.parametrize(
    "names, stdin, said",
    [
        (["-"], "", "no names came on standard input"),
        (["-", "operations/a", "-"], "operations/b", "'-' stands more than once"),
        (["-"], "operations/a\n-\n", "'-' is not an operation's name"),
        (["-"], "operations/a\nb\nc\n", "'c' is not an operation's name"),
        (["-"], "wrong\n" * 15, "and 5 more wrong names\n"),
        (["-"], "wrong\n" * 11, "and 1 more wrong name\n"),
    ],
)
def test_wrong_names_are_told_before_anything_is_polled(
    served: Emulator, names: list[str], stdin: str, said: str
) -> None:
    done = lro("wait", *names, *at(served), stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not served.requests


def test_names_that_are_not_there_yet_are_waited_for_on_a_pipe_that_does_not_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"operations/a\n")
    with open(reading) as stream:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr("sys.stdin", stream)
        names: list[str] = []
        reader = threading.Thread(target=lambda: names.extend(read_names(["-"], NamePattern("operations/**"))))
        reader.start()
        while reader.is_alive() and not os.get_blocking(reading):
            pass
        os.write(writing, b"operations/b\n")
        os.close(writing)
        reader.join()
    assert names == ["operations/a", "operations/b"]


def test_input_that_cannot_be_read_is_bad_usage(served: Emulator) -> None:
    done = shell(f'"$@" {" ".join(at(served))} 0> /dev/null', "wait", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lro-poller: cannot read standard input: Bad file descriptor\n"


def test_comments_are_passed_over(served: Emulator) -> None:
    name = served.add_operation()
    done = lro("wait", "-", *at(served), "--format", "json", stdin=f"# what was begun on Monday\n{name}\n#\n")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


@pytest.mark.parametrize("mark", ["", "@"])
def test_the_name_of_a_file_is_told_how_it_is_read(served: Emulator, tmp_path: Path, mark: str) -> None:
    file = tmp_path / "names"
    file.write_text("operations/a\n")
    done = lro("wait", "wrong", f"{mark}{file}", *at(served))
    assert done.returncode == 2
    assert f"to read names from a file: lro-poller wait - < {file}" in done.stderr


def test_names_that_are_no_text(served: Emulator) -> None:
    done = shell(r'printf "operations/\xff\n" | PYTHONIOENCODING=utf-8 "$@"', "wait", "-", *at(served))
    assert done.returncode == 2
    assert "it contains a character that cannot be printed" in done.stderr


@pytest.mark.parametrize("written", [r"o\0p\0\n\0", r"operations/a\0operations/b\0"])
def test_names_that_are_written_otherwise(served: Emulator, written: str) -> None:
    done = shell(f'printf "{written}" | "$@"', "wait", "-", *at(served))
    assert done.returncode == 2
    assert "names are read as UTF-8, one a line" in done.stderr


@pytest.mark.parametrize("name", ["operations/a,b", "operations/a b", "operations/" + "a" * 1000])
def test_a_name_may_have_odd_characters_in_it(name: str) -> None:
    assert read_names([name], NamePattern("operations/**")) == [name]


def test_a_wrong_name_that_could_name_no_file_is_told_as_any_other() -> None:
    with pytest.raises(Complaint, match="is not an operation's name"):
        read_names(["a" * 5000], NamePattern("operations/**"))


def test_ten_wrong_names_are_told_one_by_one() -> None:
    with pytest.raises(Complaint) as caught:
        read_names(["wrong"] * 10, NamePattern("operations/**"))
    assert ["'wrong' is not an operation's name" in line for line in caught.value.text.splitlines()] == [True] * 10


def test_repeated_names_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_names(["operations/a"] * 4, NamePattern("operations/**")) == ["operations/a"]
    assert capsys.readouterr().err == "lro-poller: 4 names, 3 of them repeated; each is waited for once\n"


def test_names_are_read_from_a_stream_that_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("operations/a\noperations/b"))
    assert read_names(["-"], NamePattern("operations/**")) == ["operations/a", "operations/b"]


def test_a_closed_standard_input(served: Emulator) -> None:
    done = shell('"$@" <&-', "wait", "-", *at(served))
    assert done.returncode == 2
    assert "standard input, which is closed" in done.stderr


def test_a_long_list_costs_in_proportion(served: Emulator) -> None:
    names = [served.add_operation(f"operations/{number}") for number in range(3000)]
    done = lro("wait", "-", *at(served), "--format", "json", stdin="\n".join(names))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3000
    assert done.stderr.endswith("3000 of 3000 ended: 3000 succeeded\n")
