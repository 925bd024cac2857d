"""One answer, read to the end as a poller and its caller would, and what must hold of it.

The measure is Python's own JSON parser: what it finds done must have ended, whatever else
is wrong with the body, for else an outcome is lost. Nothing but errors of the library may
come out, and what they say must be printable by anybody.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from typing import Any

from lro_poller import DecodeError, Operation, OperationError, PollError
from lro_poller.decoding import Decoding, decode_response, decoding_of
from lro_poller.engine.verdict import MAX_RETRY_AFTER, Ended, Refused, Running, Setback, Unauthorized, judge
from lro_poller.services import WORKSPACE_EVENTS, Service
from lro_poller.status import Status
from lro_poller.wire import Reply

from .answers import Answer

__all__ = ["SLOWEST", "Found", "check"]

NAME = "operations/fuzz"
SLOWEST = 5.0  # seconds of processor time for one answer, on a busy machine; the worst known take some tenths of one
GRACED = dataclasses.replace(WORKSPACE_EVENTS, not_found_grace=60.0)


@dataclasses.dataclass
class _Typed:
    """What a caller may want a response to be."""

    code: int
    message: str = ""


DECODINGS: list[Decoding | None] = [
    None,
    decoding_of(_Typed),
    decoding_of(dict[str, int]),
    decoding_of(lambda value: value),
]


class Found(AssertionError):
    """An answer that broke a rule."""


def check(answer: Answer, service: Service = GRACED) -> str:
    """The kind of verdict on `answer`.

    Raises:
        Found: a rule was broken. Any other exception is a finding as well.
    """
    began = time.process_time()
    reply = Reply(answer.status, answer.headers, answer.body)
    verdict = judge(service, NAME, reply, service.dialect, age=30.0, arrived=0.0)
    kind = type(verdict).__name__
    match verdict:
        case Running(operation, delay):
            _hold(not operation.done and 0.0 <= delay <= MAX_RETRY_AFTER, "a running operation waits a bounded time")
            _read(operation)
        case Ended(operation):
            _hold(operation.done, "what has ended is done")
            kind = _end(operation)
        case Setback(error, delay) if 0.0 <= delay <= MAX_RETRY_AFTER:
            _explain(error)
        case Unauthorized(error) | Refused(error):
            _explain(error)
        case _:
            raise Found(f"an unheard-of verdict: {verdict!r}")
    _compare(answer, verdict)
    _hold(time.process_time() - began < SLOWEST, "an answer is read in a bounded time")
    return kind


def _hold(condition: bool, rule: str) -> None:
    if not condition:
        raise Found(f"broken: {rule}")


def _read(operation: Operation) -> None:
    """What a caller reads of any operation."""
    _hold(operation.name == NAME, "the name is the one that was asked for")
    _hold(repr(operation).isprintable() and len(repr(operation)) < 200, "a repr is short and shows nothing of a body")
    json.dumps(operation.metadata)
    try:
        json.dumps(operation.response).encode()
    except ValueError:
        _hold(operation.raw_response is not None, "a response that cannot be decoded is kept")


def _end(operation: Operation) -> str:
    """What a future does with an operation that is done, and what its awaiter sees."""
    _read(operation)
    if operation.error is not None:
        error = OperationError.of(operation)
        _hold(error.operation is operation and error.metadata == operation.metadata, "a failure carries the operation")
        _explain(error)
        return "Failed"
    for decoder in DECODINGS:
        try:
            decode_response(operation, decoder)
        except DecodeError as error:
            _hold(error.operation is operation, "what cannot be decoded is carried")
            str(error), repr(error)
    return "Succeeded"


def _explain(error: OperationError | PollError) -> None:
    """What a log and a caller read of an error."""
    str(error).encode(), repr(error).encode()
    if error.status is not None:
        _inspect(error.status)
    try:
        copy = pickle.loads(pickle.dumps(error))
    except RecursionError:
        return  # details nested some hundred levels deep: pickle's own limit
    _hold(type(copy) is type(error) and str(copy) == str(error), "an error survives a pickle")


def _inspect(status: Status) -> None:
    _hold(-(2**31) <= status.code < 2**31, "a code is one of the proto's numbers")
    _hold(len(repr(status)) < 100 and bool(status.code_name), "a status has a short name")
    _hold(status.retry_delay is None or abs(status.retry_delay) < 1e13, "a delay is a number")


def _compare(answer: Answer, verdict: Any) -> None:
    """Holds the verdict against what Python's parser makes of the body."""
    if not 200 <= answer.status < 300:
        _hold(not isinstance(verdict, Running | Ended), "what is no success says nothing of the operation")
        return
    body = _parse(answer.body)
    if not isinstance(body, dict) or type(body.get("done")) not in (bool, type(None)):
        return
    wanted: type = Ended if body.get("done") else Running
    _hold(isinstance(verdict, wanted), f"{body.get('done')!r} is {wanted.__name__}, not {type(verdict).__name__}")
    _hold(
        not isinstance(verdict, Ended) or (verdict.operation.error is None) == (body.get("error") is None),
        "an operation with an error has failed, and no other",
    )


def _parse(body: bytes) -> Any:
    """The value of a body that RFC 8259 allows; None for others, and for those with a key twice at the top."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key twice")
    return value
