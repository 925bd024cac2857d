"""Google's own clients and this library agree about the same operations, on the same emulator."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backoff
import pytest
from google.api_core.exceptions import FailedPrecondition
from google.auth.credentials import AnonymousCredentials
from google.protobuf import json_format
from googleapiclient import discovery, discovery_cache

import lro_poller
from lro_poller import WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1, Code, OperationFuture, OperationPoller
from lro_poller.testing import Emulator, Script

SOON = functools.partial(backoff.constant, interval=[0.02])
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


@pytest.mark.parametrize("name", ["operations/abc", "operations/a/b-c_d.e~f", "operations/a b", "operations/ä"])
def test_the_url_is_that_of_the_discovery_client(name: str) -> None:
    service = discovery.build_from_document(document(), credentials=AnonymousCredentials())
    theirs = service.operations().get(name=name).uri.partition("?")[0]
    assert WORKSPACE_EVENTS_V1.origin + WORKSPACE_EVENTS_V1.path(name) == theirs


def test_the_scopes_of_v1_are_those_of_the_discovery_document() -> None:
    method = document()["resources"]["operations"]["methods"]["get"]
    assert sorted(WORKSPACE_EVENTS_V1.scopes) == sorted(method["scopes"])


def test_v1beta_has_seventeen_scopes() -> None:
    assert len(set(WORKSPACE_EVENTS.scopes)) == 17


def document() -> Any:
    folder = Path(discovery_cache.__file__).parent / "documents"
    return json.loads((folder / "workspaceevents.v1.json").read_text())
