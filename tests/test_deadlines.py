"""Deadlines: each is kept, for each caller, with a last poll before it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import math
import random
import time
from typing import Any

import backoff
import pytest

from lro_poller import WORKSPACE_EVENTS, Budget, PollError, PollTimeout
from lro_poller.wire import Reply

from .scripted import Scripted, done, open_scripted, running

CANCELLABLE = dataclasses.replace(WORKSPACE_EVENTS, cancellable=True)
RARELY = functools.partial(backoff.constant, interval=1000)
A = "operations/a"


async def after(seconds: float, reply: Reply) -> Reply:
    await asyncio.sleep(seconds)
    return reply


def ends_after(seconds: float) -> Any:
    """An operation that ends so long after it was first looked at."""
    began: list[float] = []

    def answer(name: str, attempt: int) -> Reply:
        now = asyncio.get_running_loop().time()
        began.append(now)
        return done() if now >= began[0] + seconds else running()

    return answer


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("deadlines", [(50,), (20, 50), (50, 20), (20, None, 50), (10, 20, 30, 40, 50)])
async def test_every_caller_of_one_operation_has_a_last_poll_before_its_deadline(deadlines: Any) -> None:
    transport = Scripted(lambda name, attempt: running())
    async with open_scripted(transport, backoff=RARELY) as poller:
        began = asyncio.get_running_loop().time()
        futures = [poller.submit(A, deadline=deadline) for deadline in deadlines]
        for future, deadline in zip(futures, deadlines, strict=True):
            if deadline is not None:
                with pytest.raises(PollTimeout):
                    await future
                assert future.elapsed == pytest.approx(deadline, abs=1e-3)
        looks = [when - began for when in transport.times(A)]
        finite = sorted(deadline for deadline in deadlines if deadline is not None)
        assert looks == [0, *(pytest.approx(deadline, abs=0.1) for deadline in finite)]
        assert all(look < deadline for look, deadline in zip(looks[1:], finite, strict=True))


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("wait", [1e6, 1e300, 1e308])
async def test_whoever_joins_later_has_a_last_poll_too(wait: float) -> None:
    transport = Scripted(ends_after(12))
    rarely = functools.partial(backoff.constant, interval=[wait])
    async with open_scripted(transport, backoff=rarely) as poller:
        patient = poller.submit(A)
        await asyncio.sleep(5)
        hasty = poller.submit(A, deadline=10)
        assert await hasty == await patient == {}
        assert hasty.elapsed == pytest.approx(10, abs=0.1)
        assert transport.polls(A) == 2


@pytest.mark.behaviour("B10", "B12")
async def test_the_grace_after_a_cancellation_that_failed_ends_with_a_last_poll() -> None:
    def answer(name: str, attempt: int) -> Reply:
        if name.endswith(":cancel"):
            return Reply(503, {}, b"")
        return done() if attempt == 3 else running()

    transport = Scripted(answer)
    async with open_scripted(transport, backoff=RARELY, service=CANCELLABLE, cancel_grace=30) as poller:
        future = poller.submit(A, deadline=10, at_deadline="cancel_and_wait")
        assert await future == {}
        assert future.elapsed == pytest.approx(40, abs=0.1)


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("latency", [0.0, 2.0, 40.0])
async def test_the_last_poll_leaves_time_for_itself_but_no_more_than_a_tenth(latency: float) -> None:
    transport = Scripted(lambda name, attempt: after(latency, running()))
    async with open_scripted(transport, backoff=RARELY, poll_timeout=100) as poller:
        for number in range(10):  # for the latency to be known
            await asyncio.wait([asyncio.ensure_future(poller.get(f"operations/{number}"))])
        began = asyncio.get_running_loop().time()
        with pytest.raises(PollTimeout):
            await poller.submit(A, deadline=500)
        last = transport.times(A)[-1] - began
        assert 500 - min(3 * latency + 1, 50) - 1e-3 <= last <= 500 - min(latency, 50)


@pytest.mark.behaviour("B10")
async def test_a_poll_that_hangs_longer_than_the_deadline_is_cut_at_it() -> None:
    transport = Scripted(lambda name, attempt: after(math.inf, running()))
    async with open_scripted(transport, poll_timeout=math.inf) as poller:
        future = poller.submit(A, deadline=7)
        with pytest.raises(PollTimeout):
            await future
        assert future.elapsed == pytest.approx(7, abs=1e-3)
        await asyncio.sleep(0)
        assert transport.in_flight == poller.budget.in_flight == 0


@pytest.mark.behaviour("B10", "B14")
async def test_retry_after_never_hides_the_last_poll() -> None:
    def answer(name: str, attempt: int) -> Reply:
        return done() if attempt == 2 else Reply(503, {"Retry-After": "600"}, b"")

    async with open_scripted(Scripted(answer)) as poller:
        future = poller.submit(A, deadline=60)
        assert await future == {}
        assert 54 <= future.elapsed <= 60


@pytest.mark.behaviour("B10", "B14")
@pytest.mark.parametrize("failed", [True, False])
async def test_a_last_poll_that_had_no_turn_in_time_leaves_the_service_alone_after_the_deadline(failed: bool) -> None:
    """The only place in flight is taken from before the deadline until long after it."""

    async def answer(name: str, attempt: int) -> Reply:
        if name == A:
            return Reply(503 if failed else 200, {"Retry-After": "60"}, b"" if failed else running().body)
        await asyncio.sleep(20)
        return done()

    transport = Scripted(answer)
    async with open_scripted(transport, max_in_flight=1) as poller:
        patient, hasty = poller.submit(A), poller.submit(A, deadline=30)
        await poller.submit("operations/b")  # so that polls are known to take long, and the last is asked for early
        await asyncio.sleep(5)
        other = poller.submit("operations/c")
        with pytest.raises(PollTimeout):
            await hasty
        await other
        await asyncio.sleep(20)
        assert [when - patient.submitted for when in transport.times(A)] == pytest.approx([0, 60], abs=0.1)


@pytest.mark.behaviour("B10", "B14")
async def test_a_last_poll_that_had_no_turn_in_time_takes_none_from_who_has_a_little_longer() -> None:
    async def answer(name: str, attempt: int) -> Reply:
        if name == A:
            return Reply(503, {"Retry-After": "60"}, b"")
        await asyncio.sleep(5.2)
        return done()

    transport = Scripted(answer)
    async with open_scripted(transport, max_in_flight=1) as poller:
        futures = [poller.submit(A, deadline=deadline) for deadline in (10, 10.5)]
        await asyncio.sleep(5)
        poller.submit("operations/b")
        for future in futures:
            with pytest.raises(PollTimeout):
                await future
        assert [when - future.submitted for when in transport.times(A)] == pytest.approx([0, 10.35], abs=0.15)


@pytest.mark.behaviour("B14", "B15")
async def test_looking_now_waits_for_what_the_service_asked_for() -> None:
    def answer(name: str, attempt: int) -> Reply:
        return done() if attempt == 2 else Reply(200, {"Retry-After": "100"}, running().body)

    transport = Scripted(answer)
    async with open_scripted(transport, backoff=RARELY) as poller:
        future = poller.submit(A)
        for _ in range(50):
            await asyncio.sleep(1)
            future.poll_now()
        assert await future == {}
        assert future.elapsed == pytest.approx(100, abs=0.1)


@pytest.mark.behaviour("B15", "B23")
async def test_a_storm_of_looking_now_puts_nobody_off() -> None:
    transport = Scripted(lambda name, attempt: running())
    async with open_scripted(transport, max_rate=1, backoff=RARELY) as poller:
        futures = [poller.submit(f"operations/{number}") for number in range(10)]
        await asyncio.sleep(11)
        for _ in range(200):
            for future in futures:
                future.poll_now()
            await asyncio.sleep(0.1)
        polls = [transport.polls(future.name) for future in futures]
        assert min(polls) >= 2
        assert max(polls) <= 4


@pytest.mark.behaviour("B15", "B23")
@pytest.mark.parametrize("options", [{"max_rate": 5}, {"max_in_flight": 1}])
async def test_whoever_is_asked_for_again_and_again_lets_the_others_have_their_turns(options: dict[str, Any]) -> None:
    """A service that tells of every change of one operation, however small."""

    async def answer(name: str, attempt: int) -> Reply:
        await asyncio.sleep(0.2)
        return running() if name == A or attempt == 1 else done()

    waits = functools.partial(backoff.constant, interval=1)
    async with open_scripted(Scripted(answer), backoff=waits, **options) as poller:
        chatty, others = poller.submit(A), [poller.submit(f"operations/{number}") for number in range(30)]

        async def chat() -> None:
            while not all(other.done() for other in others):
                await asyncio.sleep(0.02)
                chatty.poll_now()

        await chat()
        assert max(other.elapsed for other in others) < 16
        assert chatty.polls > 3


@pytest.mark.behaviour("B10", "B15")
@pytest.mark.parametrize("storm", ["poll_now", "get"])
async def test_a_last_poll_goes_before_what_somebody_has_asked_to_see(storm: str) -> None:
    def answer(name: str, attempt: int) -> Reply:
        return done() if name == A and asyncio.get_running_loop().time() > began + 15 else running()

    began = asyncio.get_running_loop().time()
    async with open_scripted(Scripted(answer), max_rate=10) as poller:
        future = poller.submit(A, deadline=30, expected=1000)
        others = [poller.submit(f"operations/{number}") for number in range(1000)]
        await asyncio.sleep(14)
        if storm == "poll_now":
            for other in others:
                other.poll_now()
            assert await future == {}
        else:
            async with asyncio.TaskGroup() as tasks:
                for other in others:
                    tasks.create_task(poller.get(other.name))
                assert await future == {}
        assert 29 < future.elapsed < 30


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("busy", ["all", "others"])
@pytest.mark.parametrize("pollers", [1, 3, 10])
@pytest.mark.parametrize("rate", [0.5, 5.0, 50.0])
async def test_a_last_poll_goes_before_others_when_polls_are_short(rate: float, pollers: int, busy: str) -> None:
    turn = pollers / rate
    ends = {f"operations/{number}": (60 + 5 * number) * turn for number in range(20)}

    def answer(name: str, attempt: int) -> Reply:
        return done() if asyncio.get_running_loop().time() >= began + ends.get(name, math.inf) else running()

    budget = Budget(max_rate=rate)
    async with contextlib.AsyncExitStack() as stack:
        poller, *others = [
            await stack.enter_async_context(open_scripted(Scripted(answer), budget=budget)) for _ in range(pollers)
        ]
        began = asyncio.get_running_loop().time()
        for number in range(500):
            for one in (poller, *others) if busy == "all" else others:
                one.submit(f"operations/other-{number}")
        futures = [poller.submit(name, deadline=end + 5 * turn) for name, end in ends.items()]
        await poller.wait_all(futures)
        assert [future.exception() for future in futures] == [None] * 20


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
async def test_a_last_poll_has_its_turn_when_polls_are_not_short(load: float) -> None:
    loop, dice = asyncio.get_running_loop(), random.Random(1)
    ends: dict[str, float] = {}

    def answer(name: str, attempt: int) -> Any:
        return after(0.01, done() if loop.time() >= ends.get(name, math.inf) else running())

    async with open_scripted(Scripted(answer), max_rate=5.0, random=dice.random) as poller:
        for number in range(int(load * 5 * 20)):
            poller.submit(f"operations/other-{number}", backoff=functools.partial(backoff.constant, interval=20))
        futures = []
        for number in range(50):
            name = f"operations/{number}"
            ends[name] = loop.time() + 48.5
            futures.append(poller.submit({"name": name, "metadata": {}}, deadline=50, backoff=RARELY))
            await asyncio.sleep(dice.uniform(2, 5))
        await poller.wait_all(futures)
        assert sum(future.exception() is not None for future in futures) <= 2


@pytest.mark.behaviour("B10", "B16")
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "60"}])
async def test_last_polls_for_very_many_callers_are_no_storm_while_polls_fail(headers: dict[str, str]) -> None:
    transport = Scripted(lambda name, attempt: after(0.002, Reply(503, headers, b"")))
    async with open_scripted(transport) as poller:
        futures = [poller.submit(A, deadline=10 + number / 1000) for number in range(3_000)]
        await poller.wait_all(futures)
        assert {type(future.exception()) for future in futures} == {PollTimeout}
        assert 3 <= sum(when > futures[0].submitted + 9 for when in transport.times(A)) <= 8


@pytest.mark.behaviour("B10", "B16")
@pytest.mark.parametrize("interval", [96, 96.5, 500])
async def test_a_poll_that_fails_when_it_was_to_be_the_last_is_made_once_more(interval: float) -> None:
    async def answer(name: str, attempt: int) -> Reply:
        await asyncio.sleep(1)
        if name == A and attempt == 2:
            return Reply(503, {"Retry-After": "60"}, b"")
        return done() if name == A and attempt == 3 else running()

    transport = Scripted(answer)
    async with open_scripted(transport, backoff=functools.partial(backoff.constant, interval=[interval])) as poller:
        for _ in range(30):
            await poller.get("operations/slow")  # so that it is known how long a poll takes
        future = poller.submit(A, deadline=100)
        assert await future == {}
        assert [round(when - future.submitted) for when in transport.times(A)] == [0, 97, 98]


@pytest.mark.behaviour("B10", "B16")
@pytest.mark.parametrize("failed", [99.5, 1000.0])
async def test_a_poll_that_failed_takes_the_place_of_no_last_one(failed: float) -> None:
    def answer(name: str, attempt: int) -> Reply:
        passed = asyncio.get_running_loop().time() - began
        if passed == pytest.approx(failed, abs=1e-3):
            return Reply(503, {}, b"")
        return done() if passed >= 99.6 else running()

    async with open_scripted(Scripted(answer), backoff=RARELY) as poller:
        began = asyncio.get_running_loop().time()
        future = poller.submit(A, deadline=100)
        for moment in (99.2, 99.5):
            await asyncio.sleep(began + moment - asyncio.get_running_loop().time())
            future.poll_now()
        assert await future == {}


@pytest.mark.behaviour("B10", "B15")
async def test_asking_to_look_now_takes_no_last_poll_away() -> None:
    loop = asyncio.get_running_loop()

    def answer(name: str, attempt: int) -> Reply:
        if name != A:
            return running()
        return done() if loop.time() >= began + 280 else Reply(200, {"Retry-After": "1000"}, running().body)

    async with open_scripted(Scripted(answer), max_rate=0.2) as poller:
        began = loop.time()
        future = poller.submit(A, deadline=300)
        await asyncio.sleep(10)
        for number in range(50):
            poller.submit(f"operations/{number}")
        for moment in range(270, 300):
            loop.call_at(began + moment + 0.5, future.poll_now)
        assert await future == {}


@pytest.mark.behaviour("B10", "B16")
async def test_last_polls_that_fail_do_not_end_the_wait_before_the_deadline() -> None:
    loop = asyncio.get_running_loop()

    async def answer(name: str, attempt: int) -> Reply:
        passed = loop.time() - began
        await asyncio.sleep(0.1 if name == A else 12)
        if name != A or passed < 565:
            return running()
        return done() if passed >= 583 else Reply(503, {}, b"")

    transport = Scripted(answer)
    async with open_scripted(transport, max_poll_failures=2, backoff=RARELY) as poller:
        began = math.inf
        await asyncio.gather(*(poller.get(f"operations/{number}") for number in range(30)))
        began = loop.time()
        assert await poller.submit(A, deadline=600) == {}
        assert sum(when > began + 565 for when in transport.times(A)) > 4


@pytest.mark.behaviour("B10", "B14", "B16")
async def test_a_retry_that_is_in_time_anyway_waits_as_the_service_asks() -> None:
    def answer(name: str, attempt: int) -> Reply:
        return Reply(503, {"Retry-After": "1"}, b"") if attempt == 2 else done() if attempt == 3 else running()

    transport = Scripted(lambda name, attempt: after(0.8, answer(name, attempt) if name == A else running()))
    async with open_scripted(transport, backoff=RARELY) as poller:
        for _ in range(40):
            await poller.get("operations/b")  # so that it is known how long a poll takes
        future = poller.submit(A, deadline=100)
        asyncio.get_running_loop().call_later(97, future.poll_now)
        assert await future == {}
        assert [when - future.submitted for when in transport.times(A)] == pytest.approx([0, 97, 98.8], abs=0.1)


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("others", [0, 30])
@pytest.mark.parametrize("rate", [0.95, math.inf])
async def test_a_last_poll_is_not_long_before_the_deadline_where_nobody_takes_turns(rate: float, others: int) -> None:
    transport = Scripted(lambda name, attempt: after(0.05, running()))
    budget = Budget(max_rate=rate)
    async with contextlib.AsyncExitStack() as stack:
        poller, *_ = [
            await stack.enter_async_context(open_scripted(transport, budget=budget)) for _ in range(1 + others)
        ]
        future = poller.submit(A, deadline=60, backoff=RARELY)
        with pytest.raises(PollTimeout):
            await future
        assert transport.times(A)[-1] - future.submitted == pytest.approx(59.9, abs=0.1)


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("without_a_deadline", [0, 30])
async def test_a_caller_with_less_time_takes_no_last_poll_from_another(without_a_deadline: int) -> None:
    def answer(name: str, attempt: int) -> Reply:
        return done() if name == A and asyncio.get_running_loop().time() >= began + 960 else running()

    transport = Scripted(answer)
    async with open_scripted(transport, max_rate=0.1) as poller:
        began = asyncio.get_running_loop().time()
        for number in range(300):
            poller.submit(f"operations/{number}")
        future = poller.submit(A, deadline=990, backoff=RARELY)
        for _ in range(without_a_deadline):
            poller.submit(A)
        await asyncio.sleep(955)
        poller.submit(A, deadline=34).add_done_callback(lambda done: done.exception())
        assert await future == {}


@pytest.mark.behaviour("B10", "B24")
@pytest.mark.parametrize("name", ["operations/{}", "operations/a"], ids=["many", "one"])
async def test_very_many_deadlines_at_one_instant_leave_the_loop_to_others(name: str) -> None:
    async with open_scripted(Scripted(lambda name, attempt: after(999, running())), max_in_flight=1) as poller:
        futures = [poller.submit(name.format(number), deadline=10) for number in range(20_000)]
        await asyncio.sleep(10)
        turns = 0
        while not futures[-1].done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= len(futures) / 500
        assert {type(future.exception()) for future in futures} == {PollTimeout}
        assert max(future.elapsed for future in futures) < 10.1


@pytest.mark.behaviour("B13", "B24")
async def test_a_token_that_claims_any_number_of_sightings_does_not_block_the_loop() -> None:
    async with open_scripted(Scripted(lambda name, attempt: done() if attempt == 2 else running())) as poller:
        first = poller.submit(A)
        token = first.token.replace('"sightings":0', '"sightings":2000000000')
        first.cancel()
        began = time.process_time()
        future = poller.resume(token, backoff=functools.partial(backoff.constant, interval=2))
        assert await future == {}
        assert time.process_time() - began < 0.5
        assert future.elapsed == pytest.approx(2, abs=0.1)


@pytest.mark.behaviour("B11", "B16")
async def test_failures_that_count_are_those_in_a_row() -> None:
    answers = [Reply(503, {}, b""), running(), Reply(503, {}, b""), Reply(503, {}, b"")]
    transport = Scripted(lambda name, attempt: answers[attempt - 1])
    async with open_scripted(transport, max_poll_failures=1) as poller:
        with pytest.raises(PollError, match="HTTP 503, the last of 2 failures in a row"):
            await poller.submit(A, deadline=1000)
        assert transport.polls(A) == 4


@pytest.mark.behaviour("B16")
async def test_an_end_that_is_not_for_the_number_of_failures_does_not_count_them() -> None:
    answers = [Reply(503, {}, b""), Reply(503, {}, b""), Reply(403, {}, b"")]
    async with open_scripted(Scripted(lambda name, attempt: answers[attempt - 1])) as poller:
        with pytest.raises(PollError, match="HTTP 403: "):
            await poller.submit(A)


@pytest.mark.behaviour("B10")
@pytest.mark.parametrize("deadline", [1e-9, 1e-3, 1e12, 1e308, math.inf])
async def test_deadlines_of_every_size(deadline: float) -> None:
    async with open_scripted(Scripted(lambda name, attempt: after(1, done()))) as poller:
        future = poller.submit(A, deadline=deadline)
        if deadline < 1:
            with pytest.raises(PollTimeout):
                await future
            assert future.elapsed == pytest.approx(deadline, abs=1e-3)
        else:
            assert await future == {}


@pytest.mark.behaviour("B10", "B24")
async def test_deadlines_of_thousands_of_callers_of_one_name_are_cheap_and_exact() -> None:
    async with open_scripted(Scripted(lambda name, attempt: after(999, running())), max_in_flight=1) as poller:
        futures = [poller.submit(A, deadline=10 + number / 1000) for number in range(10_000)]
        began = time.process_time()
        await asyncio.sleep(30)
        assert time.process_time() - began < 4  # one by one it would be minutes
        assert all(isinstance(future.exception(), PollTimeout) for future in futures)
        assert max(future.elapsed - 10 - number / 1000 for number, future in enumerate(futures)) < 1e-3


@pytest.mark.behaviour("B24")
async def test_very_many_deadlines_of_who_has_left_leave_the_loop_to_others() -> None:
    async with open_scripted(Scripted(lambda name, attempt: after(999, running())), max_in_flight=1) as poller:
        for number in range(2_000):
            name = f"operations/{number}"
            left, _ = poller.submit(name, deadline=10), poller.submit(name)
            left.cancel()
        deadlines = poller._runner._deadlines  # type: ignore[union-attr]  # nothing else tells of those that are nobody's
        await asyncio.sleep(9)  # when a last poll might have to be made
        turns = 0
        while len(deadlines):
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 2_000 / 500


@pytest.mark.behaviour("B10", "B24")
async def test_a_deadline_that_cannot_be_seen_to_holds_up_no_other() -> None:
    async with open_scripted(Scripted(lambda name, attempt: running()), service=CANCELLABLE) as poller:
        options: list[dict[str, Any]] = [{"deadline": 10, "at_deadline": "cancel"}, {"deadline": 11}, {"deadline": 12}]
        futures = [poller.submit(A, **one) for one in options]
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)

        def refuse(loop: Any, coroutine: Any, **options: Any) -> Any:
            coroutine.close()
            raise MemoryError

        await asyncio.sleep(9.99)
        loop.set_task_factory(refuse)
        loop.call_at(loop.time() + 0.02, loop.set_task_factory, None)
        await asyncio.sleep(5)
        assert [round(future.elapsed) for future in futures] == [10, 11, 12]
        assert all(isinstance(future.exception(), PollTimeout) for future in futures)
