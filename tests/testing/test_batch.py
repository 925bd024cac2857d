"""The emulator's batch path, as Google's own client and a plain one meet it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, discovery_cache
from googleapiclient.errors import HttpError as RefusedByGoogle

from lro_poller import WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1
from lro_poller.testing import Emulator, HttpError, RawReply, Script, Trickle, WrongName
from lro_poller.transports.multipart import Message, by_content_id, find_boundary, split, write

SUBSCRIPTION = {
    "targetResource": "//chat.googleapis.com/spaces/A",
    "eventTypes": ["google.workspace.chat.message.v1.created"],
    "notificationEndpoint": {"pubsubTopic": "projects/p/topics/t"},
}


@pytest.fixture
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def client(served: Emulator) -> Iterator[Any]:
    """Google's discovery client of v1, whose batches go to the emulator."""
    document = {**workspace_events(), "rootUrl": served.origin + "/"}
    with discovery.build_from_document(document, credentials=AnonymousCredentials()) as service:
        yield service


def workspace_events() -> dict[str, Any]:
    file = Path(discovery_cache.__file__).parent / "documents" / "workspaceevents.v1.json"
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def executed(client: Any, requests: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What Google's client makes of a batch: the response and the error of each request, by its id."""
    outcomes: dict[str, tuple[Any, Any]] = {}
    batch = client.new_batch_http_request(callback=lambda name, *outcome: outcomes.update({name: outcome}))
    for name, request in requests.items():
        batch.add(request, request_id=name)
    batch.execute()
    return outcomes


@pytest.mark.parametrize("service", [WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1], ids=lambda service: service.id)
def test_the_batch_path_is_that_of_the_discovery_document(service: Any) -> None:
    assert service.batch_path == "/" + workspace_events()["batchPath"]


def test_googles_client_polls_many_in_one_request(served: Emulator, client: Any) -> None:
    names = [served.add_operation(polls=1, response={"n": number}) for number in range(20)]
    polls = {f"id {number}": client.operations().get(name=name) for number, name in enumerate(names)}
    assert [response.get("done") for response, _ in executed(client, polls).values()] == [None] * 20
    outcomes = executed(client, polls)
    assert {name: response["response"] for name, (response, _) in outcomes.items()} == {
        f"id {number}": {"n": number} for number in range(20)
    }
    assert [request.path for request in served.requests].count("/batch") == 2
    assert all(served.polls(name) == 2 for name in names)


def test_a_long_id_is_folded_by_googles_client_and_comes_back(served: Emulator, client: Any) -> None:
    name = "a long id " * 20
    assert list(executed(client, {name: client.operations().get(name=served.add_operation())})) == [name]


def test_googles_client_sends_other_requests_in_a_batch(served: Emulator, client: Any) -> None:
    served.plan(Script(polls=1))
    ((operation, error),) = executed(client, {"a": client.subscriptions().create(body=SUBSCRIPTION)}).values()
    assert error is None
    assert "done" not in operation
    ended = client.operations().get(name=operation["name"]).execute()
    ended = client.operations().get(name=operation["name"]).execute()
    assert ended["response"]["targetResource"] == SUBSCRIPTION["targetResource"]


def test_each_part_meets_the_faults_of_its_own_operation(served: Emulator, client: Any) -> None:
    faults = {
        "fine": None,
        "busy": HttpError(429, retry_after=3),
        "refused": HttpError(403),
        "renamed": WrongName(),
        "slow": Trickle(0.001),
        "raw": RawReply(b'{"x": 1}', 202),
    }
    polls = {name: client.operations().get(name=served.add_operation(faults=[fault])) for name, fault in faults.items()}
    polls["unknown"] = client.operations().get(name="operations/unknown")
    outcomes = executed(client, polls)
    refusals = {name: error for name, (_, error) in outcomes.items() if error is not None}
    assert {name: error.status_code for name, error in refusals.items()} == {
        "busy": 429,
        "refused": 403,
        "unknown": 404,
    }
    assert refusals["busy"].resp["retry-after"] == "3"
    assert outcomes["fine"][0]["done"]
    assert outcomes["slow"][0]["done"]
    assert outcomes["renamed"][0]["name"] == "operations/somebody-elses"
    assert outcomes["raw"][0] == {"x": 1}


def test_more_than_a_hundred_are_refused(served: Emulator, client: Any) -> None:
    poll = client.operations().get(name=served.add_operation())
    assert len(executed(client, {str(number): poll for number in range(100)})) == 100
    with pytest.raises(RefusedByGoogle, match="between 1 and 100 parts, not 101"):
        executed(client, {str(number): poll for number in range(101)})


async def post(emulator: Emulator, body: bytes, **fields: str) -> tuple[int, Any]:
    """The status of the answer, and its parts, or its error."""
    headers = {"Content-Type": "multipart/mixed; boundary=b", **fields}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{emulator.origin}/batch", data=body, headers=headers) as answer,
    ):
        if answer.status != 200:
            return answer.status, (await answer.json())["error"]
        boundary = find_boundary(answer.headers["Content-Type"])
        assert boundary is not None
        return 200, by_content_id(split(await answer.read(), boundary))


async def test_the_fields_of_the_batch_hold_for_each_part_unless_it_says_otherwise(emulator: Emulator) -> None:
    name = emulator.add_operation()
    parts = [
        ("<a>", f"GET /v1/{name}?x=y HTTP/1.1\r\n\r\n".encode()),
        ("<b>", f"GET /v1/{name} HTTP/1.1\r\nauthorization: mine\r\n\r\n".encode()),
    ]
    status, contents = await post(emulator, write(b"b", parts), Authorization="everybody's")
    assert (status, list(contents)) == (200, ["<response-a>", "<response-b>"])
    assert [Message.read(content).start for content in contents.values()] == [b"HTTP/1.1 200 OK\r"] * 2
    outer, *inner = emulator.requests
    assert outer.path == "/batch"
    assert sorted(request.headers["Authorization"] for request in inner) == ["everybody's", "mine"]
    assert not any("multipart" in request.headers.get("Content-Type", "") for request in inner)
    assert {request.query for request in inner} == {"x=y", ""}


GET = b"GET /v1/operations/a HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "body, fields, why",
    [
        (write(b"b", [("<a>", GET)]), {"Content-Type": "application/json"}, "not multipart/mixed"),
        (write(b"c", [("<a>", GET)]), {}, "between 1 and 100"),
        (write(b"b", []), {}, "between 1 and 100"),
        (b"", {}, "between 1 and 100"),
        (write(b"b", [("", GET)]), {}, "Content-ID"),
        (write(b"b", [("<a>", b"GET /v1/operations/a HTTP/1.1")]), {}, "no empty line"),
        (write(b"b", [("<a>", b"GET https://example.com/ HTTP/1.1\r\n\r\n")]), {}, "no HTTP request to a path"),
        (write(b"b", [("<a>", b"HTTP/1.1 200 OK\r\n\r\n")]), {}, "no HTTP request to a path"),
        (write(b"b", [("<a>", b"G3T /v1/operations/a HTTP/1.1\r\n\r\n")]), {}, "no HTTP request to a path"),
        (write(b"b", [("<a>", b"GET /v1/operations/a now\r\n\r\n")]), {}, "no HTTP request to a path"),
        (write(b"b", [("<a>", b"POST /batch?x HTTP/1.1\r\n\r\n")]), {}, "a batch within a batch"),
    ],
)
async def test_a_batch_that_cannot_be_read(emulator: Emulator, body: bytes, fields: dict[str, str], why: str) -> None:
    status, error = await post(emulator, body, **fields)
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert why in error["message"]
