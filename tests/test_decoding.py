"""How a response becomes what the caller asked for: every kind of type, and no failure that loses the operation."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import enum
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from google.apps.events_subscriptions_v1beta import Subscription
from google.protobuf import any_pb2, duration_pb2, empty_pb2, struct_pb2, type_pb2, wrappers_pb2
from google.rpc import error_details_pb2
from google.type import decimal_pb2

from lro_poller.decoding import Decoder, decode_response, decoding_of
from lro_poller.errors import DecodeError
from lro_poller.operation import Operation

from .security.secrecy import leaks

NAME = "operations/abc"
GOOGLE = "type.googleapis.com/google."


class AsStruct(msgspec.Struct):
    n: int
    words: list[str] = []


class Other(msgspec.Struct, tag_field="@type", tag="type.googleapis.com/x.Other"):
    m: int


class Tagged(msgspec.Struct, tag_field="@type", tag="type.googleapis.com/x.Tagged"):
    n: int


@dataclasses.dataclass
class AsDataclass:
    n: int
    words: list[str] = dataclasses.field(default_factory=list)


class AsTypedDict(TypedDict):
    n: int


class Pair(NamedTuple):
    left: int
    right: int


class AsModel(pydantic.BaseModel):
    n: int
    words: list[str] = []


@pydantic.dataclasses.dataclass
class AsPydanticDataclass:
    n: Annotated[int, pydantic.Field(gt=3)]


AsNewType = NewType("AsNewType", AsDataclass)
AsNewerType = NewType("AsNewerType", AsNewType)


def an_any(message: Any) -> any_pb2.Any:
    holder = any_pb2.Any()
    holder.Pack(message)
    return holder


def nested(decode: Any, depth: int) -> Any:
    """A list of lists of it."""
    return functools.reduce(lambda within, _: list[within], range(depth), decode)  # type: ignore[valid-type]


def raising(error: BaseException) -> Any:
    def decode(response: Any) -> Any:
        raise error

    return decode


def succeeded(response: Any, **fields: Any) -> Operation:
    return Operation.from_json(NAME, json.dumps({"done": True, "response": response, **fields}).encode())


def decoded(response: Any, decode: Any) -> Any:
    return decode_response(succeeded(response), decoding_of(decode))


@pytest.mark.behaviour("B2")
@pytest.mark.parametrize(
    "decode, response, value",
    [
        (None, {"@type": "x", "n": 5}, {"@type": "x", "n": 5}),
        (None, "text", "text"),
        (AsStruct, {"@type": "x", "n": 5, "words": ["a"], "unheard": {}}, AsStruct(5, ["a"])),
        (pydantic.TypeAdapter(AsModel | None), {"@type": "x", "n": 5}, AsModel(n=5)),
        (AsDataclass, {"@type": "x", "n": 5, "words": ["a"], "unheard": {}}, AsDataclass(5, ["a"])),
        (AsTypedDict, {"@type": "x", "n": 5, "unheard": {}}, {"n": 5}),
        (AsModel, {"@type": "x", "n": 5, "words": ["a"], "unheard": {}}, AsModel(n=5, words=["a"])),
        (AsPydanticDataclass, {"@type": "x", "n": 5}, AsPydanticDataclass(5)),
        (AsNewerType, {"@type": "x", "n": 5}, AsDataclass(5)),
        (pydantic.TypeAdapter(list[AsModel]), [{"n": 5}], [AsModel(n=5)]),
        (
            any_pb2.Any,
            {"@type": GOOGLE + "protobuf.StringValue", "value": "x"},
            an_any(wrappers_pb2.StringValue(value="x")),
        ),
        (dict[str, int], {"n": 5}, {"n": 5}),
        (list[AsStruct], [{"n": 5}], [AsStruct(5)]),
        (Optional[AsStruct], {"n": 5}, AsStruct(5)),  # noqa: UP045
        (Tagged, {"@type": "type.googleapis.com/x.Tagged", "n": 5}, Tagged(5)),
        (lambda response: response["n"] + 1, {"n": 5}, 6),
        (len, {"n": 5, "m": 6}, 2),
        (dict, {"n": 5}, {"n": 5}),
        (json.dumps, {"n": 5}, '{"n": 5}'),
        (
            error_details_pb2.ErrorInfo,
            {"@type": GOOGLE + "rpc.ErrorInfo", "reason": "R", "metadata": {"a": "b"}, "unheard": 5},
            error_details_pb2.ErrorInfo(reason="R", metadata={"a": "b"}),
        ),
        (struct_pb2.Struct, {"@type": "x", "a": 1}, struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=1)})),
        (empty_pb2.Empty, {"@type": GOOGLE + "protobuf.Empty"}, empty_pb2.Empty()),
        (empty_pb2.Empty, {"@type": GOOGLE + "protobuf.Empty", "value": {}}, empty_pb2.Empty()),
        (
            Subscription,
            {
                "@type": "type.googleapis.com/google.apps.events.subscriptions.v1beta.Subscription",
                "name": "subscriptions/s",
                "eventTypes": ["a", "b"],
                "state": "ACTIVE",
                "ttl": "60s",
                "unheard": [],
            },
            Subscription(name="subscriptions/s", event_types=["a", "b"], state="ACTIVE", ttl={"seconds": 60}),
        ),
    ],
)
def test_a_response_is_decoded_as_asked(decode: Any, response: Any, value: Any) -> None:
    result = decoded(response, decode)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.behaviour("B3")
@pytest.mark.parametrize("decode", [None, lambda response: response, dict])
def test_an_empty_response_is_an_empty_dict(decode: Any) -> None:
    assert decoded({"@type": GOOGLE + "protobuf.Empty"}, decode) == {}


@pytest.mark.behaviour("B3")
@pytest.mark.parametrize(
    "decode",
    [None, AsStruct, AsModel, AsDataclass, dict[str, int], error_details_pb2.ErrorInfo, Subscription, len],
)
@pytest.mark.parametrize("body", [b'{"done": true}', b'{"done": true, "response": null}'])
def test_done_without_a_response_is_none_whatever_the_decoder(body: bytes, decode: Any) -> None:
    assert decode_response(Operation.from_json(NAME, body), decoding_of(decode)) is None


def refused(decode: Any, response: Any) -> DecodeError:
    """The error that this response is, which loses nothing and quotes no value."""
    operation = succeeded(response, metadata={"m": 1})
    with pytest.raises(DecodeError) as caught:
        decode_response(operation, decoding_of(decode))
    assert caught.value.operation is operation
    assert json.loads(operation.raw_response or b"") == response
    assert "SECRET" not in str(caught.value)
    return caught.value


@pytest.mark.behaviour("B6", "B26")
@pytest.mark.parametrize(
    "decode, response, reason",
    [
        (AsStruct, {"n": "SECRET"}, "Expected `int`, got `str` - at `$.n`"),
        (AsStruct, {"@type": GOOGLE + "protobuf.Empty"}, "Object missing required field `n`"),
        (Tagged | Other, {"@type": "SECRET"}, "Invalid value '…' - at `$.@type`"),
        (AsDataclass, {}, "Object missing required field `n`"),
        (AsTypedDict, {"n": None}, "Expected `int`, got `null` - at `$.n`"),
        (dict[str, int], {"n": "SECRET"}, "Expected `int`, got `str` - at `$[...]`"),
        (AsModel, {"n": "SECRET"}, "n: Input should be a valid integer, unable to parse string as an integer"),
        (AsModel, {"n": 1, "words": [1, 2]}, "words.0: Input should be a valid string; words.1: Input should"),
        (error_details_pb2.ErrorInfo, {"reason": 5}, "it is no google.rpc.ErrorInfo"),
        (error_details_pb2.ErrorInfo, {"reason": ["SECRET"]}, "it is no google.rpc.ErrorInfo"),
        (Subscription, {"eventTypes": "SECRET"}, "it is no google.apps.events.subscriptions.v1beta.Subscription"),
    ],
)
def test_a_response_that_does_not_fit_a_type_is_an_error_that_quotes_no_value(
    decode: Any, response: Any, reason: str
) -> None:
    error = refused(decode, response)
    assert error.reason.startswith(reason)
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.behaviour("B6", "B19")
@pytest.mark.parametrize(
    "decode, response, cause",
    [
        (lambda response: response["missing"], {"n": 5}, KeyError),
        (lambda response: 1 / 0, {}, ZeroDivisionError),
        (functools.partial(int, base=10), {"n": "SECRET"}, TypeError),
        (raising(ValueError("SECRET")), {}, ValueError),
        (raising(asyncio.CancelledError()), {}, asyncio.CancelledError),
    ],
)
def test_what_a_callable_of_the_caller_raises_is_the_cause(
    decode: Any, response: Any, cause: type[BaseException]
) -> None:
    error = refused(decode, response)
    assert type(error.__cause__) is cause
    assert error.reason == cause.__name__


def test_an_error_of_a_model_that_tells_no_places_is_the_cause() -> None:
    class Model:
        @staticmethod
        def model_validate_json(body: bytes) -> None:
            raise ValueError("SECRET")

    error = refused(Model, {})
    assert (type(error.__cause__), error.reason) == (ValueError, "ValueError")


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize("response", ["SECRET", ["SECRET"], []])
def test_a_response_that_is_no_object_is_no_protobuf_message(response: Any) -> None:
    with pytest.raises(DecodeError):
        decoded(response, error_details_pb2.ErrorInfo)


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize("response", [b'"SECRET\xff"', b'["SECRET", 1e999]'])
@pytest.mark.parametrize("decode", [None, AsStruct, AsModel, error_details_pb2.ErrorInfo, len])
def test_a_response_that_is_broken_json_is_an_error_that_loses_nothing(decode: Any, response: bytes) -> None:
    operation = Operation.from_json(NAME, b'{"done":true,"response":' + response + b"}")
    with pytest.raises(DecodeError) as caught:
        decode_response(operation, decoding_of(decode))
    assert caught.value.operation.raw_response == response
    assert leaks(caught.value, "SECRET") == ["DecodeError: pickle"]  # which is the operation's own


class Word(enum.Enum):
    KNOWN = "known"


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    words: list[Word] = []


class Checked(msgspec.Struct):
    word: str

    def __post_init__(self) -> None:
        raise ValueError(f"not '{self.word}',\nnor this")


class StrictModel(pydantic.BaseModel, extra="forbid"):
    numbers: dict[str, int] = {}


class ModelA(pydantic.BaseModel):
    kind: Literal["a"]


class ModelB(pydantic.BaseModel):
    kind: Literal["b"]


Tags = pydantic.TypeAdapter(Annotated[ModelA | ModelB, pydantic.Field(discriminator="kind")])


@pytest.mark.behaviour("B6", "B26")
@pytest.mark.parametrize(
    "decode, response, reason",
    [
        (Strict, {"words": ["it's SECRET"]}, "Invalid enum value '…' - at `$.words[0]`"),
        (Strict, {"words": ["x' - at `$.SECRET"]}, "Invalid enum value '…' - at `$.words[0]`"),
        (Strict, {"words": ["it's \"SECRET"]}, "Invalid enum value '…' - at `$.words[0]`"),
        (Checked, {"word": "x\nSECRET"}, r"not '…',\nnor this"),
        (Checked, {"word": "x\n"}, r"not '…',\nnor this"),
        (Strict, {"SECRET key": 1}, "Object contains unknown field `…`"),
        (Strict, {"a` - at `$SECRET": 1}, "Object contains unknown field `…`"),
        (StrictModel, {"SECRET": 1}, "…: Extra inputs are not permitted"),
        (StrictModel, {"numbers": {"SECRET key": "x"}}, "numbers.…: Input should be a valid integer"),
        (Tags, {"kind": "SECRET"}, ": its tag is none of those expected"),
        (StrictModel, {f"SECRET{number}": 1 for number in range(500)}, "…: Extra inputs are not permitted; …"),
    ],
)
def test_no_reason_quotes_the_response(decode: Any, response: Any, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(response, decode)
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.reason) <= 500
    assert "SECRET" not in str(caught.value)


def test_of_many_faults_the_first_twenty_are_told() -> None:
    fields: dict[str, Any] = dict.fromkeys("abcdefghijklmnopqrstuvwxyz", (int, ...))
    reason = refused(pydantic.create_model("Model", **fields), {}).reason
    assert reason == "; ".join(f"{letter}: Field required" for letter in "abcdefghijklmnopqrst")


@pytest.mark.parametrize("length, told", [(64, "k" * 64), (65, "…")])
def test_the_name_of_a_field_is_told_up_to_a_length(length: int, told: str) -> None:
    reason = refused(pydantic.TypeAdapter(dict[str, int]), {"k" * length: "x"}).reason
    assert reason.startswith(f"{told}: Input should be a valid integer")


def test_a_decoder_that_is_emptied_holds_nothing_of_the_callers() -> None:
    decoding = decoding_of(lambda response: response)
    assert decoding is not None
    decoder = Decoder(*decoding)
    decoder.empty()
    assert not {decoding.read, decoding.what} & {decoder.read, decoder.what}


@pytest.mark.behaviour("B22")
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_stops_the_program_is_no_decode_error(stop: type[BaseException]) -> None:
    def decode(response: Any) -> Any:
        raise stop

    with pytest.raises(stop):
        decoded({}, decode)


def test_a_named_tuple_which_would_take_the_whole_response_for_its_first_field_is_refused_beforehand() -> None:
    with pytest.raises(TypeError, match=r"such as a dataclass, not <class .*Pair"):
        decoding_of(Pair)


@pytest.mark.parametrize("decode", [5, "AsStruct", AsDataclass(5), {"n": int}, object(), True, any_pb2.Any()])
def test_what_cannot_decode_is_refused_beforehand(decode: Any) -> None:
    with pytest.raises(TypeError, match="decode must be a type or a callable"):
        decoding_of(decode)


@pytest.mark.parametrize(
    "decode, fits, does_not",
    [
        (str, "text", {"n": 1}),
        (list, [1], {"n": 1}),
        (dict, {"n": 1}, [1]),
        (int, 5, "5"),
        (bytes, b"AB", [65, 66]),
        (float, 0.5, "0.5"),
        (bool, True, 1),
        (frozenset, frozenset(), {"n": 1}),
        (set, {1}, {"n": 1}),
        (tuple, (1,), {"n": 1}),
        (Any, {"n": [1]}, None),
        (object, {"n": [1]}, None),
        (Mapping, {"n": 1}, [1]),
        (Sequence, [1], {"n": 1}),
    ],
)
def test_a_plain_type_takes_what_is_of_it_and_makes_nothing_else_into_it(decode: Any, fits: Any, does_not: Any) -> None:
    written = base64.b64encode(fits).decode() if decode is bytes else fits
    assert decoded([*fits] if isinstance(fits, frozenset | set | tuple) else written, decode) == fits
    if does_not is not None:
        with pytest.raises(DecodeError, match="Expected"):
            decoded(does_not, decode)


def test_a_type_that_msgspec_cannot_read_is_refused_beforehand() -> None:
    with pytest.raises(TypeError):
        decoding_of(list[AsStruct | AsDataclass])


@pytest.mark.parametrize(
    "decode", [AsModel | None, list[AsModel], dict[str, list[AsPydanticDataclass]], nested(AsModel, 19)]
)
def test_a_model_within_another_type_is_refused_beforehand_and_told_what_reads_it(decode: Any) -> None:
    with pytest.raises(TypeError, match=r"say pydantic\.TypeAdapter"):
        decoding_of(decode)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1 ends with Python 3.13")
def test_a_model_of_pydantic_1_is_refused_and_its_way_named() -> None:
    import pydantic.v1

    class Old(pydantic.v1.BaseModel):
        n: int

    with pytest.raises(TypeError, match=r"is a model of pydantic 1, .* say its parse_obj$"):
        decoding_of(Old)
    assert decoded({"n": 5}, Old.parse_obj) == Old(n=5)


def test_a_class_that_extends_a_dataclass_of_pydantics_is_validated_and_read_whole() -> None:
    @dataclasses.dataclass
    class Extended(AsPydanticDataclass):
        m: int = 0

    class Same(AsPydanticDataclass):
        pass

    assert decoded({"n": 5, "m": 6}, Extended) == Extended(5, 6)
    assert decoded({"n": 5}, Same) == Same(5)
    for kind in (Extended, Same):
        with pytest.raises(DecodeError, match="n: Input should be greater than 3"):
            decoded({"n": 1}, kind)


def test_an_instance_of_a_dataclass_of_pydantics_may_be_a_callable() -> None:
    class Scale(AsPydanticDataclass):
        def __call__(self, value: Any) -> Any:
            return value["n"] * self.n

    assert decoded({"n": 5}, Scale(4)) == 20


def test_a_dataclass_of_pydantics_is_validated() -> None:
    with pytest.raises(DecodeError, match="n: Input should be greater than 3"):
        decoded({"n": 1}, AsPydanticDataclass)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with Python 3.12")
def test_an_alias_is_what_it_stands_for() -> None:
    scope: dict[str, Any] = {"AsDataclass": AsDataclass, "AsModel": AsModel}
    exec("type Alias = AsDataclass; type Box[T] = list[T]; type Itself = Itself; type Model = AsModel", scope)
    assert decoded({"n": 5}, scope["Alias"]) == AsDataclass(5)
    assert decoded([1], scope["Box"][int]) == [1]
    with pytest.raises(DecodeError):
        decoded(["a"], scope["Box"][int])
    with pytest.raises(TypeError, match="stands for itself"):
        decoding_of(scope["Itself"])
    exec("type Models[T] = dict[str, AsModel] | list[T]; type Tree = dict[str, Tree]", scope)
    for decode in (dict.__class_getitem__((str, scope["Model"])), scope["Models"][int]):
        with pytest.raises(TypeError, match=r"say pydantic\.TypeAdapter"):
            decoding_of(decode)
    with pytest.raises(TypeError, match="has itself in it"):
        decoding_of(scope["Tree"])


def test_a_union_of_types_is_told_apart_by_its_tag() -> None:
    assert decoded({"@type": "type.googleapis.com/x.Tagged", "n": 5}, Tagged | Other) == Tagged(5)


@pytest.mark.parametrize(
    "decode, value, message",
    [
        (struct_pb2.Struct, {"a": 1}, struct_pb2.Struct(fields={"a": struct_pb2.Value(number_value=1)})),
        (duration_pb2.Duration, "3s", duration_pb2.Duration(seconds=3)),
    ],
    ids=["Struct", "Duration"],
)
def test_a_well_known_type_is_read_out_of_its_value(decode: Any, value: Any, message: Any) -> None:
    response = {"@type": GOOGLE + "protobuf." + decode.DESCRIPTOR.name, "value": value}
    assert decoded(response, decode) == message


def test_a_response_can_be_kept_as_the_bytes_it_came_as() -> None:
    assert bytes(decoded({"n": 5}, msgspec.Raw)) == b'{"n": 5}'


class AsPlainClass:
    """A class that no library knows, made of the JSON value."""

    def __init__(self, value: Any) -> None:
        self.value = value


def test_a_class_of_ones_own_is_called_with_the_json_value() -> None:
    assert decoded({"n": 1}, AsPlainClass).value == {"n": 1}


@pytest.mark.behaviour("B6")
@pytest.mark.parametrize(
    "response, expected",
    [
        ({"@type": "type.googleapis.com/google.protobuf.Empty"}, empty_pb2.Empty()),
        ({"@type": "type.googleapis.com/google.protobuf.Type", "name": "a"}, type_pb2.Type(name="a")),
        ({"@type": "type.googleapis.com/google.type.Decimal", "value": "1.5"}, decimal_pb2.Decimal(value="1.5")),
    ],
)
def test_only_a_value_of_a_well_known_type_stands_for_the_whole_message(response: Any, expected: Any) -> None:
    operation = Operation.from_json("operations/a", json.dumps({"done": True, "response": response}).encode())
    assert decode_response(operation, decoding_of(type(expected))) == expected


@attrs.define
class Made:
    n: int


@pytest.mark.behaviour("B6")
def test_a_class_of_attrs_is_read_as_a_dataclass_is() -> None:
    operation = Operation.from_json("operations/a", b'{"done": true, "response": {"n": 5}}')
    assert decode_response(operation, decoding_of(Made)) == Made(5)
