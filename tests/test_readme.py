"""The README says what is true: its first example runs as it stands, against the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web
from google.auth.credentials import AnonymousCredentials
from yarl import URL

import lro_poller
from lro_poller import Code
from lro_poller.testing import Emulator, HttpError, RawReply

from .conftest import make_poller

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SERVICES = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "services.md").read_text(), re.DOTALL
)
RECIPES = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "script, printed",
    [
        ({"response": {"name": "subscriptions/1"}}, "subscribed: {'name': 'subscriptions/1'}"),
        ({"error": Code.PERMISSION_DENIED}, "it failed: scripted PERMISSION_DENIED ()"),
        ({"faults": [HttpError(404)]}, "not known: operations/abc: "),
    ],
)
def test_the_first_example_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: dict[str, Any], printed: str
) -> None:
    with Emulator() as emulator:
        emulator.add_operation("operations/abc", **script)
        here = functools.partial(
            lro_poller.OperationPoller, endpoint=emulator.origin, credentials=AnonymousCredentials()
        )
        monkeypatch.setattr(lro_poller, "OperationPoller", here)
        exec(compile(EXAMPLES[0], "README.md", "exec"), {"__name__": "__main__"})
    out = capsys.readouterr().out
    assert out.startswith(printed) if printed.endswith(" ") else out == printed + "\n"


def example_of(word: str) -> str:
    """The one example of the README that has that word in it."""
    (example,) = [one for one in EXAMPLES if word in one]
    return example


def run(example: str) -> None:
    """Runs an example that awaits, whose imports come first."""
    head, body = example.split("\n\n", 1)
    source = f"{head}\nasync def example():\n" + "".join(f"    {line}\n" for line in body.splitlines())
    scope: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), scope)
    asyncio.run(scope["example"]())


def test_the_example_of_the_emulator_runs_as_it_stands() -> None:
    run(example_of("HttpError"))


def test_the_example_of_a_test_passes_as_it_stands(lro_emulator: Emulator) -> None:
    scope: dict[str, Any] = {}
    exec(compile(example_of("lro_emulator"), "README.md", "exec"), scope)
    scope["test_it"](lro_emulator)


def point(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """Has every poller of an example poll there."""
    opened = lro_poller.OperationPoller
    here = functools.partial(opened, endpoint=origin, credentials=AnonymousCredentials())
    monkeypatch.setattr(lro_poller, "OperationPoller", here)


def test_the_example_of_other_services_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    service = lro_poller.Service("run", "v2", "https://run.googleapis.com", lro_poller.NamePattern("projects/**"))
    with Emulator(service) as emulator:
        emulator.add_operation("projects/p/locations/l/operations/o")
        point(monkeypatch, emulator.origin)
        run(SERVICES[0])
        assert [request.path for request in emulator.requests] == ["/v2/projects/p/locations/l/operations/o"]


@pytest.mark.behaviour("B1", "B4")
@pytest.mark.parametrize(
    "reply, outcome",
    [
        ({"status": "DONE", "targetLink": "x"}, None),
        ({"status": "DONE", "error": {"errors": [{"code": "NOT_FOUND", "message": "gone"}]}}, "NOT_FOUND: gone"),
    ],
)
def test_the_example_of_a_dialect_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, reply: dict[str, Any], outcome: str | None
) -> None:
    service = lro_poller.Service(
        "compute", "compute/v1", "https://compute.googleapis.com", lro_poller.NamePattern("projects/**")
    )
    name, body = "projects/p/zones/z/operations/operation-1", json.dumps(reply).encode()
    with Emulator(service) as emulator:
        emulator.add_operation(name, faults=[RawReply(b'{"status": "RUNNING"}'), RawReply(body)])
        point(monkeypatch, emulator.origin)
        with contextlib.nullcontext() if outcome is None else pytest.raises(lro_poller.Unknown, match=outcome):
            run(SERVICES[1])
        assert emulator.polls(name) == 2


def test_the_example_of_an_emulated_dialect_runs_as_it_stands() -> None:
    run(SERVICES[1].partition("async with")[0] + SERVICES[2])


async def test_the_batch_can_be_run_again(emulator: Emulator) -> None:
    scope: dict[str, Any] = {}
    exec(compile(RECIPES[0], "recipes.md", "exec"), scope)

    async def run(seconds: float) -> list[str]:
        with contextlib.suppress(TimeoutError):
            async with make_poller(emulator.origin) as poller, asyncio.timeout(seconds):
                await scope["wait_for_the_rest"](poller, names, outcomes)
        return outcomes.names()

    names = [
        emulator.add_operation(response={"n": 1}),
        emulator.add_operation(duration=50, error=Code.NOT_FOUND),
        emulator.add_operation(duration=4000),
        emulator.add_operation(duration=90, faults=[HttpError(403)]),
    ]
    names.append(names[0])
    outcomes = FileOfLines()
    assert await run(10) == names[:1]
    outcomes.write_text(outcomes.read_text() + '{"name": "operations/to')
    assert await run(5000) == [*names[:2], names[3]]
    assert await run(5000) == [*names[:2], names[3], names[2]]


class FileOfLines:
    """A file in memory, because the loop of a test must not block. What was not flushed is lost."""

    def __init__(self) -> None:
        self._flushed = self._written = ""

    def exists(self) -> bool:
        return bool(self._flushed)

    def read_text(self) -> str:
        return self._flushed

    def write_text(self, text: str) -> None:
        self._flushed = text

    @contextlib.contextmanager
    def open(self, mode: str) -> Iterator[Self]:
        self._written = ""
        yield self

    def write(self, text: str) -> None:
        self._written += text

    def flush(self) -> None:
        self._flushed, self._written = self._flushed + self._written, ""

    def names(self) -> list[str]:
        return [json.loads(line)["name"] for line in self._flushed.splitlines()]


async def test_the_web_service_answers_whatever_becomes_of_an_operation(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(RECIPES[1], "recipes.md", "exec"), scope)
    opened = lro_poller.OperationPoller
    monkeypatch.setattr(
        lro_poller,
        "OperationPoller",
        lambda: opened(endpoint=emulator.origin, credentials=AnonymousCredentials()),
    )
    emulator.add_operation("operations/fine", response={"n": 1})
    emulator.add_operation("operations/bad", error=Code.NOT_FOUND)
    emulator.add_operation("operations/long", duration=40)
    emulator.add_operation("operations/endless", duration=None)
    runner = web.AppRunner(scope["app"])
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async with aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, Any]:
            async with session.get(URL(base + path, encoded=True)) as response:
                return response.status, await response.json()

        assert await ask("/wait/fine") == (200, {"n": 1})
        assert (await ask("/wait/bad"))[0] == 502
        assert (await ask("/wait/none"))[0] == 502
        assert (await ask("/wait/fine?token=nonsense"))[0] == 400
        status, answer = await ask("/wait/long")
        assert status == 202
        assert (await ask(answer["running"]))[0] == 200
        waiting = asyncio.ensure_future(ask("/wait/endless"))
        await asyncio.sleep(1)
        await runner.cleanup()
        status, answer = await waiting
        assert status == 202
        assert "operations/endless" in URL(answer["running"]).query["token"]


async def test_the_worker_goes_on_where_it_stopped(emulator: Emulator) -> None:
    scope: dict[str, Any] = {}
    exec(compile(RECIPES[2], "recipes.md", "exec"), scope)
    name, file = emulator.add_operation(duration=60, response={"n": 1}), FileOfLines()
    async with make_poller(emulator.origin) as poller:
        poller.submit(name)
        poller.submit(name)
        await asyncio.sleep(10)
        scope["save"](poller, file)
    async with make_poller(emulator.origin) as poller:
        (future,) = scope["go_on"](poller, file)
        assert await future == {"n": 1}


def test_every_option_and_every_part_of_a_future_is_listed() -> None:
    listed = (Path(__file__).parents[1] / "docs" / "options.md").read_text()
    _, poller, wait, future = listed.split("\n## ")
    for text, documented in (
        (poller, lro_poller.OperationPoller.__doc__),
        (wait, lro_poller.OperationPoller.submit.__doc__),
    ):
        assert documented is not None
        args = documented.partition("Args:")[2].partition("Raises:")[0]
        first = args[: len(args) - len(args.lstrip())]  # the line break, and how far names are indented
        options = [name for name in re.findall(rf"{first}(\w+): ", args) if name != "operation"]
        assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == options
    assert {*inspect.signature(lro_poller.OperationPoller).parameters} == {
        *re.findall(r"^\| `(\w+)`", poller, re.MULTILINE)
    }
    assert {"decode", *lro_poller.WaitOptions.__annotations__} == {*options}
    parts = {name for name in vars(lro_poller.OperationFuture) if not name.startswith("_")}
    assert parts <= set(re.findall(r"`(\w+)", future))


@pytest.mark.parametrize("name", ["run", "test"])
def test_the_marked_commands_are_one_line(name: str) -> None:
    block = re.search(rf"^<!-- {name} -->\n```\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert block is not None
    assert len(block[1].splitlines()) == 1
