"""Services: the paths, names, scopes and quotas of what there is to poll, as the API's own pages state them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import pytest

from lro_poller import OperationPoller
from lro_poller.errors import InvalidOperationName, PollError
from lro_poller.names import NamePattern
from lro_poller.operation import Operation
from lro_poller.services import SERVICES, WORKSPACE_EVENTS, WORKSPACE_EVENTS_V1, Quota, Service, find
from lro_poller.testing import Emulator

from .conftest import make_poller

AUTH = "https://www.googleapis.com/auth/"
EXAMPLE = Service("example", "v2", "https://example.com", scopes=("scope.a", "scope.b"))


@pytest.mark.parametrize(
    "text, service",
    [("workspaceevents:v1beta", WORKSPACE_EVENTS), ("workspaceevents:v1", WORKSPACE_EVENTS_V1)],
)
def test_a_service_is_found_by_its_text_and_by_itself(text: str, service: Service) -> None:
    assert find(text) is service
    assert find(service) is service
    assert service.id == text


def test_a_service_that_is_not_listed_is_taken_as_it_is() -> None:
    assert find(EXAMPLE) is EXAMPLE
    assert EXAMPLE.id not in SERVICES


@pytest.mark.parametrize("text", ["", "workspaceevents", "workspaceevents:v2", "WORKSPACEEVENTS:v1", "nothing"])
def test_an_unknown_text_is_refused_and_the_known_are_listed(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"known by name are 'workspaceevents:v1beta', 'workspaceevents:v1'; "
    ) as caught:
        find(text)
    assert repr(text) in str(caught.value)


def test_names_do_not_begin_with_the_version_that_stands_before_them() -> None:
    with pytest.raises(ValueError, match=r"'v2/projects/\*' comes after v2/"):
        Service("run", "v2", "https://run.googleapis.com", NamePattern("v2/projects/*"))


@pytest.mark.parametrize("part", ["name", "version"])
@pytest.mark.parametrize("word", ["r\u00fcn", "v\u0663", "a b", "-a", ""])
def test_a_name_and_a_version_are_words_in_ascii(part: str, word: str) -> None:
    changes: dict[str, Any] = {part: word}
    with pytest.raises(ValueError, match=f"{part} of a Service must be a word"):
        dataclasses.replace(EXAMPLE, **changes)


def test_a_service_shows_which_it_is_and_where() -> None:
    assert repr(EXAMPLE) == "<Service example:v2 at https://example.com>"


def test_a_quota_is_a_number_that_can_be_divided() -> None:
    assert Quota(10**15, 1).polls == 10**15
    with pytest.raises(ValueError, match="polls of a Quota must be a whole number, from 1 to 1000000000000000"):
        Quota(10**15 + 1, 1)


@pytest.mark.parametrize("scopes", [b"scope.a", None, 5])
def test_scopes_that_are_no_texts_are_a_type_error(scopes: Any) -> None:
    with pytest.raises(TypeError, match="scopes must be several texts"):
        EXAMPLE.check_scopes(scopes)


def test_scopes_may_be_a_list() -> None:
    service = Service("run", "v2", "https://run.googleapis.com", scopes=["a", "b"])  # type: ignore[arg-type]
    assert service.scopes == ("a", "b")
    assert hash(service)


@pytest.mark.parametrize("value", [None, 5, b"workspaceevents:v1", ["workspaceevents:v1"]])
def test_what_is_neither_text_nor_service_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="service must be a Service or a text"):
        find(value)


@pytest.mark.behaviour("B25")
@pytest.mark.parametrize(
    "service, name, path",
    [
        (WORKSPACE_EVENTS, "operations/abc", "/v1beta/operations/abc"),
        (WORKSPACE_EVENTS_V1, "operations/a/b", "/v1/operations/a/b"),
        (WORKSPACE_EVENTS, "operations/a=:ü 1%", "/v1beta/operations/a%3D%3A%C3%BC%201%25"),
        (EXAMPLE, "operations/abc", "/v2/operations/abc"),
    ],
)
async def test_the_path_of_a_poll_is_the_version_and_the_encoded_name(
    emulator: Emulator, service: Service, name: str, path: str
) -> None:
    emulator.add_operation(name)
    async with make_poller(emulator.origin, service=service) as poller:
        with contextlib.suppress(PollError):  # the emulator has no v2
            await poller.get(name)
    assert [request.path for request in emulator.requests] == [path]


def test_workspace_events_is_polled_where_its_reference_says() -> None:
    assert WORKSPACE_EVENTS.origin == WORKSPACE_EVENTS_V1.origin == "https://workspaceevents.googleapis.com"
    assert WORKSPACE_EVENTS.names == WORKSPACE_EVENTS_V1.names == NamePattern("operations/**")
    assert WORKSPACE_EVENTS.quota == WORKSPACE_EVENTS_V1.quota == Quota(600, 60)


@pytest.mark.behaviour("B17")
def test_the_scopes_of_v1beta_are_those_of_its_reference_page() -> None:
    listed = [
        "chat.bot",
        "chat.spaces",
        "chat.spaces.readonly",
        "chat.messages",
        "chat.messages.readonly",
        "chat.messages.reactions",
        "chat.messages.reactions.readonly",
        "chat.memberships",
        "chat.memberships.readonly",
        "meet.space.created",
        "meetings.space.created",
        "meetings.space.readonly",
        "drive",
        "drive.file",
        "drive.metadata",
        "drive.metadata.readonly",
        "drive.readonly",
    ]
    assert sorted(WORKSPACE_EVENTS.scopes) == sorted(AUTH + scope for scope in listed)


@pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
def test_every_scope_is_listed_once_and_allows_the_poll(service: Service) -> None:
    assert len(set(service.scopes)) == len(service.scopes)
    assert all(scope.startswith(AUTH) and ".app" not in scope for scope in service.scopes)


@pytest.mark.parametrize(
    "scopes, chosen",
    [
        ("scope.a", ("scope.a",)),
        (["scope.b"], ("scope.b",)),
        (("scope.a", "scope.b"), ("scope.a", "scope.b")),
        (iter(["scope.a"]), ("scope.a",)),
    ],
)
def test_scopes_that_allow_the_poll_are_taken(scopes: Any, chosen: tuple[str, ...]) -> None:
    assert EXAMPLE.check_scopes(scopes) == chosen


@pytest.mark.behaviour("B17")
@pytest.mark.parametrize(
    "scopes, named",
    [
        ("scope.c", "'scope.c' does not allow"),
        (["scope.a", "scope.c", "x"], "'scope.c', 'x' do not allow"),
        ([], "an empty list of scopes does not allow"),
        ("", "'' does not allow"),
    ],
)
def test_scopes_that_do_not_allow_the_poll_are_refused_and_those_that_do_are_listed(scopes: Any, named: str) -> None:
    with pytest.raises(ValueError, match=r"example:v2; any one of these does: scope\.a, scope\.b$") as caught:
        EXAMPLE.check_scopes(scopes)
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize(
    "polls, seconds, part",
    [
        (0, 60, "polls"),
        (-1, 60, "polls"),
        (1.5, 60, "polls"),
        (True, 60, "polls"),
        ("600", 60, "polls"),
        (math.nan, 60, "polls"),
        (1, 0, "seconds"),
        (1, -1, "seconds"),
        (1, math.inf, "seconds"),
        (1, math.nan, "seconds"),
        (1, None, "seconds"),
    ],
)
def test_a_quota_that_allows_nothing_or_is_none_is_refused(polls: Any, seconds: Any, part: str) -> None:
    with pytest.raises(ValueError, match=f"{part} of a Quota must be"):
        Quota(polls, seconds)


@pytest.mark.behaviour("B23")
@pytest.mark.parametrize("origin", ["https://EXAMPLE.com", "https://example.com:443", "https://example.com/"])
def test_however_its_origin_is_written_its_quota_holds(origin: str) -> None:
    service = Service("example", "v1", origin, quota=Quota(600, 60))
    assert service.origin == "https://example.com"
    for endpoint in (None, "https://example.com", origin):
        assert OperationPoller(service, endpoint=endpoint).budget.max_rate == 9.5


def test_a_template_is_a_text() -> None:
    with pytest.raises(TypeError, match="a path template is a text, not 5"):
        NamePattern(5)  # type: ignore[arg-type]


def test_a_service_says_which_names_it_has() -> None:
    service = Service("example", "v1", "https://example.com", names=NamePattern("projects/*/operations/*"))
    assert service.names.check("projects/p/operations/a") == "projects/p/operations/a"
    with pytest.raises(InvalidOperationName):
        service.names.check("operations/a")


def test_a_service_reads_replies_as_aip_151_says_unless_told_otherwise() -> None:
    assert EXAMPLE.dialect("operations/a", b'{"done": true}') == Operation(
        "operations/a", True, None, b'{"done": true}'
    )


def test_a_service_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EXAMPLE.origin = "https://evil.example"  # type: ignore[misc]


@pytest.mark.behaviour("B19")
@pytest.mark.parametrize(
    "part, value",
    [
        ("name", 5),
        ("version", 1),
        ("origin", None),
        ("names", "operations/**"),
        ("scopes", "https://www.googleapis.com/auth/cloud-platform"),
        ("quota", 600),
        ("cancellable", "no"),
        ("cancellable", 1),
        ("scopes", (1,)),
        ("not_found_grace", "5"),
        ("not_found_grace", True),
        ("dialect", 5),
        ("batch_path", 5),
    ],
)
def test_a_part_of_a_wrong_kind_is_named_where_the_service_is_made(part: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{part.removesuffix('s')}.* of a Service must be"):
        dataclasses.replace(EXAMPLE, **{part: value})


@pytest.mark.parametrize(
    "part, value",
    [
        *[(part, value) for part in ("name", "version") for value in ("", "/v1/", "a b", "a:b", "..")],
        *[("origin", value) for value in ("example.com", "https://example.com/v1", "")],
        *[("not_found_grace", value) for value in (-1, math.nan, math.inf)],
        *[("batch_path", value) for value in ("batch", "")],
    ],
)
def test_a_part_that_is_none_is_refused_and_named(part: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{part} of a Service"):
        dataclasses.replace(EXAMPLE, **{part: value})
