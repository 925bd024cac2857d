"""What a benchmark prints and keeps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.harness import in_turn, ratio, run_pinned
from benchmarks.report import Target, print_table, publish


@pytest.mark.parametrize(
    "value, sense, reached",
    [
        (2.0, "at least", True),
        (1.9, "at least", False),
        (2.0, "at most", True),
        (2.1, "at most", False),
        (None, "at most", False),
        (math.nan, "at most", False),
    ],
)
def test_a_target_is_reached_at_its_bound(value: float | None, sense: Any, *, reached: bool) -> None:
    target = Target("polls", value, sense, 2.0)
    assert target.reached is reached
    assert str(target).endswith(f", {sense} 2: {'' if reached else 'NOT '}reached")
    assert ("not measured" in str(target)) == (value is None)


@pytest.mark.parametrize("keep", [True, False])
def test_figures_are_kept_where_they_are_to_be_with_five_digits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, keep: bool
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    publish("some", {"a": [1.23456789, {"b": 5}]}, [Target("t", 1.0, "at least", 2.0)], keep=keep)
    file = tmp_path / "results" / "some.json"
    assert file.exists() == keep
    if keep:
        kept = json.loads(file.read_text())
        assert kept["figures"] == {"a": [1.2346, {"b": 5}]}
        assert [target["reached"] for target in kept["targets"]] == [False]


def test_a_table_has_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("title", ["who", "µs"], [["somebody", "5"], ["I", "1,000"]])
    assert capsys.readouterr().out == "\ntitle\nwho          µs\nsomebody      5\nI         1,000\n"


def test_cases_are_run_in_turn_and_one_that_fails_is_left_out() -> None:
    asked: list[str] = []

    def run(case: str) -> dict[str, float]:
        asked.append(case)
        if case == "b":
            raise RuntimeError("it is out of order")
        return {"n": float(len(asked))}

    taken = in_turn("abc", 2, run, title="t")
    assert asked == ["a", "b", "c", "a", "c"]
    assert taken == {"a": [{"n": 1.0}, {"n": 4.0}], "c": [{"n": 3.0}, {"n": 5.0}]}


def test_a_ratio_is_the_median_of_those_of_each_round() -> None:
    one, other = [{"n": 1.0}, {"n": 8.0}, {"n": 90.0}], [{"n": 1.0}, {"n": 4.0}, {"n": 10.0}]
    assert ratio(one, other, "n") == 2.0


def test_a_process_that_fails_is_told_by_its_last_word() -> None:
    with pytest.raises(RuntimeError, match=r"failed: last$"):
        run_pinned(["sh", "-c", "echo first >&2; echo last >&2; exit 3"])
