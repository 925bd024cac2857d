"""Peers and this library in one world: what is counted, and whom the quota refuses."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.cadence.ours import run_alone, run_crowd
from benchmarks.cadence.peers import Peer
from benchmarks.cadence.server import Latency, Quota
from benchmarks.cadence.simulate import Run, run_limited, run_peer
from benchmarks.cadence.workloads import CROWDS, WORKLOADS, Crowd, Operation

TEN = Peer("ten", 10)
FORTY = next(workload for workload in WORKLOADS if workload.name == "40s")


def test_a_poll_that_finds_it_done_ends_it() -> None:
    run = run_peer(TEN, [Operation(5.0, 25.0), Operation(0.0, 9.0)], None, "0")

    assert run.polls == [3, 1]
    assert run.refused == []
    assert 5.15 <= run.lateness[0] <= 5.3  # three waits and three requests of 50 to 100 ms
    assert 1.05 <= run.lateness[1] <= 1.1


def test_a_refused_poll_costs_a_poll_and_the_schedule_goes_on() -> None:
    run = run_peer(TEN, [Operation(0.0, 5.0), Operation(0.0, 5.0)], Quota(1), "0")

    assert sorted(run.polls) == [1, 7]  # the second is admitted a minute after the first was
    assert len(run.refused) == 6
    assert max(run.lateness) == pytest.approx(65.0, abs=1.0)


def test_the_quota_is_a_sliding_minute() -> None:
    quota = Quota(3)

    assert [quota.admit(now) for now in (0.0, 20.0, 40.0, 50.0, 59.9)] == [True, True, True, False, False]
    assert [quota.admit(now) for now in (60.0, 61.0, 79.9, 80.0, 99.0, 100.0)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_a_request_takes_50_to_100_ms() -> None:
    latency = Latency("0")
    drawn = [latency.draw() for _ in range(1000)]

    assert 0.05 <= min(drawn) < 0.052
    assert 0.098 < max(drawn) <= 0.1


def test_ours_is_measured_one_at_a_time_after_the_warm_up() -> None:
    run = run_alone("test", [1.0] * 3, [5.0, 50.0, 0.01], "0")

    assert len(run.lateness) == len(run.polls) == 3
    assert min(run.lateness) > 0
    assert max(run.lateness) < 30
    assert min(run.polls) >= 1
    assert run.polls[1] > run.polls[2]
    assert run.refused == []


def test_ours_is_the_same_for_the_same_seed() -> None:
    durations = [3.0, 30.0, 300.0]

    assert run_alone("test", [], durations, "1") == run_alone("test", [], durations, "1")
    assert run_alone("test", [], durations, "1") != run_alone("test", [], durations, "2")


def test_ours_keeps_to_the_quota_of_the_service_in_a_crowd() -> None:
    operations = FORTY.crowd(CROWDS[0], "0")

    run = run_crowd("40s", operations, Quota(600), "0")

    assert len(run.lateness) == 500
    assert min(run.lateness) > 0
    assert run.refused == []
    starts = run_crowd("40s", operations, Quota(10**9), "0")
    assert starts == run  # the quota refused nothing because nothing was over it


def test_what_the_server_refuses_ours_is_counted_and_survived() -> None:
    operations = FORTY.crowd(Crowd("small", 20, 10.0, 1), "0")

    run = run_crowd("40s", operations, Quota(5), "0")

    assert len(run.refused) > 0
    assert sum(run.polls) >= len(run.refused) + 20
    assert min(run.lateness) > 0


def test_the_first_operations_of_a_run_can_be_left_out() -> None:
    assert Run([1.0, 2.0, 3.0], [4, 5, 6], [7.0]).after(2) == Run([3.0], [6], [7.0])


def test_one_limiter_spaces_all_polls_and_polls_each_operation_now_and_then() -> None:
    run = run_limited([Operation(0.0, 5.0), Operation(0.0, 15.0), Operation(0.0, 5.0)], "0", interval=10.0, rate=0.5)

    assert run.polls == [1, 2, 1]
    assert run.refused == []
    assert run.lateness == pytest.approx([5.0, 7.1, 9.0], abs=0.2)  # at 10, 12 and 22, and 14 s


def test_a_crowd_of_which_what_was_learned_holds_no_more_is_known_as_soon_as_by_one_limiter() -> None:
    """Of the second half, which takes three times as long, the young seem to have ended; the old have."""
    shift = next(workload for workload in WORKLOADS if workload.name == "shift")
    operations = shift.crowd(CROWDS[1], "0")

    ours, limited = run_crowd("shift", operations, Quota(), "0"), run_limited(operations, "0")

    assert ours.refused == []
    assert statistics.fmean(ours.lateness) < 1.1 * statistics.fmean(limited.lateness)
