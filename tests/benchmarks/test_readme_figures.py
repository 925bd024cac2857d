"""The README's tables say what the benchmarks measured: each figure is held against the run that is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import Figures, median, ratio
from benchmarks.report import RESULTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

Targets = list[tuple[str, str]]  # the benchmark, and the target's own words

COSTS: dict[str, Targets] = {
    "polls a second, against a plain loop": [("throughput", "throughput against the plain aiohttp loop")],
    "CPU a poll, against that loop": [("throughput", "CPU a poll against the plain aiohttp loop's")],
    "polls a second, against a coroutine an operation": [("throughput", "against a coroutine an operation")],
    "polls a second, against google-api-core's": [("throughput", "against google-api-core, TLS")],
    "HTTP/2 transport against google-api-core": [("throughput", "HTTP/2 against google-api-core, TLS")],
    "HTTP/2 transport against the plain loop": [("throughput", "HTTP/2 against the plain aiohttp loop, TLS")],
    "batches of 100": [("throughput", "batches against the plain aiohttp loop")],
    "bytes a pending operation": [
        ("memory", "lro_poller, by name: bytes"),
        ("memory", "lro_poller, seen running: bytes"),
    ],
    "the same, of google-api-core's 6,074": [
        ("memory", "lro_poller, by name: bytes, of google-api-core's"),
        ("memory", "lro_poller, seen running: bytes, of google-api-core's"),
    ],
    "CPU to submit one": [
        ("memory", "lro_poller, by name: µs to submit"),
        ("memory", "lro_poller, seen running: µs to submit"),
    ],
    "the same, of google-api-core's |": [
        ("memory", "lro_poller, by name: time to submit, of google-api-core's"),
        ("memory", "lro_poller, seen running: time to submit, of google-api-core's"),
    ],
    "how late polls start, p99, with 100,000": [
        ("lateness", "p99 of the lateness with 100,000 pending, ms (3 idle timers, or 5)")
    ],
    "CPU a poll with a million pending": [("growth", "CPU a poll with 1,000,000 pending against 100")],
    "CPU that this library adds": [
        ("overhead", "µs that scheduling, deadlines and checks add to a poll, by a caller's own waits"),
        ("overhead", "µs that scheduling, deadlines and checks add to a poll, by what it has learned"),
    ],
    "CPU of deciding who is next": [
        ("decision", "µs that the decision adds to a poll with 100,000 pending, learned"),
        ("decision", "µs that the decision adds to a poll with 100,000 pending, short"),
    ],
    "`import lro_poller`": [("imports", "import lro_poller, ms")],
    "the same, of google-api-core's operations": [("imports", "import lro_poller, of google-api-core's")],
}
"""How the row of each target begins."""


def kept(benchmark: str) -> Any:
    return json.loads((RESULTS / f"{benchmark}.json").read_text())


def rows(begins: str) -> list[list[str]]:
    """The cells of the rows that begin so."""
    lines = [line for line in README.splitlines() if line.startswith(f"| {begins}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def row(begins: str) -> list[str]:
    """Those of the one that does."""
    (cells,) = rows(begins)
    return cells


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d,]*(?:\.\d+)?", text)


def says(printed: str, value: float) -> bool:
    """Whether a figure is `value`, rounded to as many places as it was printed with."""
    places = len(printed.partition(".")[2])
    return printed.replace(",", "") == f"{value:.{places}f}"


@pytest.mark.parametrize("begins", COSTS)
def test_a_figure_is_what_was_measured_and_its_target_reached_where_it_says_so(begins: str) -> None:
    _, measured, target = row(begins)
    printed = numbers(measured)
    verdicts = target.split(" / ") if len(COSTS[begins]) > 1 else [target]
    for figure, verdict, (benchmark, what) in zip(printed, verdicts, COSTS[begins], strict=False):
        (found,) = [one for one in kept(benchmark)["targets"] if one["what"] == what]
        assert says(figure, found["value"])
        # Where days differ both are true.
        assert ("reached" if found["reached"] else "missed") in verdict or " days" in verdict or " runs" in verdict


def test_every_target_of_a_benchmark_stands_in_the_table() -> None:
    files = [path.stem for path in RESULTS.glob("*.json")]
    set_targets = {(name, one["what"]) for name in files for one in kept(name).get("targets", ())}
    assert set_targets == {target for targets in COSTS.values() for target in targets}


def test_what_stands_beside_the_targets_was_measured_too() -> None:
    late, memory = kept("lateness")["figures"], kept("memory")["figures"]
    growth, throughput = kept("growth")["figures"], kept("throughput")["figures"]

    def against(rounds: dict[str, list[Figures]]) -> float:
        return ratio(rounds["lro_poller"], rounds["aiohttp"], "polls_per_second")

    busy, quarter = row("how late polls start, p99, with 100,000"), row("how late polls start, p99, with a quarter")
    wanted = [
        (
            numbers(row("polls a second, against that loop, with 8")[1])[0],
            against(throughput["8 in flight, plain, asyncio"]),
        ),
        (
            numbers(row("polls a second, against that loop, with 8")[1])[1],
            against(throughput["1 in flight, plain, asyncio"]),
        ),
        (
            numbers(row("the same, of google-api-core's 6,074")[0])[0],
            median(memory["100,000 pending"]["google"], "bytes"),
        ),
        (numbers(busy[1])[1], median(late["lro_poller 100000"], "max_ms")),
        (numbers(quarter[1])[0], median(late["lro_poller 100000 quarter"], "p99_ms")),
        (numbers(quarter[1])[1], median(late["lro_poller 100000 quarter"], "max_ms")),
        (numbers(row("CPU a poll with a million")[0])[0], median(growth["lro_poller 1000000"], "cpu_us")),
        (numbers(row("CPU a poll with a million")[0])[1], median(growth["lro_poller 100"], "cpu_us")),
    ]
    wrong = [(printed, value) for printed, value in wanted if not says(printed, value)]
    assert not wrong
    for cells, figures in ((busy, "lro_poller 100000"), (quarter, "lro_poller 100000 quarter")):
        (share,) = re.findall(r"(\d+)% of the processor", cells[0])
        one = {name: median(late[figures], name) for name in ("polls_per_second", "cpu_us")}
        assert says(share, one["polls_per_second"] * one["cpu_us"] / 1e4)


CADENCE = {
    "log-normal around 2 s": "2s",
    "log-normal around 40 s": "40s",
    "log-normal around 6 min": "6min",
    "log-uniform 1 s to 1 h": "loguniform",
    "bimodal: 90% 3 s, 10% 20 min": "bimodal",
    "shift: 40 s, from half-way on 120 s": "shift",
}
"""The rows of the table of lateness, and the workloads that they are about."""


@pytest.mark.parametrize("begins", CADENCE)
def test_the_lateness_of_a_crowd_is_what_was_measured(begins: str) -> None:
    results = {(one["workload"], one["mode"]): one for one in kept("cadence")["results"]}
    for mode, cells in zip(("crowd of 5,000", "crowd of 500"), rows(begins), strict=True):
        result = results[CADENCE[begins], mode]
        ours, standing = next(one for one in result["rows"] if one["policy"] == "lro_poller"), result["standing"]
        _, late, polls, peer, of_its_lateness, of_its_polls, of_one_limiters = cells
        wanted = {
            late.removesuffix(" s"): ours["lateness"],
            polls: ours["polls"],
            of_its_lateness: standing["to_best"],
            of_its_polls: standing["polls_to_best"],
            of_one_limiters: standing["to_limited"],
        }
        assert not {printed: value for printed, value in wanted.items() if not says(printed, value)}
        assert (peer, ours["refused"], standing["beaten_by"]) == (standing["best"], 0, [])


def test_the_standing_alone_is_what_was_measured() -> None:
    alone = {
        one["workload"]: one["standing"]["to_limit"] for one in kept("cadence")["results"] if one["mode"] == "alone"
    }
    (said,) = re.findall(
        r"is ([\d.]+) to ([\d.]+) times as late as that; on the two peaks of the bimodal\s+workload ([\d.]+)", README
    )
    bimodal = alone.pop("bimodal")
    assert all(map(says, said, (min(alone.values()), max(alone.values()), bimodal)))
