"""The subscriptions of an emulated Workspace Events service.

Decides which requests are valid and what a subscription looks like, as the API's reference
says, for what its users trip over: required and malformed fields, duplicates, unknown names,
etags, states. It knows nothing of HTTP or time but what it is handed.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Mapping
from typing import Any

from ..status import Code

__all__ = ["ApiError", "Subscriptions"]

Json = dict[str, Any]

_LONGEST_TTL = datetime.timedelta(days=7)
_TARGET = re.compile(r"//[a-z]+\.googleapis\.com/.+")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
_EVENT_TYPE = re.compile(r"google\.workspace\.[a-zA-Z.]+\.v[0-9]\w*\.?[a-zA-Z.]*")
_MUTABLE = ("ttl", "expireTime", "expire_time")


class ApiError(Exception):
    """A request that is answered with a google.rpc.Status."""

    def __init__(self, code: Code, message: str, details: list[Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or []


class Subscriptions:
    """What exists, and what is about to."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._by_name: dict[str, Json] = {}
        self._reserved: dict[str, str] = {}  # target resource -> name of its subscription

    def prepare(self, body: Json, now: datetime.datetime) -> Json:
        """Checks a subscription to create, and makes it; `commit` lets it exist."""
        violations = [
            violation
            for field, fine, wrong in (
                ("targetResource", _TARGET, "must be a full resource name, such as //chat.googleapis.com/spaces/SPACE"),
                ("notificationEndpoint.pubsubTopic", _TOPIC, "must be projects/PROJECT/topics/TOPIC"),
            )
            for violation in _check(field, _field(body, field), fine, wrong)
        ]
        types = body.get("eventTypes")
        if not isinstance(types, list) or not types:
            violations.append(_violation("eventTypes", "is required: at least one"))
        else:
            for kind in types:
                violations += _check("eventTypes", kind, _EVENT_TYPE, f"{kind!r} is no event type")
        expires, wrong_ttl = _expiry(body, now)
        violations += wrong_ttl
        if violations:
            raise _invalid(violations)
        target = body["targetResource"]
        if target in self._reserved:
            raise ApiError(Code.ALREADY_EXISTS, f"Subscription for {target} already exists: {self._reserved[target]}")
        name = f"subscriptions/{self._dice.randbytes(12).hex()}"
        self._reserved[target] = name
        stamp = _timestamp(now)
        return {
            "name": name,
            "uid": name.rpartition("/")[2],
            "targetResource": target,
            "eventTypes": types,
            "notificationEndpoint": body["notificationEndpoint"],
            **({"payloadOptions": body["payloadOptions"]} if "payloadOptions" in body else {}),
            "state": "ACTIVE",
            "authority": "users/100000000000000000001",
            "createTime": stamp,
            "updateTime": stamp,
            "expireTime": _timestamp(expires),
            "etag": self._etag(),
        }

    def commit(self, subscription: Json) -> Json:
        """The subscription exists from now on."""
        self._by_name[subscription["name"]] = subscription
        return subscription

    def replace(self, subscription: Json) -> Json:
        """The subscription is so from now on, unless it was deleted in the meantime."""
        return self.commit(subscription) if subscription["name"] in self._by_name else subscription

    def forget(self, subscription: Json) -> None:
        """The subscription will not come to exist: its target is free again."""
        self._reserved.pop(subscription["targetResource"], None)

    def get(self, name: str, etag: str | None = None) -> Json:
        """An existing subscription; with `etag`, only in that state."""
        found = self._by_name.get(name)
        if found is None:
            raise ApiError(Code.NOT_FOUND, f"Subscription {name} not found")
        if etag and etag != found["etag"]:
            raise ApiError(Code.ABORTED, f"The etag of {name} does not match")
        return found

    def changed(self, body: Json, mask: str | None, now: datetime.datetime) -> Json:
        """Checks a patch; returns the subscription as it will be."""
        current = self.get(str(body.get("name", "")), body.get("etag"))
        fields = mask.split(",") if mask else [field for field in _MUTABLE if field in body]
        foreign = [field for field in fields if field not in _MUTABLE and field != "*"]
        if foreign:
            raise _invalid(
                [_violation("updateMask", f"{', '.join(foreign)} cannot be changed; ttl and expireTime can")]
            )
        expires, wrong = _expiry(body, now)
        if wrong:
            raise _invalid(wrong)
        return {**current, "expireTime": _timestamp(expires), "updateTime": _timestamp(now), "etag": self._etag()}

    def reactivated(self, name: str, now: datetime.datetime) -> Json:
        """Checks a reactivation; returns the subscription as it will be."""
        current = self.get(name)
        if current["state"] != "SUSPENDED":
            raise ApiError(Code.FAILED_PRECONDITION, f"Subscription {name} is not suspended")
        rest = {key: value for key, value in current.items() if key != "suspensionReason"}
        return {**rest, "state": "ACTIVE", "updateTime": _timestamp(now), "etag": self._etag()}

    def suspend(self, name: str, reason: str = "ENDPOINT_PERMISSION_DENIED") -> None:
        """Puts a subscription into the state that reactivate is for."""
        self.commit({**self.get(name), "state": "SUSPENDED", "suspensionReason": reason, "etag": self._etag()})

    def delete(self, name: str) -> None:
        """The subscription exists no more."""
        found = self._by_name.pop(name, None)
        if found is not None:
            self.forget(found)

    def list(self, query: Mapping[str, str]) -> Json:
        """One page of the subscriptions that a filter admits."""
        wanted = re.findall(r'event_types:\s*"([^"]+)"', query.get("filter", ""))
        if not wanted:
            raise _invalid([_violation("filter", 'must name an event type: event_types:"google.workspace.…"')])
        targets = re.findall(r'target_resource\s*=\s*"([^"]+)"', query["filter"])
        found = [
            one
            for one in self._by_name.values()
            if set(wanted) & set(one["eventTypes"]) and (not targets or one["targetResource"] in targets)
        ]
        start, size = _number(query, "pageToken", 0), _number(query, "pageSize", 0) or 50
        end = start + min(size, 100)
        page: Json = {"subscriptions": found[start:end]} if found else {}
        return {**page, "nextPageToken": str(end)} if end < len(found) else page

    def _etag(self) -> str:
        return f"etag-{self._dice.getrandbits(32):08x}"


def _field(body: Json, path: str) -> Any:
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _check(field: str, value: Any, pattern: re.Pattern[str], wrong: str) -> list[Json]:
    if value is None or value == "":
        return [_violation(field, "is required")]
    return [] if isinstance(value, str) and pattern.fullmatch(value) else [_violation(field, wrong)]


def _expiry(body: Json, now: datetime.datetime) -> tuple[datetime.datetime, list[Json]]:
    """When a subscription expires, from `ttl` or `expireTime`: after a week where neither says less."""
    ttl, until = body.get("ttl"), body.get("expireTime")
    latest = now + _LONGEST_TTL
    if ttl and until:
        return latest, [_violation("ttl", "cannot be set beside expireTime")]
    try:
        if ttl:
            seconds = float(re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", ttl)[1])  # type: ignore[index]
            return now + datetime.timedelta(seconds=seconds) if seconds else latest, _unfit("ttl", seconds)
        if until:
            when = datetime.datetime.fromisoformat(until)
            return when, _unfit("expireTime", (when - now).total_seconds())
    except (TypeError, ValueError):
        return latest, [_violation("ttl" if ttl else "expireTime", "is malformed")]
    return latest, []


def _unfit(field: str, seconds: float) -> list[Json]:
    if seconds < 0:
        return [_violation(field, "must lie in the future")]
    fits = seconds <= _LONGEST_TTL.total_seconds() + 60  # a minute for clocks that differ
    return [] if fits else [_violation(field, "must be 7 days at most")]


def _number(query: Mapping[str, str], key: str, default: int) -> int:
    try:
        value = int(query.get(key) or default)
    except ValueError:
        value = -1
    if value < 0:
        raise _invalid([_violation(key, "is malformed")])
    return value


def _violation(field: str, description: str) -> Json:
    return {"field": field, "description": description}


def _invalid(violations: list[Json]) -> ApiError:
    first = violations[0]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
    return ApiError(Code.INVALID_ARGUMENT, f"{first['field']} {first['description']}", details)


def _timestamp(when: datetime.datetime) -> str:
    """As the JSON of google.protobuf.Timestamp has it: with no digits of a fraction, or 3, or 6, as many as it takes."""
    digits = "milliseconds" if when.microsecond and when.microsecond % 1000 == 0 else "auto"
    return when.astimezone(datetime.UTC).isoformat(timespec=digits).replace("+00:00", "Z")
