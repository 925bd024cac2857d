"""Header fields as HTTP/2 sends them (RFC 7541): made of literals, read with hpack.

No dynamic table is needed in either direction: our blocks refer to none, and the server is
asked to keep none. Then a block means the same wherever it comes, which lets a piece of one
be made ahead, and a whole one be read once. Polls bring the same few fields again and again,
and to undo their Huffman coding costs more than all else that a reply needs. A server that
keeps a table all the same is understood; its blocks are decoded each time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import hpack
from multidict import CIMultiDict, CIMultiDictProxy

__all__ = ["EMPTY_TABLE", "MAX_FIELDS", "NO_HEAD", "Fields", "FieldsReader", "Head", "encode_fields"]

Fields: TypeAlias = Iterable[tuple[str, str]]

MAX_FIELDS = 1 << 16
"""Bytes of a reply's header fields, decoded, by the count of RFC 9113, section 6.5.2."""

EMPTY_TABLE = b"\x20"
"""Before the first block: tells the server that ours use no dynamic table, whatever size it allows."""

_MOST_KEPT = 32  # blocks; they differ by the second in `date`, and by the kind of reply
_LONGEST_KEPT = 1 << 10  # bytes of one
_MOST_FIELDS_KEPT = 64  # in one; a field may be written in a single byte


_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch
_FORBIDDEN = re.compile(rb"[\0\r\n]").search
_OF_A_CONNECTION = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a header block says: the status, 0 where there is none that could be one, and the other fields.

    It is malformed where it breaks a rule of RFC 9113 (sections 8.1.1 to 8.3.2) by which one reply could pass for another.
    """

    status: int
    fields: CIMultiDictProxy[str] = field(repr=False)  # a server may put into them what a log must not hold
    malformed: bool = False


NO_HEAD = Head(0, CIMultiDictProxy(CIMultiDict()))


class FieldsReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(MAX_FIELDS)
        self._kept: dict[bytes, Head] = {}  # empty while the server has a table that blocks could refer to, or change

    def read(self, block: bytes) -> Head:
        """A whole header block.

        Raises:
            ValueError: it cannot be decoded; what comes after it on the connection means nothing.
        """
        head = self._kept.get(block)
        return head if head is not None else self._decode(block)

    def _decode(self, block: bytes) -> Head:
        try:
            head = _read(self._decoder.decode(block, raw=True))
        except hpack.HPACKError as error:
            raise ValueError("a header block that cannot be decoded") from error
        # The size can change at the beginning of a block only: none at its end is none for all of its fields.
        if self._decoder.header_table_size > 0:
            self._kept.clear()
        elif len(block) <= _LONGEST_KEPT and len(head.fields) <= _MOST_FIELDS_KEPT:
            if len(self._kept) == _MOST_KEPT:
                del self._kept[next(iter(self._kept))]  # the oldest
            self._kept[block] = head
        return head


def _read(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    statuses, read, malformed = list[int](), CIMultiDict[str](), False
    for name, value in fields:
        if name == b":status":
            malformed = malformed or bool(statuses or read)
            statuses.append(int(value) if len(value) == 3 and value.isdigit() else 0)
            continue
        text = value.decode("latin-1")
        malformed = malformed or not _NAME(name) or name in _OF_A_CONNECTION or bool(_FORBIDDEN(value))
        malformed = malformed or (name == b"content-length" and read.get("content-length", text) != text)
        read.add(name.decode("latin-1"), text)
    return Head(statuses[0] if statuses else 0, CIMultiDictProxy(read), malformed)


def encode_fields(fields: Fields) -> bytes:
    """A header block, or a piece of one: literals that no table may keep, neither the server's nor a proxy's.

    RFC 7541, sections 6.2.3 and 7.1.3. Without Huffman coding, which costs more time here than it saves there.
    """
    return b"".join([_name(name) + _string(value.encode("utf-8", "surrogateescape")) for name, value in fields])


@functools.lru_cache(maxsize=64)
def _name(name: str) -> bytes:
    """The beginning of a field; its name in lower case, as RFC 9113 has it (section 8.2)."""
    return b"\x10" + _string(name.lower().encode())


def _string(text: bytes) -> bytes:
    """A string of RFC 7541, section 5.2, as it is."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    prefix, size = bytearray(b"\x7f"), size - 127
    while size >= 128:
        prefix.append(size & 127 | 128)
        size >>= 7
    return bytes(prefix) + bytes((size,)) + text
