"""What is drawn: from the distributions it says, evenly, and the same for the same seed."""

from __future__ import annotations

import random

import pytest

from benchmarks.cadence.workloads import CROWDS, WARM_UP, WORKLOADS, Distribution, Workload

PHASES = [phase for workload in WORKLOADS for phase in workload.phases]
named = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


@pytest.mark.parametrize("phase", PHASES, ids=str)
@pytest.mark.parametrize("below", [0.001, 0.25, 0.5, 0.89, 0.93, 0.999])
def test_survival_undoes_the_quantile(phase: Distribution, below: float) -> None:
    assert phase.survival(phase.quantile(below)) == pytest.approx(1 - below, abs=1e-9)


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_each_slice_of_probability_is_drawn_from_once(phase: Distribution) -> None:
    drawn = sorted(phase.draw(200, random.Random(1)))

    for number, duration in enumerate(drawn):
        assert number / 200 <= 1 - phase.survival(duration) + 1e-9
        assert 1 - phase.survival(duration) <= (number + 1) / 200 + 1e-9


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_nothing_lasts_less_than_no_time(phase: Distribution) -> None:
    assert phase.survival(0.0) == phase.survival(-1.0) == 1.0
    assert phase.survival(1e9) == pytest.approx(0.0, abs=1e-9)


@named
def test_the_seed_decides(workload: Workload) -> None:
    assert workload.alone(50, "1") == workload.alone(50, "1")
    assert workload.alone(50, "1") != workload.alone(50, "2")
    assert workload.crowd(CROWDS[0], "1") == workload.crowd(CROWDS[0], "1")


@named
def test_a_crowd_starts_in_order_within_its_time(workload: Workload) -> None:
    crowd = CROWDS[0]

    operations = workload.crowd(crowd, "0")

    starts = [operation.start for operation in operations]
    assert len(starts) == crowd.count
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert starts[-1] <= crowd.within


@named
def test_warming_up_is_done_with_the_first_phase(workload: Workload) -> None:
    warm_up, durations = workload.alone(400, "0")

    assert (len(warm_up), len(durations)) == (WARM_UP, 400)
    median = workload.phases[0].quantile(0.5)
    assert WARM_UP * 0.45 < sum(duration < median for duration in warm_up) < WARM_UP * 0.55


def test_the_shift_comes_half_way() -> None:
    shift = next(workload for workload in WORKLOADS if workload.name == "shift")

    durations = shift.durations(400, random.Random(0))

    first, second = sorted(durations[:200]), sorted(durations[200:])
    assert 38 < first[100] < 42
    assert 114 < second[100] < 126
