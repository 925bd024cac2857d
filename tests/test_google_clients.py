"""Google's own clients and this library agree about the same operations, on the same emulator."""

from __future__ import annotations

import asyncio
import datetime
import functools
import importlib
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backoff
import pytest
from google.api_core.exceptions import FailedPrecondition, Forbidden, GoogleAPICallError, NotFound
from google.api_core.future.polling import DEFAULT_POLLING
from google.auth.credentials import AnonymousCredentials
from google.protobuf import json_format, timestamp_pb2
from googleapiclient import discovery, discovery_cache

import lro_poller
from lro_poller import (
    WORKSPACE_EVENTS,
    WORKSPACE_EVENTS_V1,
    Code,
    OperationError,
    OperationFuture,
    OperationPoller,
    PollError,
)
from lro_poller.testing import Emulator, HttpError, Script
from lro_poller.testing.subscriptions import _timestamp

SOON = functools.partial(backoff.constant, interval=[0.02])
OFTEN = DEFAULT_POLLING.with_delay(initial=0.01, maximum=0.01)
VERSIONS = ["v1", "v1beta"]


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def client_of(version: str, emulator: Emulator) -> Any:
    """Google's client of a version, over REST, without a token."""
    module = importlib.import_module(f"google.apps.events_subscriptions_{version}")
    client = module.SubscriptionsServiceClient
    transport = client.get_transport_class("rest")(
        host=emulator.origin.removeprefix("http://"), credentials=AnonymousCredentials(), url_scheme="http"
    )
    return client(transport=transport)


def create(client: Any) -> Any:
    """Creates a subscription; returns the operation as Google's client has it."""
    return client.create_subscription(
        subscription={
            "target_resource": "//chat.googleapis.com/spaces/A",
            "event_types": ["google.workspace.chat.message.v1.created"],
            "notification_endpoint": {"pubsub_topic": "projects/p/topics/t"},
        }
    )


def waited_for(version: str, emulator: Emulator, *operations: Any, **options: Any) -> list[OperationFuture[Any]]:
    """What this library makes of the same operations. Google's client blocks, so it stays out of the loop."""

    async def wait() -> list[OperationFuture[Any]]:
        async with OperationPoller(
            f"workspaceevents:{version}", endpoint=emulator.origin, credentials=AnonymousCredentials(), backoff=SOON
        ) as poller:
            return await poller.wait_all(operations, **options)

    return asyncio.run(wait())


def path_of_poll(name: str, emulator: Emulator) -> str:
    """The path to which this library sends a poll, as the emulator hears it."""
    emulator.add_operation(name)
    waited_for("v1", emulator, name)
    (request,) = emulator.requests
    return request.path


@pytest.mark.parametrize("version", VERSIONS)
def test_both_see_the_same_subscription(version: str, served: Emulator) -> None:
    served.plan(Script(polls=1))
    operation = create(client_of(version, served))
    futures = waited_for(version, served, operation, operation.operation, operation.operation.name)
    theirs = operation.result()
    shown = json_format.MessageToDict(type(theirs).pb(theirs))
    for future in futures:
        assert {key: value for key, value in future.result().items() if key in shown} == shown
    assert [future.result() for future in waited_for(version, served, operation, decode=type(theirs))] == [theirs]


@pytest.mark.behaviour("B1")
@pytest.mark.parametrize("version", VERSIONS)
def test_an_operation_that_googles_client_saw_end_costs_no_poll(version: str, served: Emulator) -> None:
    operation = create(client_of(version, served))
    before = len(served.requests)
    assert operation.operation.done
    (future,) = waited_for(version, served, operation)
    assert future.result()["targetResource"] == "//chat.googleapis.com/spaces/A"
    assert len(served.requests) == before


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize("version", VERSIONS)
def test_both_see_the_same_failure(version: str, served: Emulator) -> None:
    served.plan(Script(polls=1, error=Code.FAILED_PRECONDITION))
    operation = create(client_of(version, served))
    (future,) = waited_for(version, served, operation)
    ours = future.exception()
    with pytest.raises(FailedPrecondition) as theirs:
        operation.result()
    assert isinstance(ours, lro_poller.FailedPrecondition)
    assert ours.message in str(theirs.value)


@pytest.mark.behaviour("B4")
@pytest.mark.parametrize("code", [code for code in Code if code], ids=lambda code: code.name)
def test_both_see_the_same_code(code: Code, served: Emulator) -> None:
    served.plan(Script(polls=1, error=code))
    operation = create(client_of("v1", served))
    (future,) = waited_for("v1", served, operation)
    ours = future.exception()
    with pytest.raises(GoogleAPICallError) as theirs:
        operation.result(polling=OFTEN)
    assert isinstance(ours, OperationError)
    assert theirs.value.grpc_status_code is not None
    assert (ours.code, theirs.value.grpc_status_code.name) == (code, code.name)


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize("version", VERSIONS)
def test_both_are_told_of_a_poll_that_is_refused(version: str, served: Emulator) -> None:
    refusals = [HttpError(404), HttpError(403)]
    served.plan(Script(polls=1, faults=[refusal for refusal in refusals for _ in "ab"]))
    operation = create(client_of(version, served))
    for error, code in ((NotFound, Code.NOT_FOUND), (Forbidden, Code.PERMISSION_DENIED)):
        (future,) = waited_for(version, served, operation)
        ours = future.exception()
        with pytest.raises(error) as theirs:
            operation.result(polling=OFTEN)
        assert isinstance(ours, PollError)
        assert (ours.code, ours.http_status) == (code, theirs.value.code)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_send_the_same_poll(version: str, served: Emulator) -> None:
    served.plan(Script(polls=1))
    operation = create(client_of(version, served))
    served.requests.clear()
    assert not operation.done()
    waited_for(version, served, operation.operation.name)
    theirs, ours = served.requests
    assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
    assert ours.query == ""
    name = "x-goog-request-params"
    assert urllib.parse.unquote(ours.headers[name]) == urllib.parse.unquote(theirs.headers[name])
    parts = [{part.partition("/")[0] for part in poll.headers["x-goog-api-client"].split()} for poll in (ours, theirs)]
    assert {"gl-python", "rest", "gapic"} <= parts[0] & parts[1]


@pytest.mark.parametrize("microsecond", [0, 1000, 745000, 745001, 5])
def test_times_are_written_as_protobuf_writes_them(microsecond: int) -> None:
    when = datetime.datetime(2026, 11, 27, 7, 35, 56, microsecond, tzinfo=datetime.UTC)
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(when)
    assert json.dumps(_timestamp(when)) == json_format.MessageToJson(stamp)


@pytest.mark.parametrize("version", VERSIONS)
def test_patch_and_delete_end_alike(version: str, served: Emulator) -> None:
    client = client_of(version, served)
    name = create(client).result().name
    served.plan(Script(polls=1), Script(polls=1))
    patch = client.update_subscription(subscription={"name": name, "ttl": {"seconds": 3600}}, update_mask="ttl")
    (patched,) = waited_for(version, served, patch)
    shown = json_format.MessageToDict(type(patch.result()).pb(patch.result()))
    assert patched.result()["expireTime"] == shown["expireTime"]
    delete = client.delete_subscription(name=name)
    (deleted,) = waited_for(version, served, delete)
    assert deleted.result() == {}
    assert delete.result() is not None
    assert list(client.list_subscriptions(filter='event_types:"google.workspace.chat.message.v1.created"')) == []


@pytest.mark.parametrize(
    "name",
    [
        "operations/abc",
        "operations/a/b-c_d.e~f",
        "operations/a b",
        "operations/ä",
        "operations/50%",
        'operations/<">^`{|}',
    ],
)
def test_the_url_is_that_of_the_discovery_client(name: str, served: Emulator) -> None:
    service = discovery.build_from_document(document(), credentials=AnonymousCredentials())
    theirs = service.operations().get(name=name).uri.partition("?")[0]
    assert WORKSPACE_EVENTS_V1.origin + path_of_poll(name, served) == theirs


@pytest.mark.parametrize("character", "!$&'()*+,:;=@[]")
def test_a_reserved_character_is_encoded_here_and_not_there_and_means_the_same(
    character: str, served: Emulator
) -> None:
    # The document's {+name} keeps what RFC 6570 calls reserved; google/api/http.proto has it encoded.
    name = f"operations/a{character}b"
    service = discovery.build_from_document(document(), credentials=AnonymousCredentials())
    theirs = service.operations().get(name=name).uri.partition("?")[0].removeprefix(WORKSPACE_EVENTS_V1.origin)
    ours = path_of_poll(name, served)
    assert ours == f"/v1/operations/a%{ord(character):02X}b"
    assert urllib.parse.unquote(ours) == urllib.parse.unquote(theirs)


@pytest.mark.parametrize("name", ["operations/abc", "operations/a b/ä", "operations/a=b:c"])
def test_the_discovery_client_polls_the_same_operation(name: str, served: Emulator) -> None:
    served.add_operation(name, polls=1, response={"n": 1})
    with discovery.build_from_document(
        document(), credentials=AnonymousCredentials(), client_options={"api_endpoint": served.origin}
    ) as service:
        assert "done" not in service.operations().get(name=name).execute()
        theirs = service.operations().get(name=name).execute()
    (future,) = waited_for("v1", served, name)
    assert theirs == {"name": name, "metadata": {}, "done": True, "response": future.result()}
    assert served.polls(name) == 3


def test_the_scopes_of_v1_are_those_of_the_discovery_document() -> None:
    method = document()["resources"]["operations"]["methods"]["get"]
    assert sorted(WORKSPACE_EVENTS_V1.scopes) == sorted(method["scopes"])


def test_v1beta_has_seventeen_scopes() -> None:
    assert len(set(WORKSPACE_EVENTS.scopes)) == 17


def document() -> Any:
    folder = Path(discovery_cache.__file__).parent / "documents"
    return json.loads((folder / "workspaceevents.v1.json").read_text())
