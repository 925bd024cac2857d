"""Polls of many operations in one request, for services that have a batch path.

Decides which polls go out together, which part of an answer is whose reply, and what the answer as a
whole means for each. How a request is sent is another transport's to decide. A batch asks for what its
polls would have asked for one by one, and no poll can tell from its reply that it was in one: where an
answer speaks of the batch and not of the operations, the polls are sent by themselves.

Sources: Google's pages on batching (the outer fields hold for each part, Content-ID comes back with
`response-` before it), RFC 2046 (multipart), RFC 9110 (status codes, Retry-After).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from ..checks import check_path, check_wait, check_whole
from ..wire import MAX_BODY, Fault, NoReply, Reply, passes
from . import check_home
from .multipart import MAX_PARTS, Fields, Message, by_content_id, find_boundary, split, write

__all__ = ["MAX_ANSWER", "BatchTransport", "Carrier"]

logger = logging.getLogger("lro_poller")

MAX_ANSWER = 8 << 20
"""Bytes of the answer to a batch: 80 KiB for each of a hundred polls, or `wire.MAX_BODY` for eight.

A hundred times `MAX_BODY` would be a hundred mebibytes at the server's pleasure. Polls whose answer is
longer are sent by themselves.
"""

_LONGEST_WAIT = 1.0  # seconds
_ROUTING = "x-goog-request-params"  # the one field that differs from poll to poll
_BOUNDARY = b"lro-poller"  # a part is a request line and one field: none of its lines begins with dashes
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? ([1-9]\d\d)(?= |\r?$)")

_Fields = tuple[tuple[str, str], ...]


class Carrier(Protocol):
    """A transport that can also send a body, as `AiohttpTransport` can."""

    library: str
    """As in `Transport`."""

    @property
    def origin(self) -> str:
        """Where it sends to."""
        ...

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, limit: int = MAX_BODY
    ) -> Reply:
        """As `Transport.send`, with a body, and for replies of up to `limit` bytes."""
        ...

    async def aclose(self) -> None:
        """As in `Transport`."""


def _check_carrier(transport: object) -> None:
    """Sees to it that `transport` sends bodies: that it does not would show when two polls fall due together.

    Raises:
        TypeError: it does not.
    """
    send = getattr(transport, "send", None)
    if isinstance(transport, type) or not _takes_a_body(send):
        raise TypeError(
            f"what sends batches must be a transport that sends bodies, such as AiohttpTransport(…), not {transport!r}"
        )


def _takes_a_body(send: Any) -> bool:
    if not callable(send):
        return False
    try:
        inspect.signature(send).bind("POST", "/", {}, b"", limit=MAX_ANSWER)
    except TypeError:
        return False
    except ValueError:
        pass  # it has no signature to look at
    return True


class BatchTransport:
    """Gathers polls into batch requests, which another transport sends.

        transport = BatchTransport(AiohttpTransport(service.origin), service.batch_path)
        async with OperationPoller(service, transport=transport, max_in_flight=100) as poller:
            ...

    It saves processor time, here and on the wire, and no quota: a service counts each part of a batch
    as a request. A batch is no larger than the polls that are under way, so a poller's `max_in_flight`
    (32 by default) bounds it, and is to be raised for large ones. A poll that falls due alone is sent as
    it would be without this transport, after it has waited.

    A service that answers as if it had no batches is remembered, and polled one by one from then on.

    Args:
        transport: What sends the batches, and whatever is no poll. It is closed with this one.
        batch_path: Of the service, such as `"/batch"`.
        max_parts: How many polls one request takes; services allow 100, a few of them 50.
        max_wait: Seconds that a poll may wait for others to go out with; 0 for no longer than
            it takes the loop to come round.

    Raises:
        ValueError: an argument is out of its range, or the service has no batch path.
        TypeError: the transport sends no bodies.
    """

    def __init__(
        self, transport: Carrier, batch_path: str | None, *, max_parts: int = 100, max_wait: float = 0.002
    ) -> None:
        if batch_path is None:
            raise ValueError("the service has no batch path: its operations are polled one by one")
        if check_wait("max_wait", max_wait) > _LONGEST_WAIT:
            raise ValueError(f"max_wait must be a number of seconds from 0 to {_LONGEST_WAIT:g}, not {max_wait!r}")
        _check_carrier(transport)
        self.library = transport.library
        self._transport = transport
        self._path = check_path("batch_path", batch_path)
        self._max_parts = check_whole("max_parts", max_parts, 1, MAX_PARTS)
        self._max_wait = max_wait
        self._gathering: dict[_Fields, _Batch] = {}
        self._under_way: dict[asyncio.Task[None], _Batch] = {}
        self._count = 0
        self._answered = False
        self._refused = False

    def __repr__(self) -> str:
        return f"<BatchTransport to {self._path}{', refused,' if self._refused else ''} over {self._transport!r}>"

    @property
    def origin(self) -> str:
        """Where it sends to."""
        return self._transport.origin

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that its connections belong to; None while there are none."""
        return getattr(self._transport, "home", None)

    async def send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """See `Transport.send`."""
        if method == "GET" and not self._refused:
            batch, answer = self._join(path, headers)
            try:
                reply = await answer
            except asyncio.CancelledError:
                self._leave(batch)
                raise
            if reply is not None:
                return reply
        return await self._transport.send(method, path, headers)

    async def aclose(self) -> None:
        """Ends every batch: a poll that has no reply yet ends with NoReply. See `Transport.aclose`."""
        here = asyncio.get_running_loop()
        for batch in [batch for batch in self._gathering.values() if batch.loop is here]:
            self._forget(batch)
            batch.end(self._closed())
        under_way = [task for task, batch in self._under_way.items() if batch.loop is here]
        for task in under_way:
            task.cancel()
        try:
            if under_way:
                await asyncio.wait(under_way)
        finally:
            await self._transport.aclose()

    # Gathering.

    def _join(self, path: str, headers: Mapping[str, str]) -> tuple[_Batch, _Answer]:
        """Adds a poll to the batch of those that share its fields, its token among them."""
        routing = headers.get(_ROUTING, "")
        if not (path.isprintable() and routing.isprintable()):
            raise ValueError("a path or a header field with control characters")
        fields = tuple([item for item in headers.items() if item[0] != _ROUTING])
        batch = self._gathering.get(fields)
        if batch is not None and batch.loop is not asyncio.get_running_loop():
            check_home(self, batch.loop)
            batch = None
        if batch is None:
            batch = self._gathering[fields] = _Batch(fields)
            batch.timer = batch.loop.call_later(self._max_wait, self._flush, batch)
        answer: _Answer = batch.loop.create_future()
        batch.polls.append(_Poll(path, routing, answer))
        batch.waiting += 1
        if len(batch.polls) >= self._max_parts:
            self._flush(batch)
        return batch, answer

    def _leave(self, batch: _Batch) -> None:
        """A caller waits no more; once nobody does, there is nothing to send or to wait for."""
        batch.waiting -= 1
        if not batch.waiting:
            self._forget(batch)
            if batch.task is not None:
                batch.task.cancel()

    def _forget(self, batch: _Batch) -> None:
        """No poll joins this batch any more."""
        if batch.timer is not None:
            batch.timer.cancel()
        if self._gathering.get(batch.fields) is batch:
            del self._gathering[batch.fields]

    def _flush(self, batch: _Batch) -> None:
        """Sends a batch on its way; a lone poll goes by itself."""
        self._forget(batch)
        batch.polls = [poll for poll in batch.polls if not poll.answer.done()]
        if len(batch.polls) < 2:
            batch.end(None)
            return
        # Running numbers: an answer that belongs to another batch must not pass for this one's.
        batch.first, self._count = self._count, self._count + len(batch.polls)
        batch.task = batch.loop.create_task(self._run(batch), name="lro-poller batch")
        self._under_way[batch.task] = batch
        batch.task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        """A batch is over: nobody is left waiting, however it ended."""
        error = self._closed() if task.cancelled() else task.exception()
        self._under_way.pop(task).end(error)

    def _closed(self) -> NoReply:
        return NoReply(Fault.UNREACHABLE, f"the transport to {self._transport.origin} was closed")

    # One batch.

    async def _run(self, batch: _Batch) -> None:
        try:
            reply = await self._post(batch)
        except NoReply as failure:
            # Where an answer was too large for all of them, each may be of a size that is read.
            batch.end(None if failure.fault is Fault.TOO_LARGE else failure)
            return
        boundary = find_boundary(reply.headers.get("Content-Type", "")) if 200 <= reply.status < 300 else None
        if boundary is None:
            batch.end(self._judge(reply))
            return
        self._answered = True
        self._deal(batch, reply, boundary)

    async def _post(self, batch: _Batch) -> Reply:
        fields = {**dict(batch.fields), "Content-Type": f"multipart/mixed; boundary={_BOUNDARY.decode()}"}
        body = write(_BOUNDARY, [(f"<{number}>", poll.written()) for number, poll in batch.numbered()])
        try:
            return await self._transport.send("POST", self._path, fields, body, limit=MAX_ANSWER)
        except NoReply as failure:
            if failure.fault is not Fault.UNREACHABLE:
                raise
        # A kept connection may have been closed meanwhile. aiohttp repeats a GET then, but no POST: this one is all GETs.
        return await self._transport.send("POST", self._path, fields, body, limit=MAX_ANSWER)

    def _judge(self, reply: Reply) -> Reply | NoReply | None:
        """What an answer that is no batch means for each poll; None: that it is to be sent by itself.

        What would be final for a poll is not each poll's own: 404 and 405 mean the batch path, and
        whether a 403 holds for the operations too is for them to say. A page with status 200 comes from
        a server that knows no batches, or, where it did know them before, from a portal on the way.
        """
        origin = self._transport.origin
        if reply.status == 401 or passes(reply.status):  # each poll's own
            if len(reply.body) <= MAX_BODY:
                return reply
            return NoReply(Fault.TOO_LARGE, f"{origin} sent a body of more than {MAX_BODY} bytes")
        if 200 <= reply.status < 300 and self._answered:
            # The body is nobody's: read as an operation, it would be the same one for all of them.
            return NoReply(Fault.BROKEN, f"{origin} answered a batch with something else")
        if not self._refused:
            logger.warning(
                "%s takes no batches at %s (HTTP %d); polls go out one by one", origin, self._path, reply.status
            )
        self._refused = True
        return None

    def _deal(self, batch: _Batch, reply: Reply, boundary: bytes) -> None:
        """Gives each poll its own part of the answer."""
        origin = self._transport.origin
        try:
            contents = by_content_id(split(reply.body, boundary))
        except ValueError as error:
            batch.end(NoReply(Fault.BROKEN, f"{origin} sent a broken answer to a batch: {error}"))
            return
        for number, poll in batch.numbered():
            if not poll.answer.done():
                try:
                    poll.answer.set_result(_read(contents.get(f"<response-{number}>"), reply, origin))
                except NoReply as failure:
                    poll.answer.set_exception(failure)


_Answer = asyncio.Future[Reply | None]


class _Poll(NamedTuple):
    """One poll of a batch, and who waits for it. None as its answer: it is to be sent by itself."""

    path: str
    routing: str
    answer: _Answer

    def written(self) -> bytes:
        """The request that its part holds."""
        routing = f"{_ROUTING}: {self.routing}\r\n" if self.routing else ""
        return f"GET {self.path} HTTP/1.1\r\n{routing}\r\n".encode()


class _Batch:
    """Polls that go out together, the fields that they share, and how many callers still wait for one."""

    __slots__ = ("fields", "first", "loop", "polls", "task", "timer", "waiting")

    def __init__(self, fields: _Fields) -> None:
        self.fields = fields
        self.polls: list[_Poll] = []
        self.waiting = 0
        self.first = 0
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def numbered(self) -> Iterable[tuple[int, _Poll]]:
        """The polls, each with the number in its Content-ID."""
        return enumerate(self.polls, self.first)

    def end(self, outcome: Reply | BaseException | None) -> None:
        """The same outcome for every poll that has none yet."""
        for poll in self.polls:
            if poll.answer.done():
                continue
            if isinstance(outcome, BaseException):
                poll.answer.set_exception(_twin(outcome))
            else:
                poll.answer.set_result(outcome)


def _twin(error: BaseException) -> BaseException:
    """Another of the same: an exception that many raise would show the tracebacks of them all."""
    if not isinstance(error, NoReply):
        return error
    twin = NoReply(error.fault, error.reason)
    twin.__cause__ = error.__cause__
    return twin


def _read(content: bytes | None, answer: Reply, origin: str) -> Reply:
    """The reply that a part of an answer holds."""
    if content is None:
        raise NoReply(Fault.BROKEN, f"{origin} answered a batch without this poll, or with two answers to it")
    try:
        message = Message.read(content)
    except ValueError as error:
        raise NoReply(Fault.BROKEN, f"{origin} sent a broken part in the answer to a batch: {error}") from None
    line = _STATUS_LINE.match(message.start)
    if line is None:
        raise NoReply(Fault.BROKEN, f"{origin} sent a part without a status in the answer to a batch")
    if len(message.body) > MAX_BODY:
        raise NoReply(Fault.TOO_LARGE, f"{origin} sent a body of more than {MAX_BODY} bytes")
    return Reply(int(line[1]), _dated(message.fields, answer), message.body)


def _dated(fields: Mapping[str, str], answer: Reply) -> Mapping[str, str]:
    """The fields; where a Retry-After has no Date beside it, with that of the answer."""
    retry_after, date = fields.get("Retry-After"), answer.headers.get("Date")
    if retry_after is None or date is None or fields.get("Date") is not None:
        return fields
    return Fields(f"Retry-After: {retry_after}\nDate: {date}".encode())
