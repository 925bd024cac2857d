"""What the figures come to, as rows, as text, as JSON and as pictures."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.cadence.figures import LIMITED, OURS, Row, compare, summarize
from benchmarks.cadence.peers import PEERS
from benchmarks.cadence.plot import plot_alone, plot_crowd
from benchmarks.cadence.report import table, to_json
from benchmarks.cadence.run import ALONE, Result, run_workload
from benchmarks.cadence.simulate import Run
from benchmarks.cadence.workloads import WORKLOADS, Crowd

_SVG = "{http://www.w3.org/2000/svg}"

CROWD = Crowd("crowd of 40", 40, 10.0, 2)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run_workload(WORKLOADS[0], seed=1, count=40, crowds=(CROWD,))


def row(policy: str, lateness: float, polls: float) -> Row:
    return Row("w", "m", policy, lateness, 0.0, 0.0, polls)


def test_one_run_is_summed_up_with_the_error_of_its_operations() -> None:
    made = summarize("w", "m", "p", [Run([1.0, 3.0] * 10, [1, 2] * 10, [59.9, 60.1, 70.0])])

    assert made.error == pytest.approx(20**-0.5, rel=0.03)
    assert made == Row("w", "m", "p", 2.0, made.error, 3.0, 1.5, refused=3, refused_late=2)


def test_repeats_are_summed_up_with_the_error_between_them() -> None:
    made = summarize("w", "m", "p", [Run([1.0] * 10, [1] * 10, [1.0]), Run([3.0] * 10, [3] * 10, [])])

    assert (made.lateness, made.polls, made.refused, made.refused_late) == (2.0, 2.0, 0.5, 0.0)
    assert made.error == pytest.approx(1.0)


def test_p95_is_what_19_of_20_do_not_exceed() -> None:
    assert summarize("w", "m", "p", [Run([float(number) for number in range(1, 21)], [1] * 20)]).p95 == 19.0


def test_ours_is_held_against_the_peer_that_is_least_late() -> None:
    standing = compare([row("a", 4.0, 10.0), row(OURS, 3.0, 2.0), row("b", 2.0, 5.0)], limit=lambda polls: 3.0 / polls)

    assert standing.best.policy == "b"
    assert (standing.to_best, standing.polls_to_best, standing.to_limit) == (1.5, 0.4, 2.0)
    assert standing.half == pytest.approx(0.6)  # of 2 s, with 2.5 polls
    assert standing.beaten_by == ()


def test_half_of_less_than_two_polls_is_not_to_be_had() -> None:
    assert compare([row(OURS, 3.0, 2.0), row("a", 2.0, 1.9)], limit=lambda polls: 1.0).half == math.inf


@pytest.mark.parametrize(
    "lateness, polls, beaten", [(1.9, 1.9, True), (1.9, 2.0, False), (2.0, 1.9, False), (1.0, 3.0, False)]
)
def test_beaten_means_in_both(lateness: float, polls: float, *, beaten: bool) -> None:
    standing = compare([row(OURS, 2.0, 2.0), row("a", lateness, polls)], limit=lambda polls: 1.0)

    assert standing.beaten_by == (("a",) if beaten else ())


def test_every_policy_meets_every_mode(results: list[Result]) -> None:
    assert [result.mode for result in results] == [ALONE, CROWD.name]
    for result in results:
        limited = [] if result.mode == ALONE else [LIMITED]
        assert [row.policy for row in result.rows] == [OURS, *limited, *(peer.name for peer in PEERS)]
        assert (result.standing.to_limited is None) == (result.mode == ALONE)


def test_the_table_has_a_line_for_each_policy_and_a_verdict(results: list[Result]) -> None:
    text = table(results)

    for policy in (OURS, *(peer.name for peer in PEERS)):
        assert sum(line[2:].startswith(f"{policy}  ") for line in text.splitlines()) == 2
    assert text.count("better in both polls and lateness: ") == 2


def test_json_has_all_of_it(results: list[Result]) -> None:
    read = json.loads(to_json(results, seed=1))

    assert read["seed"] == 1
    assert [result["mode"] for result in read["results"]] == [ALONE, CROWD.name]
    alone = read["results"][0]
    assert alone["rows"][0]["lateness"] == results[0].rows[0].lateness
    assert alone["standing"]["best"] in {peer.name for peer in PEERS}
    assert {"polls", "lateness"} == set(alone["frontier"][0])


def test_pictures_are_small_svg_on_white(results: list[Result], tmp_path: Path) -> None:
    plot_alone(results * 6, tmp_path / "alone.svg")
    plot_crowd(results * 6, CROWD.name, tmp_path / "crowd.svg")

    names = {OURS, *(peer.name for peer in PEERS)}
    for picture, shown in (("alone.svg", {name.removeprefix("google-") for name in names}), ("crowd.svg", names)):
        written = (tmp_path / picture).read_text()
        assert len(written) < 60_000
        assert shown <= {"".join(text.itertext()) for text in ET.fromstring(written).iter(f"{_SVG}text")}
        assert "fill: #ffffff" in written


def test_the_same_figures_make_the_same_picture(results: list[Result], tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plot_alone(results, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
