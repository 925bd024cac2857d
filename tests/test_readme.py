"""The README says what is true: its first example runs as it stands, against the emulator."""

from __future__ import annotations

import asyncio
import functools
import re
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

import lro_poller
from lro_poller import Code
from lro_poller.testing import Emulator, HttpError

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


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


def test_the_example_of_the_emulator_runs_as_it_stands() -> None:
    head, body = EXAMPLES[3].split("\n\n", 1)
    source = f"{head}\nasync def example():\n" + "".join(f"    {line}\n" for line in body.splitlines())
    scope: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), scope)
    asyncio.run(scope["example"]())


@pytest.mark.parametrize("name", ["run", "test"])
def test_the_marked_commands_are_one_line(name: str) -> None:
    block = re.search(rf"^<!-- {name} -->\n```\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert block is not None
    assert len(block[1].splitlines()) == 1
