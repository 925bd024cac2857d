"""One is said in the singular, wherever a count is told."""

from __future__ import annotations

import pytest

from lro_poller import OperationPoller, PollError, Quota, Status
from lro_poller.counting import counted
from lro_poller.testing import Emulator
from lro_poller.wire import Reply

from .conftest import make_poller


@pytest.mark.parametrize("number, text", [(0, "0 polls"), (1, "1 poll"), (2, "2 polls"), (1000, "1000 polls")])
def test_a_count_is_said_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "poll") == text


def test_reprs_tell_of_one() -> None:
    assert repr(Reply(200, {}, b"a")) == "<Reply 200, 1 byte>"
    assert repr(Status(5, "gone", ({},))) == "<Status NOT_FOUND, 1 detail>"


async def test_a_future_tells_of_one_poll(emulator: Emulator, poller: OperationPoller) -> None:
    future = poller.submit(emulator.add_operation("operations/a"))
    assert repr(future) == "<OperationFuture operations/a pending, 0 polls>"
    await future
    assert repr(future) == "<OperationFuture operations/a succeeded, 1 poll>"


async def test_the_emulator_tells_of_one_read() -> None:
    async with (
        Emulator(quota=Quota(polls=1, seconds=10)) as emulator,
        make_poller(emulator.origin) as poller,
    ):
        name = emulator.add_operation()
        await poller.get(name)
        with pytest.raises(PollError, match="Quota exceeded: 1 read in 10 s"):
            await poller.get(name)
