"""The emulated service as a plain HTTP client meets it: requests, validation, time, faults and chance."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import http.client
import json
import math
import pydoc
import random
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import pytest
import trustme
from yarl import URL

from lro_poller import (
    WORKSPACE_EVENTS,
    Cancelled,
    InvalidOperationName,
    NamePattern,
    Operation,
    OperationPoller,
    PollError,
    Service,
    testing,
)
from lro_poller.status import Code
from lro_poller.testing import (
    Chance,
    Delay,
    Emulator,
    Hang,
    HtmlPage,
    HttpError,
    RawReply,
    Reset,
    Script,
    Trickle,
    Truncated,
    WrongName,
)
from lro_poller.testing.faults import FAULTS

Json = dict[str, Any]

CREATED = "google.workspace.chat.message.v1.created"
DELETED = "google.workspace.chat.message.v1.deleted"
EMPTY = {"@type": "type.googleapis.com/google.protobuf.Empty"}
SPACE = "//chat.googleapis.com/spaces/A"
VERSIONS = pytest.mark.parametrize("version", ["v1", "v1beta"])


class Client:
    """A plain client: what it sends, and what comes back."""

    def __init__(self, emulator: Emulator, version: str = "v1beta") -> None:
        self._base = f"{emulator.origin}/{version}/"
        self._package = f"type.googleapis.com/google.apps.events.subscriptions.{version}"

    async def send(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None, *, data: Any = None
    ) -> tuple[int, Any]:
        """The status and the JSON of the reply; `path` goes out as it is written."""
        url = URL(self._base + path, encoded=True).update_query(query or {})
        async with (
            plain_session() as session,
            session.request(method, url, json=body, data=data) as response,
        ):
            assert response.content_type == "application/json"
            return response.status, await response.json()

    async def fine(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        status, reply = await self.send(method, path, body, query)
        assert status == 200, reply
        return reply

    async def error(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """The status and the google.rpc.Code of a reply in the form of AIP-193."""
        status, reply = await self.send(method, path, body, query)
        assert set(reply) == {"error"}
        assert set(reply["error"]) - {"details"} == {"code", "message", "status"}
        assert reply["error"]["code"] == status
        assert reply["error"]["message"]
        return status, reply["error"]["status"]

    async def create(self, target: str = SPACE, **fields: Any) -> Json:
        """Creates a subscription that is there at once, and returns it."""
        operation = await self.fine("POST", "subscriptions", wanted(targetResource=target, **fields))
        assert operation["done"]
        return {key: value for key, value in operation["response"].items() if key != "@type"}

    def type(self, name: str) -> str:
        return f"{self._package}.{name}"


def plain_session() -> aiohttp.ClientSession:
    """A session that sends each request once: aiohttp repeats a GET whose connection breaks."""
    session = aiohttp.ClientSession()
    session._retry_connection = False
    return session


def wanted(**changes: Any) -> Json:
    """What a subscription is created from."""
    body: Json = {
        "targetResource": SPACE,
        "eventTypes": [CREATED],
        "notificationEndpoint": {"pubsubTopic": "projects/p/topics/t"},
    }
    body.update(changes)
    return {key: value for key, value in body.items() if value is not None}


@pytest.fixture
def client(emulator: Emulator) -> Client:
    return Client(emulator)


# The life of a subscription.


@VERSIONS
async def test_a_subscription_comes_to_exist_when_its_operation_ends(emulator: Emulator, version: str) -> None:
    client = Client(emulator, version)
    emulator.plan(Script(duration=5))
    begun = await client.fine("POST", "subscriptions", wanted())
    assert begun == {"name": begun["name"], "metadata": {"@type": client.type("CreateSubscriptionMetadata")}}
    assert begun["name"].startswith("operations/")
    assert await client.fine("GET", begun["name"]) == begun
    assert await client.fine("GET", "subscriptions", filter=f'event_types:"{CREATED}"') == {}
    await asyncio.sleep(5)
    ended = await client.fine("GET", begun["name"])
    subscription = ended.pop("response")
    assert ended == {**begun, "done": True}
    assert subscription.pop("@type") == client.type("Subscription")
    assert wanted().items() <= subscription.items()
    assert subscription["state"] == "ACTIVE"
    assert await client.fine("GET", subscription["name"]) == subscription
    assert await client.fine("GET", "subscriptions", filter=f'event_types:"{CREATED}"') == {
        "subscriptions": [subscription]
    }


@VERSIONS
async def test_a_patch_changes_a_subscription_when_its_operation_ends(emulator: Emulator, version: str) -> None:
    client = Client(emulator, version)
    before = await client.create()
    emulator.plan(Script(duration=5))
    begun = await client.fine("PATCH", before["name"], {"ttl": "3600s"}, updateMask="ttl")
    assert begun == {"name": begun["name"], "metadata": {"@type": client.type("UpdateSubscriptionMetadata")}}
    assert await client.fine("GET", before["name"]) == before
    await asyncio.sleep(5)
    ended = await client.fine("GET", begun["name"])
    after = await client.fine("GET", before["name"])
    assert ended["response"] == {"@type": client.type("Subscription"), **after}
    assert {key for key in after if after[key] != before[key]} == {"expireTime", "updateTime", "etag"}
    assert after["expireTime"] < before["expireTime"]


@VERSIONS
async def test_a_delete_ends_with_empty_and_frees_the_target(emulator: Emulator, version: str) -> None:
    client = Client(emulator, version)
    subscription = await client.create()
    emulator.plan(Script(duration=5))
    begun = await client.fine("DELETE", subscription["name"])
    assert begun == {"name": begun["name"], "metadata": {"@type": client.type("DeleteSubscriptionMetadata")}}
    assert await client.fine("GET", subscription["name"]) == subscription
    await asyncio.sleep(5)
    assert (await client.fine("GET", begun["name"]))["response"] == EMPTY
    assert await client.error("GET", subscription["name"]) == (404, "NOT_FOUND")
    assert (await client.create())["name"] != subscription["name"]


@VERSIONS
async def test_a_suspended_subscription_is_reactivated(emulator: Emulator, version: str) -> None:
    client = Client(emulator, version)
    name = (await client.create())["name"]
    emulator.subscriptions.suspend(name)
    suspended = await client.fine("GET", name)
    assert (suspended["state"], suspended["suspensionReason"]) == ("SUSPENDED", "ENDPOINT_PERMISSION_DENIED")
    operation = await client.fine("POST", f"{name}:reactivate", {})
    active = await client.fine("GET", name)
    assert operation["metadata"] == {"@type": client.type("ReactivateSubscriptionMetadata")}
    assert operation["response"] == {"@type": client.type("Subscription"), **active}
    assert active["state"] == "ACTIVE"
    assert "suspensionReason" not in active


async def test_an_active_subscription_cannot_be_reactivated(client: Client) -> None:
    name = (await client.create())["name"]
    assert await client.error("POST", f"{name}:reactivate", {}) == (400, "FAILED_PRECONDITION")


async def test_what_one_version_creates_the_other_shows(emulator: Emulator) -> None:
    subscription = await Client(emulator, "v1").create()
    assert await Client(emulator, "v1beta").fine("GET", subscription["name"]) == subscription
    for name in emulator.operations:
        assert (await Client(emulator, "v1beta").fine("GET", name))["done"]


async def test_a_request_whose_operation_fails_changes_nothing(emulator: Emulator, client: Client) -> None:
    error = {"code": 9, "message": "no", "details": [{"@type": "type.googleapis.com/google.rpc.Help"}]}
    emulator.plan(Script(error=error))
    assert (await client.fine("POST", "subscriptions", wanted()))["error"] == error
    subscription = await client.create()
    emulator.subscriptions.suspend(subscription["name"])
    suspended = await client.fine("GET", subscription["name"])
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", ":reactivate")):
        emulator.plan(Script(error=Code.INTERNAL))
        operation = await client.fine(method, subscription["name"] + path, {})
        assert operation["error"] == {"code": 13, "message": "scripted INTERNAL"}
        assert "response" not in operation
        assert await client.fine("GET", subscription["name"]) == suspended


async def test_a_deleted_subscription_stays_deleted_when_a_slow_patch_ends(emulator: Emulator, client: Client) -> None:
    name = (await client.create())["name"]
    emulator.plan(Script(duration=10), Script(duration=1))
    await client.fine("PATCH", name, {"ttl": "60s"})
    await client.fine("DELETE", name)
    await asyncio.sleep(11)
    assert await client.error("GET", name) == (404, "NOT_FOUND")


# What a user trips over.


@pytest.mark.parametrize(
    "changes, fields",
    [
        ({"targetResource": None}, ["targetResource"]),
        ({"targetResource": ""}, ["targetResource"]),
        ({"targetResource": "spaces/A"}, ["targetResource"]),
        ({"targetResource": "https://chat.googleapis.com/spaces/A"}, ["targetResource"]),
        ({"targetResource": 5}, ["targetResource"]),
        ({"targetResource": "//.googleapis.com/spaces/A"}, ["targetResource"]),
        ({"notificationEndpoint": {"pubsubTopic": "projects/p/topics/t/u"}}, ["notificationEndpoint.pubsubTopic"]),
        ({"ttl": "604861s"}, ["ttl"]),
        ({"eventTypes": None}, ["eventTypes"]),
        ({"eventTypes": []}, ["eventTypes"]),
        ({"eventTypes": CREATED}, ["eventTypes"]),
        ({"eventTypes": [CREATED, "message.created"]}, ["eventTypes"]),
        ({"eventTypes": [None]}, ["eventTypes"]),
        ({"notificationEndpoint": None}, ["notificationEndpoint.pubsubTopic"]),
        ({"notificationEndpoint": {}}, ["notificationEndpoint.pubsubTopic"]),
        ({"notificationEndpoint": "projects/p/topics/t"}, ["notificationEndpoint.pubsubTopic"]),
        ({"notificationEndpoint": {"pubsubTopic": "topics/t"}}, ["notificationEndpoint.pubsubTopic"]),
        ({"ttl": "7d"}, ["ttl"]),
        ({"ttl": 60}, ["ttl"]),
        ({"ttl": "700000s"}, ["ttl"]),
        ({"expireTime": "tomorrow"}, ["expireTime"]),
        ({"expireTime": "2999-01-01T00:00:00Z"}, ["expireTime"]),
        ({"expireTime": "2000-01-01T00:00:00Z"}, ["expireTime"]),
        ({"expireTime": "2999-01-01T00:00:00"}, ["expireTime"]),
        ({"ttl": "60s", "expireTime": "2999-01-01T00:00:00Z"}, ["ttl"]),
        (
            {"targetResource": None, "eventTypes": None, "notificationEndpoint": None, "ttl": "7d"},
            ["targetResource", "notificationEndpoint.pubsubTopic", "eventTypes", "ttl"],
        ),
    ],
)
async def test_a_field_that_is_wrong_is_named(client: Client, changes: Json, fields: list[str]) -> None:
    status, reply = await client.send("POST", "subscriptions", wanted(**changes))
    error = reply["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    (bad_request,) = error["details"]
    assert bad_request["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [violation["field"] for violation in bad_request["fieldViolations"]] == fields
    assert all(violation["description"] for violation in bad_request["fieldViolations"])
    assert error["message"].startswith(fields[0])


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(client: Client, data: bytes) -> None:
    status, reply = await client.send("POST", "subscriptions", data=data)
    assert (status, reply["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": "604800s"},
        {"ttl": "604860s"},
        {"ttl": "0.5s"},
        {"ttl": "0s"},
        {"payloadOptions": {"includeResource": True}},
    ],
)
async def test_what_is_valid_is_accepted(client: Client, changes: Json) -> None:
    assert (await client.create(**changes))["state"] == "ACTIVE"


async def test_a_subscription_lives_for_a_week_unless_it_says_less(client: Client) -> None:
    for ttl, days in ((None, 7), ("0s", 7), ("86400s", 1)):
        made = await client.create(f"//chat.googleapis.com/spaces/{ttl}", ttl=ttl)
        created, expires = (datetime.datetime.fromisoformat(made[one]) for one in ("createTime", "expireTime"))
        assert expires - created == datetime.timedelta(days=days)
        assert made["name"] == f"subscriptions/{made['uid']}"


async def test_a_target_has_one_subscription_from_the_request_on(emulator: Emulator, client: Client) -> None:
    emulator.plan(Script(duration=5))
    operation = await client.fine("POST", "subscriptions", wanted())
    assert await client.error("POST", "subscriptions", wanted()) == (409, "ALREADY_EXISTS")
    await asyncio.sleep(5)
    name = (await client.fine("GET", operation["name"]))["response"]["name"]
    status, reply = await client.send("POST", "subscriptions", wanted(eventTypes=[DELETED]))
    assert status == 409
    assert name in reply["error"]["message"]
    assert await client.create("//chat.googleapis.com/spaces/B")


async def test_a_refused_request_holds_no_target(client: Client) -> None:
    await client.error("POST", "subscriptions", wanted(ttl="7d"))
    assert await client.create()


async def test_validation_alone_answers_and_changes_nothing(emulator: Emulator, client: Client) -> None:
    validate = {"validateOnly": "true"}
    emulator.plan(Script(error=Code.INTERNAL))  # is not for them
    tried = await client.fine("POST", "subscriptions", wanted(), **validate)
    assert tried["done"]
    assert tried["response"]["targetResource"] == SPACE
    assert await client.error("GET", tried["response"]["name"]) == (404, "NOT_FOUND")
    assert await client.error("POST", "subscriptions", wanted(ttl="7d"), **validate) == (400, "INVALID_ARGUMENT")
    assert "error" in await client.fine("POST", "subscriptions", wanted())

    subscription = await client.create()
    assert await client.error("POST", "subscriptions", wanted(), **validate) == (409, "ALREADY_EXISTS")
    patched = await client.fine("PATCH", subscription["name"], {"ttl": "60s"}, **validate)
    assert patched["response"]["expireTime"] < subscription["expireTime"]
    assert (await client.fine("DELETE", subscription["name"], **validate))["response"] == EMPTY
    assert await client.fine("GET", subscription["name"]) == subscription


@VERSIONS
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "operations/unknown"),
        ("GET", "operations/un/known"),
        ("GET", "subscriptions/unknown"),
        ("PATCH", "subscriptions/unknown"),
        ("DELETE", "subscriptions/unknown"),
        ("POST", "subscriptions/unknown:reactivate"),
        ("POST", "subscriptions/unknown:activate"),
        ("DELETE", "operations/unknown"),
        ("PUT", "subscriptions"),
        ("GET", "operations"),
        ("GET", "operations/"),
        ("GET", "other"),
        ("GET", "../v2/subscriptions"),
    ],
)
async def test_what_is_not_there_is_not_found(emulator: Emulator, version: str, method: str, path: str) -> None:
    assert await Client(emulator, version).error(method, path, {}) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body, query, ending",
    [
        ({"ttl": "60s"}, {}, None),
        ({"ttl": "60s"}, {"updateMask": "ttl"}, None),
        ({"ttl": "60s"}, {"updateMask": "*"}, None),
        ({"eventTypes": [DELETED]}, {"updateMask": "eventTypes"}, (400, "INVALID_ARGUMENT")),
        ({"ttl": "60s"}, {"updateMask": "ttl,targetResource"}, (400, "INVALID_ARGUMENT")),
        ({"ttl": "7d"}, {}, (400, "INVALID_ARGUMENT")),
        ({"ttl": "60s", "etag": "old"}, {}, (409, "ABORTED")),
    ],
)
async def test_a_patch_may_change_the_expiry_only(
    client: Client, body: Json, query: dict[str, str], ending: tuple[int, str] | None
) -> None:
    before = await client.create()
    if ending is None:
        await client.fine("PATCH", before["name"], body, **query)
        assert (await client.fine("GET", before["name"]))["expireTime"] < before["expireTime"]
    else:
        assert await client.error("PATCH", before["name"], body, **query) == ending
        assert await client.fine("GET", before["name"]) == before


async def test_an_etag_is_good_until_the_next_change(client: Client) -> None:
    before = await client.create()
    await client.fine("PATCH", before["name"], {"ttl": "60s", "etag": before["etag"]})
    assert await client.error("PATCH", before["name"], {"ttl": "60s", "etag": before["etag"]}) == (409, "ABORTED")
    assert await client.error("DELETE", before["name"], etag=before["etag"]) == (409, "ABORTED")
    after = await client.fine("GET", before["name"])
    assert (await client.fine("DELETE", before["name"], etag=after["etag"]))["done"]


async def test_a_delete_may_allow_for_what_is_missing(client: Client) -> None:
    operation = await client.fine("DELETE", "subscriptions/unknown", allowMissing="true")
    assert (operation["done"], operation["response"]) == (True, EMPTY)
    assert await client.error("DELETE", "subscriptions/unknown", allowMissing="false") == (404, "NOT_FOUND")
    subscription = await client.create()
    assert await client.error("DELETE", subscription["name"], allowMissing="true", etag="old") == (409, "ABORTED")


@pytest.mark.parametrize(
    "query, found",
    [
        (f'event_types:"{CREATED}"', "AC"),
        (f'event_types:"{DELETED}"', "BC"),
        (f'event_types:"{CREATED}" OR event_types:"{DELETED}"', "ABC"),
        (f'event_types:"{DELETED}" AND target_resource="//chat.googleapis.com/spaces/B"', "B"),
        (f'event_types:"{CREATED}" AND target_resource = "//chat.googleapis.com/spaces/B"', ""),
        ('event_types:"google.workspace.drive.file.v3.created"', ""),
    ],
)
async def test_a_list_is_filtered(client: Client, query: str, found: str) -> None:
    for space, types in (("A", [CREATED]), ("B", [DELETED]), ("C", [CREATED, DELETED])):
        await client.create(f"//chat.googleapis.com/spaces/{space}", eventTypes=types)
    page = await client.fine("GET", "subscriptions", filter=query)
    assert [one["targetResource"][-1] for one in page.get("subscriptions", [])] == list(found)


@pytest.mark.parametrize("query", ["", 'target_resource="//chat.googleapis.com/spaces/A"', "event_types"])
async def test_a_list_without_an_event_type_is_refused(client: Client, query: str) -> None:
    assert await client.error("GET", "subscriptions", filter=query) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "size, sizes", [("", [50, 50, 3]), ("0", [50, 50, 3]), ("1000", [100, 3]), ("51", [51, 51, 1])]
)
async def test_a_list_comes_in_pages(client: Client, size: str, sizes: list[int]) -> None:
    made = [(await client.create(f"//chat.googleapis.com/spaces/{number}"))["name"] for number in range(103)]
    query = {"filter": f'event_types:"{CREATED}"', "pageSize": size}
    pages = [await client.fine("GET", "subscriptions", **query)]
    while "nextPageToken" in pages[-1]:
        pages.append(await client.fine("GET", "subscriptions", pageToken=pages[-1]["nextPageToken"], **query))
    assert [len(page["subscriptions"]) for page in pages] == sizes
    assert [one["name"] for page in pages for one in page["subscriptions"]] == made


@pytest.mark.parametrize("query", [{"pageSize": "-1"}, {"pageSize": "ten"}, {"pageToken": "x"}, {"pageToken": "-1"}])
async def test_a_page_that_makes_no_sense_is_refused(client: Client, query: dict[str, str]) -> None:
    query = {"filter": f'event_types:"{CREATED}"', **query}
    assert await client.error("GET", "subscriptions", **query) == (400, "INVALID_ARGUMENT")


# Operations by script.


async def test_an_operation_ends_when_its_time_is_over(emulator: Emulator, client: Client) -> None:
    name = emulator.add_operation(duration=10, response={"n": 1})
    await asyncio.sleep(9.9)
    assert await client.fine("GET", name) == {"name": name, "metadata": {}}
    await asyncio.sleep(0.1)
    for _ in range(2):
        assert await client.fine("GET", name) == {"name": name, "metadata": {}, "done": True, "response": {"n": 1}}
    assert emulator.polls(name) == 3


@pytest.mark.parametrize(
    "ending, shown",
    [
        ({}, {}),
        ({"response": {}}, {"response": {}}),
        ({"error": Code.ABORTED}, {"error": {"code": 10, "message": "scripted ABORTED"}}),
        ({"error": {"code": 99, "message": "odd"}}, {"error": {"code": 99, "message": "odd"}}),
        ({"error": {"code": 0}}, {"error": {"code": 0}}),
    ],
)
async def test_an_operation_ends_as_it_is_scripted(
    emulator: Emulator, client: Client, ending: Json, shown: Json
) -> None:
    name = emulator.add_operation(**ending)
    assert await client.fine("GET", name) == {"name": name, "metadata": {}, "done": True, **shown}


async def test_an_operation_without_a_duration_never_ends(emulator: Emulator, client: Client) -> None:
    name = emulator.add_operation(duration=None)
    await asyncio.sleep(10_000)
    assert "done" not in await client.fine("GET", name)


@pytest.mark.parametrize("polls", [0, 1, 3])
async def test_an_operation_is_found_running_as_often_as_scripted(
    emulator: Emulator, client: Client, polls: int
) -> None:
    name = emulator.add_operation(polls=polls)
    await asyncio.sleep(100)
    found = [(await client.fine("GET", name)).get("done", False) for _ in range(polls + 2)]
    assert found == [False] * polls + [True, True]


async def test_polls_are_counted_from_the_first_poll_on(emulator: Emulator, client: Client) -> None:
    emulator.plan(Script(polls=1, metadata=[{"n": 1}, {"n": 2}]))
    name = (await client.fine("POST", "subscriptions", wanted()))["name"]
    polls = [await client.fine("GET", name) for _ in range(2)]
    assert [(poll.get("done", False), poll["metadata"]) for poll in polls] == [(False, {"n": 1}), (True, {"n": 2})]


@pytest.mark.parametrize(
    "fault", [HttpError(), RawReply(b"oops", status=500), HtmlPage(), Reset(), Truncated()], ids=repr
)
async def test_a_faulty_poll_is_no_clean_one(emulator: Emulator, client: Client, fault: Any) -> None:
    name = emulator.add_operation(polls=2, metadata=[{"n": 1}, {"n": 2}, {"n": 3}], faults=[fault])
    with contextlib.suppress(aiohttp.ClientError):
        await _raw(emulator, name)
    polls = [await client.fine("GET", name) for _ in range(3)]
    assert [poll.get("done", False) for poll in polls] == [False, False, True]
    assert [poll["metadata"] for poll in polls] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_planned_response_is_what_the_request_ends_with(emulator: Emulator, client: Client) -> None:
    emulator.plan(Script(response={"n": 1}))
    assert (await client.fine("POST", "subscriptions", wanted()))["response"] == {"n": 1}


@pytest.mark.behaviour("B9")
async def test_each_poll_shows_the_next_metadata_and_then_the_last(emulator: Emulator, client: Client) -> None:
    many = emulator.add_operation(duration=None, metadata=[{"n": 1}, {"n": 2}, {"n": 3}])
    one = emulator.add_operation(duration=None, metadata={"n": 1})
    assert [(await client.fine("GET", many))["metadata"]["n"] for _ in range(5)] == [1, 2, 3, 3, 3]
    assert [(await client.fine("GET", one))["metadata"]["n"] for _ in range(2)] == [1, 1]


async def test_scripts_go_to_requests_in_order(emulator: Emulator, client: Client) -> None:
    emulator.plan(Script(error=Code.ABORTED), Script(error=Code.INTERNAL))
    emulator.plan(Script(error=Code.DATA_LOSS))
    ended = [await client.fine("POST", "subscriptions", wanted()) for _ in range(4)]
    assert [one.get("error", {}).get("code") for one in ended] == [10, 13, 15, None]


async def test_there_is_one_operation_of_a_name(emulator: Emulator) -> None:
    assert emulator.add_operation("operations/abc") == "operations/abc"
    with pytest.raises(ValueError, match="operations/abc already"):
        emulator.add_operation("operations/abc")
    assert list(emulator.operations) == ["operations/abc"]


@pytest.mark.parametrize(
    "name, path",
    [
        ("operations/a/b", "operations/a/b"),
        ("operations/a b", "operations/a%20b"),
        ("operations/a=b:c", "operations/a%3Db%3Ac"),
        ("operations/a+b", "operations/a+b"),
        ("operations/50%", "operations/50%25"),
        ("operations/größe", "operations/gr%C3%B6%C3%9Fe"),
    ],
)
async def test_a_name_is_found_by_its_encoded_path(emulator: Emulator, client: Client, name: str, path: str) -> None:
    emulator.add_operation(name)
    assert (await client.fine("GET", path))["name"] == name
    assert emulator.polls(name) == 1
    assert emulator.requests[-1].path == f"/v1beta/{path}"


async def test_every_request_is_recorded_as_it_came(emulator: Emulator, client: Client) -> None:
    began = asyncio.get_running_loop().time()
    await client.send("GET", "operations/a%20b", query={"alt": "json"})
    await asyncio.sleep(30)
    await client.send("POST", "other", {})
    first, second = emulator.requests
    assert (first.method, first.path, first.query) == ("GET", "/v1beta/operations/a%20b", "alt=json")
    assert (second.method, second.path, second.query) == ("POST", "/v1beta/other", "")
    assert first.headers["host"] == emulator.origin.removeprefix("http://")
    assert [first.time - began, second.time - began] == pytest.approx([0, 30], abs=0.01)


@pytest.mark.parametrize(
    "keep, kept", [(None, ["a", "b", "c", "d"]), (9, ["a", "b", "c", "d"]), (2, ["c", "d"]), (1, ["d"]), (0, [])]
)
async def test_the_last_requests_are_kept_and_all_are_counted(keep: int | None, kept: list[str]) -> None:
    async with Emulator(keep_requests=keep) as emulator:
        for letter in "abcd":
            await _raw(emulator, letter)
        assert [request.path for request in emulator.requests] == [f"/v1beta/{letter}" for letter in kept]
        assert emulator.request_count == 4


@pytest.mark.parametrize("keep", [-1, 1.5, True, "all"])
def test_a_number_of_requests_that_is_none_is_refused(keep: Any) -> None:
    with pytest.raises(ValueError, match="keep_requests must be a whole number, 0 or more, not"):
        Emulator(keep_requests=keep)


# Cancelling, which other services have.


async def test_workspace_events_cancels_nothing(emulator: Emulator, client: Client) -> None:
    name = emulator.add_operation(duration=None)
    assert await client.error("POST", f"{name}:cancel", {}) == (404, "NOT_FOUND")
    assert "done" not in await client.fine("GET", name)


@pytest.mark.behaviour("B20")
async def test_a_service_that_cancels_ends_an_operation_with_cancelled() -> None:
    async with Emulator(cancellable=True) as emulator:
        client = Client(emulator)
        name = emulator.add_operation("operations/a/b", duration=None, metadata={"n": 1})
        ended = emulator.add_operation(response={"n": 1})
        overdue = emulator.add_operation(duration=5, response={"n": 1})
        counted = emulator.add_operation(polls=0, response={"n": 1})
        assert (await client.fine("GET", counted))["response"] == {"n": 1}
        assert await client.fine("POST", f"{name}:cancel", {}) == {}
        cancelled = await client.fine("GET", name)
        assert cancelled.pop("error")["code"] == Code.CANCELLED
        assert cancelled == {"name": name, "metadata": {"n": 1}, "done": True}
        await asyncio.sleep(5)
        for late in (ended, overdue, counted):
            assert await client.fine("POST", f"{late}:cancel", {}) == {}
            assert (await client.fine("GET", late))["response"] == {"n": 1}
        assert await client.error("POST", "operations/unknown:cancel", {}) == (404, "NOT_FOUND")


async def test_a_cancelled_request_changes_nothing_and_frees_its_target() -> None:
    async with Emulator(cancellable=True) as emulator:
        client = Client(emulator)
        emulator.plan(Script(duration=5))
        operation = await client.fine("POST", "subscriptions", wanted())
        await client.fine("POST", f"{operation['name']}:cancel", {})
        await asyncio.sleep(6)
        assert await client.fine("GET", "subscriptions", filter=f'event_types:"{CREATED}"') == {}
        assert await client.create()


# Faults.


async def _raw(emulator: Emulator, name: str) -> tuple[int, Mapping[str, str], bytes]:
    async with plain_session() as session, session.get(f"{emulator.origin}/v1beta/{name}") as response:
        return response.status, response.headers, await response.read()


@pytest.mark.parametrize(
    "status, code",
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
async def test_an_http_error_has_the_form_of_aip_193(emulator: Emulator, status: int, code: str) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]
    name = emulator.add_operation(
        faults=[HttpError(status), HttpError(status, retry_after=7, message="busy", details=details)]
    )
    given, headers, body = await _raw(emulator, name)
    assert (given, headers.get("Retry-After")) == (status, None)
    assert json.loads(body) == {"error": {"code": status, "message": "scripted fault", "status": code}}
    given, headers, body = await _raw(emulator, name)
    assert (given, headers["Retry-After"]) == (status, "7")
    assert json.loads(body) == {"error": {"code": status, "message": "busy", "status": code, "details": details}}


@pytest.mark.parametrize(
    "fault, error",
    [
        (Reset(), (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)),
        (Truncated(), aiohttp.ClientPayloadError),
    ],
)
async def test_a_connection_that_breaks_is_an_error(emulator: Emulator, fault: Any, error: Any) -> None:
    name = emulator.add_operation(faults=[fault])
    with pytest.raises(error):
        await _raw(emulator, name)
    assert emulator.polls(name) == 1


async def test_a_truncated_reply_begins_as_a_clean_one(emulator: Emulator) -> None:
    name = emulator.add_operation(faults=[Truncated()])
    async with plain_session() as session, session.get(f"{emulator.origin}/v1/{name}") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert (await response.content.readany()).startswith(b'{"name":')


@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_of_html_comes_with_any_status(emulator: Emulator, status: int) -> None:
    given, headers, body = await _raw(emulator, emulator.add_operation(faults=[HtmlPage(status)]))
    assert given == status
    assert headers["Content-Type"].startswith("text/html")
    assert body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "fault, seconds",
    [
        (Trickle(0.5), lambda body: 0.5 * len(body)),
        (Delay(20), lambda body: 20),
        (None, lambda body: 0),
    ],
)
async def test_a_slow_reply_is_a_clean_one_in_the_end(
    emulator: Emulator, fault: Any, seconds: Callable[[bytes], float]
) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[fault])
    loop = asyncio.get_running_loop()
    began = loop.time()
    status, _, body = await _raw(emulator, name)
    assert loop.time() - began == pytest.approx(seconds(body), abs=0.6)
    assert status == 200
    assert json.loads(body) == {"name": name, "metadata": {}, "done": True, "response": {"n": 1}}


async def test_a_hanging_poll_lasts_as_long_as_its_client(emulator: Emulator) -> None:
    name = emulator.add_operation(faults=[Hang()])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await _raw(emulator, name)


@pytest.mark.parametrize("number", range(len(FAULTS)))
async def test_a_fault_that_may_be_drawn_is_survived(emulator: Emulator, number: int) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[FAULTS[number](random.Random(0))])
    async with emulator.poller() as poller:
        assert await poller.submit(name) == {"n": 1}


async def test_whoever_hangs_up_leaves_nothing_of_a_hanging_poll(emulator: Emulator) -> None:
    before = asyncio.all_tasks()
    name = emulator.add_operation(faults=[Hang()])
    async with aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.get(f"{emulator.origin}/v1/{name}"))
        while not emulator.requests:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == before


def test_what_is_planned_is_a_script() -> None:
    with pytest.raises(TypeError, match="a script must be a Script"):
        Emulator().plan({"duration": 5})  # type: ignore[arg-type]


async def test_an_emulator_stops_while_a_poll_hangs() -> None:
    async with Emulator() as emulator:
        name = emulator.add_operation(faults=[Hang()])
        polling = asyncio.ensure_future(_raw(emulator, name))
        while not emulator.requests:
            await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.ClientError):
        await polling


async def test_a_wrong_name_is_all_that_is_wrong(emulator: Emulator, client: Client) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[WrongName(), WrongName("operations/mine")])
    clean = {"metadata": {}, "done": True, "response": {"n": 1}}
    assert await client.fine("GET", name) == {"name": "operations/somebody-elses", **clean}
    assert await client.fine("GET", name) == {"name": "operations/mine", **clean}
    assert await client.fine("GET", name) == {"name": name, **clean}


async def test_a_raw_reply_is_what_it_says(emulator: Emulator) -> None:
    name = emulator.add_operation(faults=[RawReply(b"\x00", 418, {"X-Odd": "yes", "Content-Type": "odd/type"})])
    status, headers, body = await _raw(emulator, name)
    assert (status, headers["X-Odd"], headers["Content-Type"], body) == (418, "yes", "odd/type", b"\x00")


async def test_a_fault_spoils_one_answer_and_never_the_operation(emulator: Emulator, client: Client) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[HttpError(503), None, HttpError(404)])
    statuses = [(await _raw(emulator, name))[0] for _ in range(5)]
    assert statuses == [503, 200, 404, 200, 200]
    assert (await client.fine("GET", name))["response"] == {"n": 1}
    assert emulator.polls(name) == 6


@pytest.mark.parametrize(
    "fault",
    [
        HttpError(),
        HtmlPage(),
        Truncated(),
        WrongName(),
        Delay(),
        Trickle(0.01),
        Hang(),
        pytest.param(Reset(), marks=pytest.mark.xfail(strict=True, reason="aiohttp repeats a GET by itself")),
    ],
    ids=repr,
)
async def test_a_poller_and_the_emulator_count_the_same_polls(
    emulator: Emulator, poller: OperationPoller, fault: Any
) -> None:
    name = emulator.add_operation(response={"n": 1}, faults=[fault, fault])
    future = poller.submit(name)
    assert await future == {"n": 1}
    assert future.polls == emulator.polls(name)


# Chance.


async def _look(emulator: Emulator, name: str) -> str:
    """What one poll comes to, in words."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        status, headers, body = await _raw(emulator, name)
    except aiohttp.ClientError as error:
        return "truncated" if isinstance(error, aiohttp.ClientPayloadError) else "reset"
    if headers["Content-Type"] == "text/html; charset=utf-8":
        return "html"
    reply = json.loads(body)
    wrong = ", wrong name" if reply.get("name", name) != name else ""
    return f"{status} {headers.get('Retry-After')} after {loop.time() - began:.2f} s{wrong}"


async def _draws(seed: int, order: Callable[[list[str]], list[str]]) -> tuple[list[Any], dict[str, list[str]]]:
    """What a seed comes to: how each operation ends, and what its polls meet when they come in some order."""
    async with Emulator(seed=seed, duration=60, error_rate=0.5, fault_rate=0.7) as emulator:
        client = Client(emulator)
        for number in range(12):
            await client.fine("POST", "subscriptions", wanted(targetResource=f"//chat.googleapis.com/spaces/{number}"))
        scripts = [(name, operation.script) for name, operation in emulator.operations.items()]
        faults: dict[str, list[str]] = {name: [] for name in emulator.operations}
        for name in order(list(emulator.operations) * 5):
            faults[name].append(await _look(emulator, name))
    return scripts, faults


async def test_what_a_seed_draws_does_not_depend_on_who_polls_first() -> None:
    scripts, faults = await _draws(7, list)
    again, backwards = await _draws(7, lambda names: names[::-1])
    _, sorted_ = await _draws(7, sorted)
    assert scripts == again
    assert faults == backwards == sorted_
    kinds = {fault for met in faults.values() for fault in met}
    assert {"reset", "truncated", "html", "503 1 after 0.00 s"} <= kinds
    assert {bool(script.error) for _, script in scripts} == {True, False}


async def test_another_seed_draws_something_else() -> None:
    first, second = await _draws(7, list), await _draws(8, list)
    assert {name for name, _ in first[0]}.isdisjoint(name for name, _ in second[0])
    assert [script for _, script in first[0]] != [script for _, script in second[0]]
    assert list(first[1].values()) != list(second[1].values())


@pytest.mark.parametrize("rate", [0, 1])
async def test_a_rate_of_none_or_all_leaves_nothing_to_chance(rate: int) -> None:
    async with Emulator(error_rate=rate, fault_rate=rate) as emulator:
        client = Client(emulator)
        created = [
            await client.fine("POST", "subscriptions", wanted(targetResource=f"//chat.googleapis.com/spaces/{n}"))
            for n in range(20)
        ]
        assert all(operation["done"] and ("error" in operation) == bool(rate) for operation in created)
        looks = [await _look(emulator, operation["name"]) for operation in created]
        assert (set(looks) == {"200 None after 0.00 s"}) is not bool(rate)
        if rate:
            assert "200 None after 0.00 s" not in looks


async def test_durations_scatter_around_their_median() -> None:
    async with Emulator(duration=100) as emulator:
        client = Client(emulator)
        for number in range(200):
            await client.fine("POST", "subscriptions", wanted(targetResource=f"//chat.googleapis.com/spaces/{number}"))
        drawn = sorted(operation.script.duration or 0 for operation in emulator.operations.values())
    assert 85 < drawn[100] < 115
    assert sum(50 < duration < 200 for duration in drawn) > 150


@pytest.mark.parametrize(
    "options",
    [
        {"error_rate": 1.01},
        {"error_rate": -0.1},
        {"fault_rate": 2},
        {"fault_rate": math.nan},
        {"duration": -1},
        {"duration": math.inf},
        {"duration": math.nan},
    ],
)
def test_chances_out_of_range_are_refused(options: dict[str, float]) -> None:
    (name,) = options
    for make in (Emulator, Chance):
        with pytest.raises(ValueError, match=name):
            make(**options)  # type: ignore[arg-type]


# Starting and stopping.


def _get(origin: str, path: str) -> tuple[int, Any]:
    """A GET by a client that blocks."""
    connection = http.client.HTTPConnection(origin.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.load(response)


def test_a_service_with_a_dialect_needs_to_be_written_in_it() -> None:
    service = dataclasses.replace(WORKSPACE_EVENTS, dialect=lambda name, body: Operation(name, True, None, body))
    with pytest.raises(ValueError, match="workspaceevents:v1beta has a dialect: pass render="):
        Emulator(service)
    with pytest.raises(TypeError, match="render must be a function, not 'json'"):
        Emulator(render="json")  # type: ignore[arg-type]


def test_an_operation_ends_with_a_response_or_an_error() -> None:
    with pytest.raises(ValueError, match="give either a response or an error"):
        Script(response={}, error=Code.NOT_FOUND)


def test_in_a_with_block_it_serves_code_that_blocks() -> None:
    before = threading.enumerate()
    with Emulator() as emulator:
        origin = emulator.origin
        name = emulator.add_operation(polls=1, response={"n": 1})
        assert "done" not in _get(origin, f"/v1/{name}")[1]
        assert _get(origin, f"/v1/{name}") == (
            200,
            {"name": name, "metadata": {}, "done": True, "response": {"n": 1}},
        )
        assert emulator.polls(name) == 2
    assert threading.enumerate() == before
    with pytest.raises(ConnectionRefusedError):
        _get(origin, f"/v1/{name}")


async def test_in_an_async_with_block_it_serves_the_running_loop() -> None:
    before = threading.enumerate()
    async with Emulator() as emulator:
        name = emulator.add_operation()
        assert threading.enumerate() == before
        assert (await _raw(emulator, name))[0] == 200
        origin = emulator.origin
        assert repr(emulator) == f"<Emulator {origin}, 1 operation>"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{origin}/v1/{name}")


async def test_an_error_in_the_block_comes_out_of_it() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Emulator():
            raise ZeroDivisionError


def test_an_error_in_the_blocking_block_comes_out_of_it() -> None:
    before = threading.enumerate()
    with pytest.raises(ZeroDivisionError), Emulator():
        raise ZeroDivisionError
    assert threading.enumerate() == before


async def test_it_listens_where_it_is_told_once_the_port_is_free() -> None:
    async with Emulator() as first:
        port = URL(first.origin).port
        assert port
        with pytest.raises(OSError, match="in use"):
            async with Emulator(port=port):
                raise AssertionError("it cannot listen there")
        assert (await _raw(first, first.add_operation()))[0] == 200
    async with Emulator(port=port) as second:
        assert second.origin == f"http://127.0.0.1:{port}"


def test_a_port_that_is_taken_leaves_no_thread() -> None:
    with Emulator() as first:
        before = threading.enumerate()
        second = Emulator(port=URL(first.origin).port or 0)
        with pytest.raises(OSError, match="in use"):
            second.__enter__()
        left = set(threading.enumerate()) - set(before)
        second.__exit__(None, None, None)  # or a thread that is left hangs the interpreter
        assert not left


def test_before_it_listens_it_says_how_to_make_it() -> None:
    emulator = Emulator()
    uses: list[Any] = [lambda: emulator.origin, emulator.add_operation]
    for use in uses:
        with pytest.raises(RuntimeError, match="not listening: use it inside 'with' or 'async with'"):
            use()
    assert repr(emulator) == "<Emulator not listening, 0 operations>"


def test_after_it_stopped_it_has_no_origin() -> None:
    with Emulator() as emulator:
        pass
    with pytest.raises(RuntimeError, match="not listening"):
        _ = emulator.origin


def test_after_it_stopped_nothing_can_be_added() -> None:
    with Emulator() as emulator:
        pass
    with pytest.raises(RuntimeError, match="not listening"):
        emulator.add_operation()


@pytest.fixture
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of a server at 127.0.0.1 and of a client that trusts it."""
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusting)
    return server, trusting


async def test_with_a_certificate_it_serves_https(certified: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = certified
    async with Emulator(ssl_context=server) as emulator, aiohttp.ClientSession() as session:
        assert emulator.origin.startswith("https://127.0.0.1:")
        name = emulator.add_operation()
        async with session.get(f"{emulator.origin}/v1/{name}", ssl=trusting) as response:
            assert (await response.json())["done"]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"port": "x"}, "port must be"),
        ({"port": -1}, "port must be"),
        ({"port": 65536}, "port must be"),
        ({"quota": 5}, "quota must be a Quota"),
        ({"service": "workspaceevents:v1"}, "service must be a Service"),
        ({"ssl_context": True}, "ssl_context must be a SSLContext"),
        ({"duration": "2s"}, "duration must be"),
        ({"fault_rate": "x"}, "fault_rate must be"),
    ],
)
def test_an_emulator_is_not_made_of_what_it_could_not_use(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{said}"):
        Emulator(**options)


async def test_an_operation_shows_where_in_its_life_it_is(emulator: Emulator) -> None:
    name = emulator.add_operation(duration=None)
    assert repr(emulator.operations[name]) == f"<ScriptedOperation {name} running, 0 polls>"


@pytest.mark.parametrize("name", ["foo", "operations/", "operations//a", ""])
async def test_an_operation_that_no_poller_could_ask_for_is_refused(emulator: Emulator, name: str) -> None:
    with pytest.raises(InvalidOperationName):
        emulator.add_operation(name)


def test_help_shows_what_there_is() -> None:
    assert set(testing.__all__) <= set(dir(testing))
    assert "class Emulator" in pydoc.plain(pydoc.render_doc(testing))


# Other services.

JOBS = Service(
    "jobs",
    "v2",
    "https://jobs.example.com",
    names=NamePattern("projects/*/locations/*/operations/*"),
    cancellable=True,
    batch_path="/batch/jobs/v2",
)


async def test_it_has_the_operations_of_any_service() -> None:
    async with Emulator(JOBS) as emulator, emulator.poller() as poller:
        scripted = emulator.add_operation("projects/p/locations/l/operations/o", response={"n": 1})
        drawn = emulator.add_operation(duration=None)
        assert re.fullmatch("projects/emulated/locations/emulated/operations/[^/]+", drawn)
        assert await poller.submit(scripted) == {"n": 1}
        with pytest.raises(Cancelled):
            await poller.submit(drawn, deadline=5, at_deadline="cancel_and_wait")
        assert {request.path.split("/")[1] for request in emulator.requests} == {"v2"}
        with pytest.raises(InvalidOperationName, match="a name looks like projects/abc/locations/abc/operations/abc"):
            emulator.add_operation("operations/a")
        with pytest.raises(PollError, match="HTTP 404: NOT_FOUND: Operation projects/p/locations/l/operations/none"):
            await poller.get("projects/p/locations/l/operations/none")
        async with plain_session() as session:
            for path in ("/v2/subscriptions", "/v1/operations/a", "/v2/operations/a"):
                async with session.get(emulator.origin + path) as response:
                    assert (response.status, (await response.json())["error"]["message"]) == (404, f"{path} not found")


async def test_its_poller_looks_often_unless_it_is_told_otherwise(emulator: Emulator) -> None:
    async with emulator.poller() as often, emulator.poller(backoff=None, deadline=60) as seldom:
        future = often.submit(emulator.add_operation(duration=1))
        await future
        assert 1 <= future.elapsed < 1.1
        assert 15 <= future.polls <= 22
        other = seldom.submit(emulator.add_operation(duration=1))
        await other
        assert other.elapsed > 1.5
        assert other.deadline == pytest.approx(other.submitted + 60)


@pytest.mark.parametrize("cancellable", [False, True])
async def test_its_poller_cancels_where_it_can_be_cancelled(cancellable: bool) -> None:
    async with Emulator(cancellable=cancellable) as emulator, emulator.poller() as poller:
        name = emulator.add_operation(duration=None)
        if cancellable:
            await poller.cancel(name)
        else:
            with pytest.raises(ValueError, match=r"no operations\.cancel"):
                await poller.cancel(name)


@pytest.mark.parametrize(
    "template, name",
    [
        ("operations/**", "operations/[^/]{24}"),
        ("projects/*/operations/*", "projects/emulated/operations/[^/]{24}"),
        ("projects/*/regions/*/operation", "projects/emulated/regions/[^/]{24}/operation"),
    ],
)
async def test_a_name_it_makes_is_one_of_the_services(template: str, name: str) -> None:
    service = dataclasses.replace(JOBS, names=NamePattern(template), version="compute/v1")
    async with Emulator(service) as emulator, emulator.poller() as poller:
        made = [emulator.add_operation() for _ in range(3)]
        assert all(re.fullmatch(name, one) for one in made)
        assert [future.exception() for future in await poller.wait_all(made)] == [None] * 3
        assert {request.path.rpartition("/" + made[0].split("/")[0])[0] for request in emulator.requests} == {
            "/compute/v1"
        }


async def test_an_emulator_that_listens_is_not_started_again_and_goes_on() -> None:
    async with Emulator() as emulator:
        origin, name = emulator.origin, emulator.add_operation()
        with pytest.raises(RuntimeError, match=f"listening already, at {origin}"):
            await emulator.__aenter__()
        with pytest.raises(RuntimeError, match="listening already"):
            emulator.__enter__()
        async with emulator.poller() as poller:
            assert (await poller.get(name)).done
    assert list(emulator.operations) == [name]
