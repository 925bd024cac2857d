"""The command line: what can be asked for, and what it exits with.

Parses and checks; each command is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from ..services import SERVICES, WORKSPACE_EVENTS
from ..version import __version__
from .exits import Exit
from .values import parse_count, parse_rate, parse_seconds, parse_share

__all__ = ["main"]

_EXITS = """\
exit status:
  0    every operation succeeded
  1    an operation failed
  2    bad usage, a bad name, or no credentials
  3    a deadline passed
  4    a poll failed for good
  130  interrupted
With several operations, the highest of theirs.
"""

_WAIT_EXAMPLES = """\
examples:
  lro-poller wait operations/abc --deadline 5m
  lro-poller wait - --format json < names.txt > outcomes.jsonl
  lro-poller wait operations/abc --endpoint http://127.0.0.1:8901 --anonymous

With --format json each operation that ends is one line on standard output:
  {"name", "outcome": "succeeded"|"failed"|"timed_out"|"poll_failed", "code", "message",
   "response", "metadata", "polls", "elapsed"}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status. `--help` of each command says what it does."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        return int(asyncio.run(_run(options)))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # or the interpreter complains about it at its end
        return Exit.INTERRUPTED


async def _run(options: argparse.Namespace) -> Exit:
    # A command's module brings its libraries with it: only the one that runs is loaded.
    if options.command == "wait":
        from .wait import wait

        return await wait(options)
    if options.command == "get":
        from .wait import get

        return await get(options)
    if options.command == "emulate":
        from .emulate import emulate

        return await emulate(options)
    from .demo import demo

    return await demo(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lro-poller",
        description="Waits for Google's long-running operations, many at once.",
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lro-poller {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_wait(commands)
    _add_get(commands)
    _add_emulate(commands)
    _add_demo(commands)
    return parser


def _add_wait(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    wait = _command(commands, "wait", "wait until operations end, and report each", _WAIT_EXAMPLES + "\n" + _EXITS)
    wait.add_argument(
        "names", nargs="+", metavar="NAME", help="such as operations/abc; - reads names from standard input"
    )
    wait.add_argument(
        "--deadline",
        type=parse_seconds,
        metavar="TIME",
        help="how long to wait for each: 90, 90s, 5m, 1h30m (no limit)",
    )
    _add_service(wait)
    wait.add_argument(
        "--max-in-flight", type=parse_count, default=32, metavar="N", help="polls under way at once (default: 32)"
    )
    wait.add_argument(
        "--max-rate",
        type=parse_rate,
        metavar="R",
        help="polls started a second; inf for no limit (default: 95%% of the service's quota at its own "
        "endpoint, none elsewhere)",
    )
    _add_format(wait)


def _add_get(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    get = _command(commands, "get", "poll an operation once, and show it", _EXITS)
    get.add_argument("name", metavar="NAME", help="such as operations/abc")
    _add_service(get)
    get.set_defaults(max_in_flight=1, max_rate=None)
    _add_format(get)


def _add_emulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    epilog = """\
The first line of standard output is its origin. Operations are created as in the real service, by
POST /v1beta/subscriptions; operations/demo-success, operations/demo-failure and operations/demo-endless
are there from the start. It listens on loopback only, and stops at Ctrl-C.
"""
    emulate = _command(commands, "emulate", "serve an emulated Workspace Events API for tests", epilog)
    emulate.add_argument("--port", type=int, default=8901, metavar="P", help="0 for a free one (default: 8901)")
    emulate.add_argument(
        "--duration",
        type=parse_seconds,
        default=2.0,
        metavar="TIME",
        help="median time an operation takes (default: 2s)",
    )
    emulate.add_argument(
        "--error-rate", type=parse_share, default=0.1, metavar="X", help="share of operations that fail (default: 0.1)"
    )
    emulate.add_argument(
        "--fault-rate", type=parse_share, default=0.05, metavar="X", help="share of polls that go wrong (default: 0.05)"
    )
    emulate.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn at random (default: 1)")


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    epilog = "Starts an emulated service and creates subscriptions on it. No request leaves this machine."
    demo = _command(commands, "demo", "watch many operations being polled to their ends", epilog)
    demo.add_argument("--operations", type=parse_count, default=200, metavar="N", help="how many (default: 200)")
    demo.add_argument("--seed", type=int, default=7, metavar="N", help="of durations, errors and faults (default: 7)")
    _add_format(demo)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, epilog: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=what,
        description=what.capitalize() + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--verbose", action="store_true", help="log every poll to standard error")
    return command


def _add_service(command: argparse.ArgumentParser) -> None:
    service = command.add_argument_group("the service")
    service.add_argument(
        "--service",
        default=WORKSPACE_EVENTS.id,
        choices=list(SERVICES),
        metavar="ID",
        help=f"one of {', '.join(SERVICES)} (default: {WORKSPACE_EVENTS.id})",
    )
    service.add_argument("--endpoint", metavar="URL", help="another origin than the service's own")
    credentials = service.add_mutually_exclusive_group()
    credentials.add_argument("--anonymous", action="store_true", help="send no token")
    credentials.add_argument("--credentials-file", metavar="F", help="a key or configuration file of google-auth")
    service.add_argument(
        "--scope", action="append", metavar="S", help="OAuth scope to ask for; may be repeated (default: all that do)"
    )


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format",
        choices=("auto", "text", "json"),
        default="auto",
        help="auto: text, with a progress bar on a terminal; json: one object a line on standard output",
    )
