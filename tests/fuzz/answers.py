"""An answer of a server, whole, as bytes: how the corpus keeps them and how the fuzzer makes more.

Decides what is tried. An input is drawn from a seed and its own number, so that each can be
made again alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

__all__ = ["CORPUS", "Answer", "draw"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, header fields and a body, none of which need be what HTTP allows."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Answer:
        """Reads `HTTP/1.1 200 OK`, fields, an empty line and the body; what is missing is empty."""
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        status = first.partition(" ")[2][:3]
        fields = (line.partition(":") for line in rest)
        headers = CIMultiDict((name, value.strip()) for name, _, value in fields)
        return cls(int(status) if status.isdecimal() and status.isascii() else 0, headers, body)

    def write(self) -> bytes:
        """The bytes that `parse` reads, and that a socket may carry."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{fields}\r\n".encode("latin-1", "replace") + self.body


CORPUS: Mapping[str, Answer] = {
    path.stem: Answer.parse(path.read_bytes()) for path in sorted((Path(__file__).parent / "corpus").glob("*.http"))
}
_BODIES = [answer.body for answer in CORPUS.values() if len(answer.body) < 4096]
_TYPES = [
    "type.googleapis.com/google.rpc." + kind
    for kind in (
        "BadRequest",
        "DebugInfo",
        "ErrorInfo",
        "Help",
        "LocalizedMessage",
        "PreconditionFailure",
        "QuotaFailure",
        "RequestInfo",
        "ResourceInfo",
        "RetryInfo",
        "Unheard",
    )
] + ["type.googleapis.com/google.protobuf.Empty", "google.rpc.ErrorInfo", "/", ""]

_TOKENS = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xe2\x82",
        b"\\ud800",
        b"\\udfff",
        b"\\ud83d\\ude00",
        b"\\u",
        b"\\u00",
        b"\\x41",
        b"\r\n",
        b" ",
    ),
    *(b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999", b"-0", b"0.1e-400", b"9" * 40, b"9" * 400),
    *(b'"done":true,', b'"done":false,', b'"error":{},', b'"error":null,', b'"response":{},', b'"metadata":null,'),
    *(b'"code":5,', b'"code":2147483648,', b'"details":[', b'"@type":"', b'"typeUrl":', b'"value":"', b'"retryDelay":'),
]
_SCALARS: Sequence[Any] = [
    *(None, True, False, 0, 1, -1, 5, 16, 17, 2**31, 2**53 + 1, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        "x",
        "\ud800",
        "\udfff\ud800",
        "\U0001f600",
        "\x00",
        "\u2028",
        "\ufeff",
        "a\r\nb",
    ),
    *("3s", "-1s", "999999999999s", "1e9s", "NaN", "NOT_FOUND", "OK", "CgVMSU1JVA==", "x" * 300),
]
_KEYS = [
    *("name", "done", "error", "response", "metadata", "code", "message", "details", "status", "@type", "typeUrl"),
    *("value", "retryDelay", "seconds", "nanos", "reason", "domain", "violations", "fieldViolations", "links", "url"),
    *("stackEntries", "requestId", "field_violations", "", "\ud800", "x"),
]
_STATUSES = [
    *(0, 100, 101, 199, 200, 201, 204, 206, 226, 299, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404),
    *(405, 408, 409, 410, 412, 413, 418, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 511, 599, 600, 999),
]
_WAITS = [
    *(
        "0",
        "1",
        "-1",
        "900",
        "31536000",
        "9" * 18,
        "9" * 19,
        "9" * 4400,
        "1.5",
        "1e3",
        "inf",
        "nan",
        "0x10",
        "\u0661",
        "\xb2",
    ),
    *("", " ", "soon", "1, 2", "\x00", "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
    *(
        "Mon, 00 Jan 0000 00:00:00 GMT",
        "Wed, 21 Oct 2015 99:99:99 +9999",
        "Wed, 21 Oct 2015",
        "21 Oct",
        "Wed,",
        ", , ,",
    ),
    *("Wednesday, 21-Oct-15 07:28:00 GMT", "Wed Oct 21 07:28:00 2015", "1 Jan 1 0:0:0 -0000", "1 Jan -1 0:0:0 +1"),
    *("21 Oct 2015 7.28.00 GMT", "21 Oct 2015 :: GMT", "21-Oct-2015", "1 Jan " + "9" * 5000 + " 00:00:00 GMT"),
]
_FIELDS: Sequence[tuple[str, Sequence[str]]] = [
    ("Retry-After", _WAITS),
    ("Date", _WAITS),
    (
        "Content-Type",
        ["application/json; charset=utf-16", "text/plain", "text/html", "", "application/json; charset=x"],
    ),
    ("Content-Encoding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "x"]),
    ("Location", ["http://127.0.0.1:1/", "//", "\x00", "file:///etc/passwd"]),
    ("X", ["y" * 100, ""]),
]


def draw(seed: int, index: int) -> Answer:
    """The input of that number."""
    dice = random.Random((seed << 32) + index)
    status = 200 if dice.random() < 0.6 else dice.choice(_STATUSES)
    headers: CIMultiDict[str] = CIMultiDict()
    while dice.random() < 0.4:
        name, values = dice.choice(_FIELDS)
        headers.add(name, dice.choice(values) if dice.random() < 0.9 else _noise(dice, 12).decode("latin-1"))
    return Answer(status, headers, dice.choice(_WAYS)(dice))


def _from_corpus(dice: random.Random) -> bytes:
    """A body that is known to be nasty, changed in a few places."""
    body = dice.choice(_BODIES)
    for _ in range(dice.randrange(4)):
        body = dice.choice(_CHANGES)(dice, body)
    return body


def _written(dice: random.Random) -> bytes:
    """An operation whose fields hold anything, written as some server may write it."""
    value = {key: _value(dice, 3) for key in ("error", "response", "metadata", "name") if dice.random() < 0.5}
    if dice.random() < 0.9:
        value["done"] = dice.choice([True, True, False, None])
    if dice.random() < 0.7 and "error" in value:
        value["error"] = _status(dice)
    return _as_json(dice, value)


def _failure(dice: random.Random) -> bytes:
    """The body of an HTTP error, in the shape of Google's services."""
    return _as_json(dice, {"error": _status(dice)} if dice.random() < 0.7 else _status(dice))


def _spoiled(dice: random.Random) -> bytes:
    """An operation of any content, changed in a place."""
    return dice.choice(_CHANGES)(dice, _written(dice))


def _noise(dice: random.Random, most: int = 40) -> bytes:
    return dice.randbytes(dice.randrange(most))


_WAYS: Sequence[Callable[[random.Random], bytes]] = [_from_corpus, _from_corpus, _written, _spoiled, _failure, _noise]


def _status(dice: random.Random) -> dict[str, Any]:
    status: dict[str, Any] = {"code": dice.choice([5, 8, 404, 0, 99, 2**40, None, "5", 1.5])}
    for key in ("message", "status", "extra"):
        if dice.random() < 0.4:
            status[key] = dice.choice(_SCALARS)
    if dice.random() < 0.6:
        status["details"] = [_detail(dice) for _ in range(dice.randrange(3))]
    return status


def _detail(dice: random.Random) -> Any:
    if dice.random() < 0.2:
        return _value(dice, 2)
    fields = {dice.choice(_KEYS): _value(dice, 2) for _ in range(dice.randrange(3))}
    return {dice.choice(["@type", "typeUrl"]): dice.choice(_TYPES), **fields}


def _value(dice: random.Random, depth: int) -> Any:
    """Any JSON value, and some that JSON lacks."""
    chance = dice.random() if depth else 1.0
    if chance < 0.4:
        return {dice.choice(_KEYS): _value(dice, depth - 1) for _ in range(dice.randrange(4))}
    if chance < 0.55:
        return [_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if chance < 0.65:
        return {"@type": dice.choice(_TYPES), "value": _value(dice, depth - 1)}
    return dice.choice(_SCALARS)


def _as_json(dice: random.Random, value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=dice.random() < 0.7)
    if dice.random() < 0.02:
        return text.encode(dice.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-le"]), "surrogatepass")
    return text.encode("utf-8", "surrogatepass")


def _cut(dice: random.Random, body: bytes) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def _flip(dice: random.Random, body: bytes) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + dice.randbytes(1) + body[at + 1 :]


def _insert(dice: random.Random, body: bytes) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + dice.choice(_TOKENS) + body[at:]


def _repeat(dice: random.Random, body: bytes) -> bytes:
    start, end = sorted((dice.randrange(len(body) + 1), dice.randrange(len(body) + 1)))
    return body[:end] + body[start:end] * dice.randrange(4) + body[end:]


def _drop(dice: random.Random, body: bytes) -> bytes:
    start = dice.randrange(len(body) + 1)
    return body[:start] + body[start + dice.randrange(8) :]


def _splice(dice: random.Random, body: bytes) -> bytes:
    other = dice.choice(_BODIES)
    return body[: dice.randrange(len(body) + 1)] + other[dice.randrange(len(other) + 1) :]


_CHANGES: Sequence[Callable[[random.Random, bytes], bytes]] = [_cut, _flip, _insert, _insert, _repeat, _drop, _splice]
