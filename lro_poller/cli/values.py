"""Values as people write them on a command line."""

from __future__ import annotations

import argparse
import math
import re

__all__ = ["parse_count", "parse_rate", "parse_seconds", "parse_share"]

_SPAN = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s?)?", re.ASCII)


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `1.5s`, `5m`, `1h30m`, `250ms`."""
    if millis := re.fullmatch(r"(\d{1,12})ms", text, re.ASCII):
        seconds = int(millis[1]) / 1000
    elif (span := _SPAN.fullmatch(text)) and text:
        hours, minutes, rest = span.groups(default="0")
        seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    else:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above zero; write 90, 90s, 5m or 1h30m")
    return seconds


def parse_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
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


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
