"""The peers' schedules, as their sources have them."""

from __future__ import annotations

import itertools
import random

import pytest

from benchmarks.cadence.peers import PEERS, Jitter, Peer

BY_NAME = {peer.name: peer for peer in PEERS}


def waits(peer: Peer, count: int, dice: random.Random | None = None) -> list[float]:
    return list(itertools.islice(peer.waits(dice or random.Random(0)), count))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Rust", [1, 2, 4, 8, 16, 32, 60, 60]),
        ("C++", [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        ("Node", [0.1, 0.13, 0.169]),
        ("Terraform", [0, 2, 4, 8, 10, 10]),
        ("Azure", [30, 30, 30]),
        ("fixed 5 s", [5, 5]),
        ("fixed 10 s", [10, 10]),
    ],
)
def test_waits_without_jitter(name: str, expected: list[float]) -> None:
    assert waits(BY_NAME[name], len(expected)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, longest",
    [
        ("google-api-core", [1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625, 17.0859375, 20, 20]),
        ("google-api-core async", [1, 2, 4, 8, 16, 32, 60, 60]),
        ("Go", [1, 2, 4, 8, 16, 32, 60, 60]),
        ("Java", [5, 7.5, 11.25, 16.875, 25.3125, 37.96875, 45, 45]),
    ],
)
def test_full_jitter_takes_any_part_of_the_wait(name: str, longest: list[float]) -> None:
    dice = random.Random(0)
    drawn = [waits(BY_NAME[name], len(longest), dice) for _ in range(1000)]

    for number, most in enumerate(longest):
        column = [row[number] for row in drawn]
        assert 0 <= min(column) < 0.02 * most
        assert 0.98 * most < max(column) < most
        assert sum(column) / 1000 == pytest.approx(most / 2, rel=0.06)


def test_gcloud_adds_up_to_a_second_after_its_first_poll() -> None:
    drawn = waits(BY_NAME["gcloud"], 16)

    assert drawn[0] == 1
    for wait, least in zip(drawn[1:], [min(2 * 1.4**number, 180) for number in range(15)], strict=True):
        assert least <= wait < least + 1


def test_who_has_no_jitter_draws_nothing() -> None:
    for peer in PEERS:
        same = waits(peer, 5, random.Random(1)) == waits(peer, 5, random.Random(2))
        assert same == (peer.jitter is Jitter.NONE)
