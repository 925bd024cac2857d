"""Which poller the options of a command come to."""

from __future__ import annotations

from lro_poller.cli.access import make_poller
from lro_poller.cli.arguments import parse

DRIVE = "https://www.googleapis.com/auth/drive"
WAIT = ["wait", "operations/a", "--anonymous"]
LIMITED = parse([*WAIT, "--max-in-flight", "3", "--max-rate", "5"])
SCOPED = parse([*WAIT, "--scope", DRIVE])
OTHER = parse([*WAIT, "--service", "workspaceevents:v1", "--endpoint", "http://127.0.0.1:1"])


async def test_the_limits_that_are_asked_for_are_the_pollers() -> None:
    budget = (await make_poller(LIMITED)).budget
    assert (budget.max_in_flight, budget.max_rate) == (3, 5.0)


async def test_the_scopes_that_are_asked_for_are_the_pollers() -> None:
    assert (await make_poller(SCOPED))._scopes == (DRIVE,)
    assert len((await make_poller(LIMITED))._scopes) > 1


async def test_the_service_and_its_endpoint_are_the_pollers() -> None:
    assert repr(await make_poller(OTHER)).startswith("<OperationPoller of workspaceevents:v1 at http://127.0.0.1:1, ")
