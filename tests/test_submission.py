"""What may be handed in to be waited for: names, dicts, and the objects of other libraries, told by what they have."""

from __future__ import annotations

import concurrent.futures
import types
from pathlib import PurePath
from typing import Any

import pydantic
import pytest
from google.api_core import operation as api_core
from google.apps.events_subscriptions_v1beta import Subscription
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2
from google.rpc import error_details_pb2, status_pb2

import lro_poller
from lro_poller.errors import InvalidOperationName
from lro_poller.names import NamePattern
from lro_poller.operation import Operation
from lro_poller.status import ErrorInfo, Status
from lro_poller.submission import Submission, read_submission

NAME = "operations/abc"
OPERATIONS = NamePattern("operations/**")


class Named:
    """An object that has a name and nothing else."""

    def __init__(self, name: Any) -> None:
        self.name = name


class Holder:
    """An object that holds an operation, as a client library's future does."""

    def __init__(self, operation: Any) -> None:
        self.operation = operation


def read(given: Any) -> Submission:
    return read_submission(OPERATIONS, given)


def packed(message: Any) -> any_pb2.Any:
    holder = any_pb2.Any()
    holder.Pack(message)
    return holder


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a submission asks nobody anything")


def unfinished() -> operations_pb2.Operation:
    return operations_pb2.Operation(name=NAME, metadata=packed(error_details_pb2.ErrorInfo(reason="step 1")))


def finished() -> operations_pb2.Operation:
    subscription = Subscription.pb(Subscription(name="subscriptions/s"))
    return operations_pb2.Operation(name=NAME, done=True, response=packed(subscription))


def failed() -> operations_pb2.Operation:
    status = status_pb2.Status(code=5, message="gone", details=[packed(error_details_pb2.ErrorInfo(reason="R"))])
    return operations_pb2.Operation(name=NAME, done=True, error=status)


def in_api_core(message: operations_pb2.Operation) -> Any:
    client_library: Any = api_core  # it has no annotations
    return client_library.Operation(message, never, never, Subscription)


@pytest.mark.behaviour("B5")
@pytest.mark.parametrize(
    "given",
    [
        NAME,
        Named(NAME),
        Holder(Named(NAME)),
        types.SimpleNamespace(name="something else", operation=Named(NAME)),
        types.SimpleNamespace(name=NAME, operation=None),
        types.SimpleNamespace(name=NAME, operation="not an operation"),
    ],
)
def test_a_name_is_all_that_is_needed(given: Any) -> None:
    submission = read(given)
    assert (submission.name, submission.operation) == (NAME, None)


# From Python 3.12 on Python itself does not see the fields of a protobuf message that is asked about so.
@pytest.mark.parametrize("given", [NAME, {"name": NAME}, Operation(NAME, False, None, b""), Named(NAME)])
def test_whoever_checks_types_at_run_time_can_check_by_these(given: Any) -> None:
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    assert pydantic.TypeAdapter(lro_poller.Submittable, config=config).validate_python(given) == given
    pydantic.TypeAdapter(lro_poller.Decode[Any], config=config)


def test_of_a_name_alone_nothing_is_known() -> None:
    assert read(NAME) == read(Named(NAME)) == Submission(NAME, None, 0)


@pytest.mark.behaviour("B1")
@pytest.mark.parametrize(
    "given, done, sightings",
    [
        ({"name": NAME}, False, 1),
        ({"name": NAME, "done": False, "metadata": {"@type": "x"}}, False, 1),
        ({"name": NAME, "done": False, "response": {}}, False, 1),
        ({"name": NAME, "done": True}, True, 0),
        ({"name": NAME, "done": True, "response": {"a": 1}}, True, 0),
        ({"name": NAME, "done": True, "error": {"code": 5}}, True, 0),
        (Operation(NAME, False, None, b"{}"), False, 1),
        (Operation(NAME, True, None, b"{}"), True, 0),
        (Holder(Operation(NAME, False, None, b"{}")), False, 1),  # a future, or an error, of this library
        (Holder(Operation(NAME, True, None, b"{}")), True, 0),
        (unfinished(), False, 1),
        (finished(), True, 0),
        (failed(), True, 0),
        (in_api_core(unfinished()), False, 1),
        (in_api_core(finished()), True, 0),
        (in_api_core(failed()), True, 0),
    ],
)
def test_an_operation_that_was_seen_is_taken_over_as_it_was(given: Any, done: bool, sightings: int) -> None:
    submission = read(given)
    assert submission.operation is not None
    assert (submission.name, submission.operation.name) == (NAME, NAME)
    assert (submission.operation.done, submission.sightings) == (done, sightings)


@pytest.mark.behaviour("B1")
def test_an_operation_of_this_library_is_taken_as_it_is() -> None:
    operation = Operation(NAME, True, None, b"{}")
    assert read(operation).operation is operation


@pytest.mark.behaviour("B1")
@pytest.mark.parametrize("given", [finished(), in_api_core(finished())], ids=["message", "api_core"])
def test_the_response_of_a_protobuf_operation_is_kept(given: Any) -> None:
    operation = read(given).operation
    assert operation is not None
    assert operation.response == {
        "@type": "type.googleapis.com/google.apps.events.subscriptions.v1beta.Subscription",
        "name": "subscriptions/s",
    }


@pytest.mark.behaviour("B1", "B4")
@pytest.mark.parametrize("given", [failed(), in_api_core(failed())], ids=["message", "api_core"])
def test_the_error_of_a_protobuf_operation_is_kept_with_its_details(given: Any) -> None:
    operation = read(given).operation
    assert operation is not None
    assert operation.error == Status(5, "gone", (ErrorInfo("R"),))


@pytest.mark.behaviour("B1", "B3")
def test_a_protobuf_operation_that_is_done_with_neither_or_empty_has_succeeded() -> None:
    neither = read(operations_pb2.Operation(name=NAME, done=True)).operation
    empty = read(operations_pb2.Operation(name=NAME, done=True, response=packed(empty_pb2.Empty()))).operation
    assert neither is not None
    assert empty is not None
    assert (neither.done, neither.error, neither.response) == (True, None, None)
    assert (empty.done, empty.error, empty.response) == (True, None, {})


@pytest.mark.behaviour("B6")
def test_a_protobuf_operation_whose_response_nobody_knows_is_polled_by_its_name() -> None:
    unheard = any_pb2.Any(type_url="type.googleapis.com/example.Unheard", value=b"\x08\x01")
    assert read(operations_pb2.Operation(name=NAME, done=True, response=unheard)) == Submission(NAME, None, 0)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("name", ["", "abc", "operations/../x", "https://evil.example/operations/abc", NAME + "\n"])
@pytest.mark.parametrize(
    "wrapped",
    [
        str,
        Named,
        lambda name: Holder(Named(name)),
        lambda name: Operation(name, True, None, b"{}"),
        lambda name: operations_pb2.Operation(name=name, done=True),
        lambda name: in_api_core(operations_pb2.Operation(name=name)),
    ],
    ids=["text", "named", "held", "operation", "message", "api_core"],
)
def test_a_bad_name_is_refused_whatever_it_comes_in(wrapped: Any, name: str) -> None:
    with pytest.raises(InvalidOperationName) as caught:
        read(wrapped(name))
    assert caught.value.name == name


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize("name", ["abc", "operations/../x"])
def test_a_bad_name_in_a_dict_is_refused(name: str) -> None:
    with pytest.raises(InvalidOperationName):
        read({"name": name, "done": True})


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "name must be a non-empty text"),
        ({"name": ""}, "name must be a non-empty text"),
        ({"name": NAME, "done": "yes"}, "done must be true or false"),
        ({"name": NAME, "response": "text"}, "response must be an object"),
    ],
)
def test_a_dict_that_is_no_operation_is_a_value_error(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(given)


@pytest.mark.parametrize(
    "given",
    [None, 5, 5.0, True, b"operations/abc", [NAME], (NAME,), object(), Named(None), Named(5), Holder(Named(b"x"))],
)
def test_what_has_no_name_is_a_type_error_that_says_what_may_be_given(given: Any) -> None:
    with pytest.raises(TypeError, match=f"by its name, as a dict, or as an object .* not as {type(given).__name__}$"):
        read(given)


async def made() -> None: ...


class Request:
    """As of google-api-python-client."""

    def execute(self) -> None: ...


@pytest.mark.parametrize(
    "given, remedy",
    [
        (made, "coroutine: await it first"),
        (Request, "Request: call its execute() first"),
        (concurrent.futures.Future, "Future: submit what it returns"),
    ],
)
def test_what_was_forgotten_is_told(given: Any, remedy: str) -> None:
    with pytest.raises(TypeError) as caught:
        read(given())
    assert str(caught.value).endswith(f"not as {remedy}")


def test_an_object_that_is_named_for_another_reason_is_refused() -> None:
    with pytest.raises(InvalidOperationName):
        read(PurePath("operations/abc"))


@pytest.mark.behaviour("B11")
def test_what_is_handed_in_was_never_waited_for_before() -> None:
    for given in ("operations/abc", Operation("operations/abc", False, None, b"{}")):
        submission = read_submission(OPERATIONS, given)
        assert (submission.age, submission.resumed) == (0.0, False)


def test_an_object_that_is_no_message_counts_by_its_name_whatever_else_it_has() -> None:
    given: Any = Named(NAME)
    given.done = False
    assert read(given) == Submission(NAME)
