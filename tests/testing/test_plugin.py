"""The pytest plugin as its users have it: in a pytest of their own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lro_poller.testing import plugin

# looptime's plugin needs pytest-asyncio, and is none of our users' business.
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:looptime_plugin"]
PYTEST += ["-p", "no:looptime_timeproxies", "-p", "no:looptime_chronometers"]


def run_tests(folder: Path, source: str, *options: str) -> str:
    """Runs tests that somebody wrote; returns what pytest says."""
    (folder / "test_theirs.py").write_text(textwrap.dedent(source))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ended = subprocess.run(
        [sys.executable, *PYTEST, *options, "test_theirs.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_the_plugin_is_found_by_its_entry_point() -> None:
    (entry,) = importlib.metadata.entry_points(group="pytest11", name="lro_poller")
    assert entry.load() is plugin


def test_the_fixture_serves_a_test_that_blocks(tmp_path: Path) -> None:
    said = run_tests(
        tmp_path,
        """
        import json, urllib.request

        ORIGINS = []

        def get(emulator, name):
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{emulator.origin}/v1beta/{name}") as reply:
                return json.load(reply)

        def test_first(lro_emulator):
            name = lro_emulator.add_operation("operations/abc", response={"n": 1})
            assert get(lro_emulator, name)["response"] == {"n": 1}
            assert lro_emulator.polls(name) == 1

        def test_second_has_one_of_its_own(lro_emulator):
            assert lro_emulator.operations == {}
            assert lro_emulator.requests == []
        """,
    )
    assert "2 passed" in said


@pytest.mark.behaviour("B2")
def test_the_fixture_serves_an_async_test(tmp_path: Path) -> None:
    said = run_tests(
        tmp_path,
        """
        import functools

        import backoff
        import pytest
        from google.auth.credentials import AnonymousCredentials
        from lro_poller import OperationPoller

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_theirs(lro_emulator):
            name = lro_emulator.add_operation(polls=2, response={"n": 1})
            often = functools.partial(backoff.constant, interval=0.01)
            anonymous = AnonymousCredentials()
            async with OperationPoller(endpoint=lro_emulator.origin, credentials=anonymous, backoff=often) as poller:
                assert await poller.submit(name) == {"n": 1}
            assert lro_emulator.polls(name) == 3
        """,
    )
    assert "1 passed" in said


def test_an_error_in_the_test_stops_the_emulator_and_is_told(tmp_path: Path) -> None:
    said = run_tests(
        tmp_path,
        """
        import threading

        def test_that_fails(lro_emulator):
            raise ZeroDivisionError("theirs")

        def test_that_comes_after():
            assert threading.enumerate() == [threading.main_thread()]
        """,
    )
    assert "ZeroDivisionError: theirs" in said
    assert "1 failed, 1 passed" in said


def test_the_fixture_is_listed_with_what_it_is(tmp_path: Path) -> None:
    said = run_tests(tmp_path, "", "--fixtures")
    assert "lro_emulator" in said
    assert "An emulated Workspace Events service, listening on loopback" in said


HEAVY = ["aiohttp", "anyio.from_thread", "requests", "lro_poller.testing.emulator", "lro_poller.transports.aiohttp"]


def test_importing_the_plugin_imports_no_server() -> None:
    code = f"import sys, lro_poller.testing.plugin; print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert said.stdout == "[]\n"


def test_a_test_without_the_fixture_imports_no_server(tmp_path: Path) -> None:
    said = run_tests(
        tmp_path,
        """
        import sys

        def test_without():
            assert "lro_poller.testing.plugin" in sys.modules
            assert not {"aiohttp", "lro_poller.testing.emulator"} & set(sys.modules)

        def test_with(lro_emulator):
            assert {"aiohttp", "lro_poller.testing.emulator"} <= set(sys.modules)
        """,
    )
    assert "2 passed" in said
