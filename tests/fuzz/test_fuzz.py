"""The fuzzers, short: any answer through the real decoding, and through real sockets."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from lro_poller import WORKSPACE_EVENTS
from lro_poller.engine.verdict import judge
from lro_poller.wire import MAX_BODY, Reply

from ..conftest import make_poller
from .answers import CORPUS, Answer, draw
from .checks import Found, check
from .session import fuzz
from .sockets import RawServer, noise, outcome

INPUTS = 100_000


@pytest.mark.behaviour("B4", "B5", "B6", "B16", "B26", "B27")
@pytest.mark.timeout(120)
def test_any_answer_is_a_verdict_and_its_errors_are_the_librarys_own(tmp_path: Path) -> None:
    report = fuzz(INPUTS, seed=1, found=tmp_path)
    assert not report.failures, report
    assert sum(report.verdicts.values()) == INPUTS + len(CORPUS)
    assert min(report.verdicts.values()) > 500, report
    assert {"Running", "Succeeded", "Failed", "Setback", "Refused", "Unauthorized"} == set(report.verdicts)


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize("answer", CORPUS.values(), ids=CORPUS)
def test_an_answer_of_the_corpus_is_read_in_bounded_memory(answer: Answer) -> None:
    tracemalloc.start()
    try:
        check(answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (1 << 20) + 64 * len(answer.body)  # since Python 3.14 deep ones are read too


FILLERS = pytest.mark.parametrize(
    "filler", [b"[1],", b'{"@type":"a/google.rpc.Help"},', b'"\\ud800",', b'{"a":"\\""},'], ids=repr
)


def greatest(filler: bytes) -> Answer:
    """A failure as large as a body may be."""
    details = filler * ((MAX_BODY - 200) // len(filler))
    return Answer(200, {}, b'{"done":true,"metadata":"\\ud800","error":{"code":5,"details":[' + details + b"null]}}")


@pytest.mark.behaviour("B27")
@FILLERS
def test_a_body_of_the_greatest_size_is_read_in_a_bounded_time(filler: bytes) -> None:
    assert check(greatest(filler)) == "Failed"


@pytest.mark.behaviour("B27")
@FILLERS
def test_a_body_of_the_greatest_size_is_read_in_bounded_memory(filler: bytes) -> None:
    answer = greatest(filler)
    tracemalloc.start()
    try:
        reply = Reply(answer.status, answer.headers, answer.body)
        judge(WORKSPACE_EVENTS, "operations/a", reply, WORKSPACE_EVENTS.dialect, age=30.0, arrived=0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MAX_BODY


def test_an_input_is_made_again_from_its_seed_and_number_or_from_its_file() -> None:
    assert draw(5, 7) == draw(5, 7) != draw(5, 8)
    for answer in CORPUS.values():
        assert Answer.parse(answer.write()) == answer


def test_an_input_that_fails_is_kept_with_a_command_that_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(answer: Answer) -> str:
        raise Found("as every input in this test")

    monkeypatch.setattr("tests.fuzz.session.check", refuse)
    report = fuzz(10, seed=1, found=tmp_path, give_up=3)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == len(report.failures) == 3
    assert {Answer.parse(path.read_bytes()).body for path in kept} <= {answer.body for answer in CORPUS.values()}
    assert all(f"python -m tests.fuzz --file {path}" in str(report) for path in kept)


@pytest.mark.behaviour("B16", "B27")
@pytest.mark.timeout(120)
async def test_any_bytes_from_a_socket_are_an_operation_or_a_failed_poll() -> None:
    ends: Counter[str] = Counter()
    async with RawServer().listen() as server, make_poller(server.origin, poll_timeout=5.0) as poller:
        for index in range(1_500):
            server.reply, server.keep = noise(1, index)
            ends[type(await outcome(poller)).__name__] += 1
    assert ends["Operation"] > 100, ends
    assert ends["PollError"] > 100, ends
    assert sum(ends.values()) == 1_500
