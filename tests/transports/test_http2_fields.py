"""Header fields over HTTP/2, held against another implementation of RFC 7541."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lro_poller.transports.http2_fields import EMPTY_TABLE, FieldsReader, encode_fields

NAMES = st.from_regex(r"[a-z][a-z-]*", fullmatch=True)
FEW_FIELDS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123")), max_size=4)


@given(st.lists(st.tuples(NAMES, st.text(max_size=300)), max_size=8))
def test_fields_survive_encoding(fields: list[tuple[str, str]]) -> None:
    read = list(hpack.Decoder().decode(encode_fields(fields), raw=True))
    assert [(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in read] == fields
    assert not any(field.indexable for field in read)


def test_names_are_sent_in_lower_case() -> None:
    assert encode_fields([("X-Goog-A", "B")]) == encode_fields([("x-goog-a", "B")])


@given(st.lists(st.tuples(st.sampled_from([None, 0, 40, 4096]), FEW_FIELDS), max_size=30))
@example([(0, []), (None, [("a", "1")]), (4096, []), (None, [("a", "1")]), (None, [("a", "1")])])
def test_what_a_server_may_refer_to_is_followed_whatever_came_before(
    sent: list[tuple[int | None, list[tuple[str, str]]]],
) -> None:
    encoder, reader = hpack.Encoder(), FieldsReader()
    for table, fields in sent:
        if table is not None:
            encoder.header_table_size = table
        head = reader.read(encoder.encode([(":status", "200"), *fields]))
        assert (head.status, list(head.fields.items())) == (200, fields)


@pytest.mark.parametrize("value", [b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_that_could_end_a_line_is_malformed(value: bytes) -> None:
    assert FieldsReader().read(b"\x88\x10\x01x" + bytes([len(value)]) + value).malformed


def test_bytes_that_are_no_ascii_are_read_one_by_one() -> None:
    head = FieldsReader().read(b"\x88\x10\x01x\x02\xe9\xff")
    assert (head.fields["x"], head.malformed) == ("\xe9\xff", False)


def test_a_block_is_decoded_once_while_the_server_has_no_table() -> None:
    reader, block = FieldsReader(), encode_fields([(":status", "200"), ("date", "today")])
    assert reader.read(block) is not reader.read(block), "the server has a table of 4096 bytes until it says otherwise"
    reader.read(EMPTY_TABLE + block)
    assert reader.read(block) is reader.read(block)


def test_what_is_kept_of_a_connection_has_a_bound() -> None:
    reader, large, many = FieldsReader(), encode_fields([("a", "b" * 4096)]), encode_fields([("a", "b")] * 65)
    first = reader.read(EMPTY_TABLE)
    second = reader.read(encode_fields([("a", "0")]))
    for number in range(1, 31):
        reader.read(encode_fields([("a", str(number))]))
    assert reader.read(large) is not reader.read(large)
    assert reader.read(many) is not reader.read(many)
    assert reader.read(EMPTY_TABLE) is first, "what is not kept takes nobody's place"
    reader.read(encode_fields([("a", "one more")]))
    assert reader.read(encode_fields([("a", "0")])) is second
    assert reader.read(EMPTY_TABLE) is not first


@pytest.mark.behaviour("B26")
def test_what_was_read_does_not_show_what_a_server_put_into_it() -> None:
    assert "secret" not in repr(FieldsReader().read(encode_fields([("x-echo", "Bearer secret")])))


@pytest.mark.behaviour("B27")
@pytest.mark.parametrize("block", [b"\xbe", b"\x3f\xff\xff\xff\x0f", b"\x40\x81\x00", b"\x00\x05ab", b"\xff"])
def test_a_block_that_cannot_be_decoded_is_said_so(block: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        FieldsReader().read(block)


@pytest.mark.parametrize("length", [126, 127, 128, 254, 255, 256, 127 + (1 << 14) - 1, 127 + (1 << 14)])
def test_a_length_at_which_another_byte_is_needed_is_written_as_it_is_read(length: int) -> None:
    """RFC 7541, section 5.1: such as of a token of 255 characters."""
    assert list(hpack.Decoder().decode(encode_fields([("a", "v" * length)]), raw=True)) == [(b"a", b"v" * length)]
