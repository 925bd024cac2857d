"""Values as people write them on a command line."""

from __future__ import annotations

import argparse
import math
import re

from ..services import Service, find

__all__ = [
    "parse_count",
    "parse_duration",
    "parse_port",
    "parse_rate",
    "parse_seconds",
    "parse_service",
    "parse_share",
]

_SPAN = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s?)?", re.ASCII)


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `1.5s`, `5m`, `1h30m`, `2d`, `250ms`, above zero."""
    seconds = _span(text)
    if not seconds > 0:
        what = "no time above zero" if seconds <= 0 else "not a time as it is read here"
        raise argparse.ArgumentTypeError(f"{text!r} is {what}; write 90, 90s, 1.5s, 250ms, 5m, 1h30m or 2d")
    return seconds


def parse_duration(text: str) -> float:
    """As `parse_seconds`, or 0."""
    seconds = _span(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 0, 500ms, 2s or 1m")
    return seconds


def parse_port(text: str) -> int:
    """A port, or 0 for a free one."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"there is no port {text}; write 0 to 65535")
    return int(text)


def parse_service(text: str) -> Service:
    """A service that is known by name."""
    try:
        return find(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(text)


def parse_rate(text: str) -> float:
    """A number above zero, or `inf`."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return value


def parse_share(text: str) -> float:
    """A number between 0 and 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 0 and 1")
    return value


def _span(text: str) -> float:
    """Seconds; NaN where `text` is no span of time."""
    if millis := re.fullmatch(r"(\d{1,12})ms", text, re.ASCII):
        return int(millis[1]) / 1000
    if not text or not (span := _SPAN.fullmatch(text)):
        return math.nan
    days, hours, minutes, rest = span.groups(default="0")
    return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
