"""What can be asked for, and how each command explains itself.

Parses and checks values; what they mean together is each command's own business.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..engine.budget import MAX_IN_FLIGHT
from ..services import SERVICES, WORKSPACE_EVENTS
from ..version import __version__
from .exits import Complaint
from .output import say
from .values import parse_count, parse_duration, parse_port, parse_rate, parse_seconds, parse_service, parse_share

__all__ = ["parse"]

_MEANT = {
    "--timeout": "--deadline",
    "--json": "--format json",
    "--output": "--format json",
    "-v": "--verbose",
    "--debug": "--verbose",
    "--scopes": "--scope",
    "--credentials": "--credentials-file",
}
"""What other programs call it."""

_FIRST_STEPS = """\
first steps, without an account; no request leaves this machine:
  lro-poller demo              two hundred operations, polled before your eyes
  lro-poller emulate           an emulated service, for the next line in another shell
  lro-poller wait operations/demo-success --endpoint http://127.0.0.1:8901 --anonymous

then, with the operation that subscriptions.create gave you:
  lro-poller wait operations/abc --deadline 5m

'lro-poller COMMAND --help' explains a command.
"""

_EXITS = """\
exit status:
  0    every operation succeeded
  1    an operation failed
  2    bad usage, a bad name, or no credentials
  3    a deadline passed; the operation may still be running
  4    a poll failed for good
  74   standard output cannot be written
  130  interrupted (Ctrl-C); 143 terminated; 129 hung up
With several operations, the highest of theirs.
"""

_GET_EXITS = """\
exit status:
  0    the operation succeeded, or is still running
  1    the operation failed
  2    bad usage, a bad name, or no credentials
  4    the poll failed
  74   standard output cannot be written
  130  interrupted (Ctrl-C); 143 terminated; 129 hung up
"""

_WAIT_EXAMPLES = """\
examples:
  lro-poller wait operations/abc --deadline 5m
  lro-poller wait - --format json < names.txt > outcomes.jsonl
  lro-poller wait operations/abc --endpoint http://127.0.0.1:8901 --anonymous

With --format json each operation that ends is one line on standard output:
  {"name", "outcome": "succeeded"|"failed"|"timed_out"|"poll_failed"|"interrupted", "code": "NOT_FOUND"|null,
   "message", "http_status": of a poll that failed, "details": of the error, "response", "metadata",
   "polls", "elapsed": seconds}
After Ctrl-C those that have not ended have a line each too. To go on with them:
  jq -r 'select(.outcome == "interrupted").name' outcomes.jsonl | lro-poller wait - --format json
Progress and messages go to standard error. Without --deadline it waits as long as it takes: a
connection that fails, a 429 or a 503 are tried again; a 403 or a 404 end the wait.
"""

_GET_EXAMPLES = """\
examples:
  lro-poller get operations/abc
  lro-poller get operations/abc --format json

With --format json it prints what 'wait' prints, and the outcome may be "running".
"""

_EMULATE_NOTES = """\
The first line of standard output is its origin, once it listens; it listens on loopback only.
These operations are there from the start:
  operations/demo-success   operations/demo-failure   operations/demo-endless
Others are created as in the real service:
  curl http://127.0.0.1:8901/v1beta/subscriptions -d '{"targetResource": "//chat.googleapis.com/spaces/x",
    "eventTypes": ["google.workspace.chat.message.v1.created"],
    "notificationEndpoint": {"pubsubTopic": "projects/p/topics/t"}}'
Ctrl-C ends it, and everything on it.
"""

_DEMO_NOTES = """\
Starts an emulated service, creates subscriptions on it through its API, and polls their operations. At
the end it tells how they ended, how many polls that took, and how late each end was noticed.
It exits with 0 only if every operation ended as scripted. No request leaves this machine.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line.

    Raises:
        SystemExit: it asks for help, or argparse has told what is wrong.
        Complaint: it has no command.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    if not given:
        say(parser.format_help())
        raise Complaint("no COMMAND is given")
    if given[0].startswith("operations/"):
        raise Complaint(f"a command comes first: lro-poller wait {given[0]}")
    options, unknown = parser.parse_known_args(given)
    if unknown:
        _refuse(options.parser, unknown)
    return options


def _refuse(command: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """Says what the command does not know, with what it does know that is like it."""
    known = [option for action in command._actions for option in action.option_strings]
    words = [word.partition("=")[0] for word in unknown if word != "-"]
    early = [word for word in words if word in known]
    meant = [close for word in words if (close := _MEANT.get(word) or _like(word, known)) is not None]
    meant = [option for option in meant if option.split()[0] in known]
    hint = ""
    if early and "--" not in unknown:
        hint = f" (options of a command come after it: {command.prog} {' '.join(early)} …)"
    elif meant and not early:
        hint = f" (did you mean {', '.join(meant)}?)"
    elif any(action.nargs == "+" for action in command._actions) and not any(word.startswith("-") for word in words):
        hint = " (names belong together, before the options or after them)"
    command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


def _like(word: str, known: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(word, known, 1, cutoff=0.7)
    return close[0] if close else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lro-poller",
        description="Waits for Google's long-running operations, many at once.",
        epilog=_FIRST_STEPS + "\n" + _EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
        "names",
        nargs="+",
        metavar="NAME",
        help="such as operations/abc; - reads names from standard input, one a line, without lines that begin with #",
    )
    wait.add_argument(
        "--deadline",
        type=parse_seconds,
        metavar="TIME",
        help="how long to wait for each: 90, 90s, 5m, 1h30m, 2d (default: no limit)",
    )
    _add_service(wait)
    wait.add_argument(
        "--max-in-flight", type=parse_count, metavar="N", help=f"polls under way at once (default: {MAX_IN_FLIGHT})"
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
    get = _command(commands, "get", "poll an operation once, and show it", _GET_EXAMPLES + "\n" + _GET_EXITS)
    get.add_argument("name", metavar="NAME", help="such as operations/abc")
    _add_service(get)
    get.set_defaults(max_in_flight=1, max_rate=None)
    _add_format(get, bar=False)


def _add_emulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    emulate = _command(commands, "emulate", "serve an emulated Workspace Events API for tests", _EMULATE_NOTES)
    emulate.add_argument("--port", type=parse_port, default=8901, metavar="P", help="0 for a free one (default: 8901)")
    emulate.add_argument(
        "--duration",
        type=parse_duration,
        default=2.0,
        metavar="TIME",
        help="median time an operation takes: 0, 500ms, 2s, 1m (default: 2s)",
    )
    emulate.add_argument(
        "--error-rate", type=parse_share, default=0.1, metavar="X", help="share of operations that fail (default: 0.1)"
    )
    emulate.add_argument(
        "--fault-rate", type=parse_share, default=0.05, metavar="X", help="share of polls that go wrong (default: 0.05)"
    )
    emulate.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn at random (default: 1)")


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = _command(commands, "demo", "watch many operations being polled to their ends", _DEMO_NOTES)
    demo.add_argument("--operations", type=parse_count, default=200, metavar="N", help="how many (default: 200)")
    demo.add_argument("--seed", type=int, default=7, metavar="N", help="of durations, errors and faults (default: 7)")
    _add_format(demo)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, epilog: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(parser=command)
    command.add_argument("--verbose", action="store_true", help="log every poll to standard error")
    return command


def _add_service(command: argparse.ArgumentParser) -> None:
    service = command.add_argument_group("the service")
    service.add_argument(
        "--service",
        type=parse_service,
        default=WORKSPACE_EVENTS,
        metavar="ID",
        help=f"{' or '.join(SERVICES)} (default: {WORKSPACE_EVENTS.id}); others can be polled from Python",
    )
    service.add_argument("--endpoint", metavar="URL", help="another origin than the service's own")
    credentials = service.add_mutually_exclusive_group()
    credentials.add_argument("--anonymous", action="store_true", help="send no token, as to an emulator")
    credentials.add_argument(
        "--credentials-file",
        metavar="F",
        help="a service account's key or another configuration file of Google's libraries "
        "(default: application default credentials, by 'gcloud auth application-default login' for instance)",
    )
    service.add_argument(
        "--scope",
        action="append",
        metavar="S",
        help="OAuth scope to ask for; may be repeated (default: all that allow it)",
    )


def _add_format(command: argparse.ArgumentParser, *, bar: bool = True) -> None:
    auto = (
        "auto: text, with a progress bar on a terminal (by the extra 'cli'); text: no bar"
        if bar
        else "auto, text: text"
    )
    command.add_argument(
        "--format",
        choices=("auto", "text", "json"),
        default="auto",
        help=f"{auto}; json: one object a line on standard output, nothing else there",
    )
