"""`lro-poller wait` and `lro-poller get`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import services
from ..auth import load_default
from ..errors import CredentialsError, InvalidOperationName, PollError
from ..future import OperationFuture
from ..poller import OperationPoller
from .exits import Exit
from .progress import progress
from .records import Record, Tally, describe, print_json, record_of

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["get", "wait"]


async def wait(options: argparse.Namespace) -> Exit:
    """Waits for the operations that are named; reports each as it ends."""
    try:
        names = _names(options.names, options.service)
        poller = await _poller(options)
        async with poller:
            return await _wait(poller, names, options)
    except (ValueError, CredentialsError) as error:
        return _complain(error)


async def get(options: argparse.Namespace) -> Exit:
    """Polls once."""
    try:
        services.find(options.service).names.check(options.name)
        async with await _poller(options) as poller:
            began = asyncio.get_running_loop().time()
            try:
                operation = await poller.get(options.name)
            except PollError as error:
                outcome, code, message = describe(error)
                record = Record(options.name, outcome, code, message, None, None, 1, 0.0)
            else:
                state = "running" if not operation.done else "failed" if operation.error else "succeeded"
                status = operation.error
                record = Record(
                    name=operation.name,
                    outcome=state,
                    code=None if status is None else status.code_name,
                    message=None if status is None else status.message,
                    response=operation.response,
                    metadata=operation.metadata,
                    polls=1,
                    elapsed=asyncio.get_running_loop().time() - began,
                )
    except (ValueError, CredentialsError) as error:
        return _complain(error)
    if options.format == "json":
        print_json(record.json())
    else:
        print(record.text())
        for field in ("metadata", "response"):
            if getattr(record, field) is not None:
                print(f"{field}: {json.dumps(getattr(record, field), indent=2, ensure_ascii=False)}")
    return record.exit


async def _wait(poller: OperationPoller, names: Sequence[str], options: argparse.Namespace) -> Exit:
    futures = [poller.submit(name, deadline=options.deadline) for name in names]
    tally = Tally(total=len(futures))
    try:
        with progress(tally, bar=options.format == "auto", every=10.0) as show:
            ticking = asyncio.ensure_future(_tick(show))
            try:
                async for future in poller.as_completed(futures):
                    record = record_of(future)
                    tally.add(record)
                    _report(record, options.format)
                    show()
            finally:
                ticking.cancel()
    except asyncio.CancelledError:
        _say_what_goes_on(futures)
        raise
    return tally.exit


async def _tick(show: Any) -> None:
    while True:
        await asyncio.sleep(1)
        show()


async def _poller(options: argparse.Namespace) -> OperationPoller:
    service = services.find(options.service)
    scopes = None if options.scope is None else service.check_scopes(options.scope)
    credentials: Credentials | None = None
    if options.anonymous:
        from google.auth.credentials import AnonymousCredentials

        credentials = AnonymousCredentials()
    elif options.credentials_file is not None:
        credentials = await load_default(scopes or service.scopes, options.credentials_file)
    return OperationPoller(
        service,
        endpoint=options.endpoint,
        credentials=credentials,
        scopes=scopes,
        max_in_flight=options.max_in_flight,
        max_rate=options.max_rate,
    )


def _names(given: Sequence[str], service: str) -> list[str]:
    """The names, those on standard input in the place of `-`, all of them checked."""
    names: list[str] = []
    for name in given:
        if name == "-":
            names += [line.strip() for line in sys.stdin if line.strip()]
        else:
            names.append(name)
    check = services.find(service).names.check
    wrong = [str(fault) for name in names if (fault := _fault(check, name)) is not None]
    if wrong:
        raise ValueError("\n".join(wrong))
    if not names:
        raise ValueError("no names came on standard input")
    return names


def _fault(check: Any, name: str) -> InvalidOperationName | None:
    try:
        check(name)
    except InvalidOperationName as error:
        return error
    return None


def _report(record: Record, form: str) -> None:
    if form == "json":
        print_json(record.json())
    else:
        print(record.text(), flush=True)


def _say_what_goes_on(futures: Sequence[OperationFuture[Any]]) -> None:
    pending = [future.name for future in futures if not future.done()]
    if pending:
        print("interrupted; these operations may still be running remotely:", *pending, sep="\n  ", file=sys.stderr)


def _complain(error: Exception) -> Exit:
    for line in str(error).splitlines():
        print(f"lro-poller: {line}", file=sys.stderr)
    return Exit.USAGE
