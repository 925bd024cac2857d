"""Blocking work in threads: what it returns and raises, and that nobody has to wait for it."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from lro_poller import OperationFuture, OperationPoller
from lro_poller.threads import in_daemon_thread

from .scripted import Scripted, open_scripted, running


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The real clock: a jumping one would outrun the threads."""
    return "asyncio", {}


def raising(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


@pytest.mark.behaviour("B28")
async def test_it_returns_what_the_function_returns_from_a_thread_that_ends_with_the_process() -> None:
    thread = await in_daemon_thread(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("k"), OSError(5, "io")])
async def test_it_raises_what_the_function_raises(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await in_daemon_thread(raising(error))
    assert caught.value is error


@pytest.mark.behaviour("B19")
async def test_a_stop_iteration_is_an_error_and_no_end_of_a_coroutine() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_daemon_thread(raising(StopIteration(5)))


@pytest.mark.behaviour("B28")
async def test_the_loop_runs_on_while_the_function_blocks() -> None:
    gate = threading.Event()
    task = asyncio.ensure_future(in_daemon_thread(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    assert await task


@pytest.mark.behaviour("B22", "B28")
@pytest.mark.parametrize("fails", [True, False])
async def test_whoever_is_cancelled_leaves_the_thread_behind(fails: bool) -> None:
    gate, left = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(10)
        left.set()
        if fails:
            raise ValueError

    task = asyncio.ensure_future(in_daemon_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not left.is_set()
    gate.set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await in_daemon_thread(lambda: left.wait(10))
        await asyncio.sleep(0)  # in which the late answer is delivered to nobody


@pytest.mark.behaviour("B21")
@pytest.mark.parametrize("fails", [True, False])
def test_an_answer_that_comes_when_the_loop_is_closed_is_dropped(fails: bool) -> None:
    gate, threads = threading.Event(), list[threading.Thread]()

    def work() -> None:
        threads.append(threading.current_thread())
        gate.wait(10)
        if fails:
            raise ValueError

    async def main() -> None:
        task = asyncio.ensure_future(in_daemon_thread(work))
        while not threads:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    gate.set()
    threads[0].join(10)  # pytest fails the test for an exception in a thread
    assert not threads[0].is_alive()


_HANG = """
import asyncio, socket, ssl, threading
import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials
from lro_poller import OperationPoller, PollTimeout

def hang(*args, **options):
    threading.Event().wait()

class Hanging(Credentials):
    refresh = hang

async def wait(endpoint, **options):
    async with OperationPoller(endpoint=endpoint, **options) as poller:
        await poller.submit("operations/a", deadline=0.1)

async def hang_in_a_refresh():
    await wait("http://127.0.0.1:1", credentials=Hanging())

async def hang_in_the_search_for_credentials():
    google.auth.default = hang
    async with asyncio.timeout(0.1):
        await wait("http://127.0.0.1:1")

async def hang_in_looking_up_a_host():
    socket.getaddrinfo = hang
    await wait("https://nowhere.invalid", credentials=AnonymousCredentials())

async def hang_in_looking_up_a_host_for_http2():
    from lro_poller.transports.http2 import Http2Transport
    socket.getaddrinfo = hang
    transport = Http2Transport("https://nowhere.invalid")
    await wait("https://nowhere.invalid", credentials=AnonymousCredentials(), transport=transport)

try:
    asyncio.run({}())
except TimeoutError:
    print("left")
"""


@pytest.mark.behaviour("B21", "B28")
@pytest.mark.parametrize(
    "what",
    [
        "hang_in_a_refresh",
        "hang_in_the_search_for_credentials",
        "hang_in_looking_up_a_host",
        "hang_in_looking_up_a_host_for_http2",
    ],
)
def test_what_hangs_holds_up_no_exit(what: str) -> None:
    script = _HANG.replace("{}", what)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("left\n", "")


@pytest.mark.behaviour("B16", "B28")
async def test_that_no_thread_can_be_started_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="can't start new thread"):
        await in_daemon_thread(lambda: None)


@pytest.mark.behaviour("B19", "B21")
async def test_every_method_says_so_in_another_loop_and_in_none() -> None:
    async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
        future = poller.submit("operations/a")
        completions = poller.as_completed([future])
        calls: list[Callable[[], Any]] = [
            lambda: poller.submit("operations/b"),
            lambda: poller.resume(future.token),
            lambda: poller.get("operations/b"),
            lambda: poller.wait_all(["operations/b"]),
            lambda: poller.__aexit__(None, None, None),
            lambda: anext(completions),
            lambda: anext(poller.as_completed(["operations/b"])),
            poller.drain,
            poller.stats,
            poller.pending,
            future.poll_now,
            future.cancel,
            lambda: future.add_done_callback(print),
        ]

        async def elsewhere(call: Callable[[], Any]) -> None:
            answer = call()
            if inspect.isawaitable(answer):
                await answer

        def in_another_loop() -> list[str]:
            said = []
            for call in calls:
                with pytest.raises(RuntimeError) as caught:
                    asyncio.run(elsewhere(call))
                said.append(str(caught.value))
            with pytest.raises(RuntimeError) as caught:
                poller.submit("operations/b")
            return [*said, str(caught.value)]

        said = await in_daemon_thread(in_another_loop)
        assert len(said) == len(calls) + 1
        assert all("is used outside its event loop" in one for one in said)
        assert poller.pending() == [future]


@pytest.mark.behaviour("B19", "B21")
def test_what_belongs_to_a_loop_that_is_closed_says_so() -> None:
    async def leave_open() -> OperationPoller:
        poller = await open_scripted(Scripted(lambda name, attempt: running())).__aenter__()
        poller.submit("operations/a")
        return poller

    async def go_on() -> None:
        calls: list[Callable[[], Any]] = [
            lambda: poller.submit("operations/b"),
            lambda: poller.__aexit__(None, None, None),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match=r"belongs to an event loop that is closed; open a poller in each"):
                answer = call()
                if inspect.isawaitable(answer):
                    await answer

    loop = asyncio.new_event_loop()
    poller = loop.run_until_complete(leave_open())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.run(go_on())


@pytest.mark.behaviour("B7", "B19")
async def test_a_future_of_another_loop_is_refused_before_anything_is_submitted() -> None:
    async with open_scripted(Scripted(lambda name, attempt: running())) as other:
        foreign = other.submit("operations/a")

        async def wait_here() -> list[OperationFuture[Any]]:
            async with open_scripted(Scripted(lambda name, attempt: running())) as poller:
                for wait in (poller.wait_all, poller.as_completed):
                    with pytest.raises(RuntimeError, match="is used outside its event loop"):
                        await wait(["operations/b", foreign])  # type: ignore[misc]
                return poller.pending()

        assert await in_daemon_thread(lambda: asyncio.run(wait_here())) == []
