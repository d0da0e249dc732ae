"""The command line: its arguments, commands and exit codes."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from contextlib import closing
from io import TextIOWrapper
from typing import TYPE_CHECKING

from breaker_asgi._core.state import FORCED_OPEN, OPEN, CircuitBreakerState
from breaker_asgi.cli.client import NOT_THERE, Client, address
from breaker_asgi.cli.errors import CommandError, Exit
from breaker_asgi.cli.formatting import countdown, percent, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from urllib.parse import SplitResult

    from breaker_asgi.cli.schema import Breaker

ACTIONS = {
    "open": "reject calls until the open time has passed, then probe",
    "force-open": "reject calls until somebody changes the state, or --for is over",
    "close": "admit calls and watch them",
    "half-open": "admit a few probes, and judge by them",
    "disable": "admit calls and do not watch them",
    "metrics-only": "admit calls and watch them, and never trip",
    "reset": "closed, with nothing held against it",
}
ENDING = {
    "open": "its open time, this once",
    **dict.fromkeys(("force-open", "disable", "metrics-only"), "then it closes"),
}
"""The help text of `--for`, for each action that accepts it."""
EPILOG = """\
exit codes: 0 done; 1 (status) open or forced open; 2 wrong usage; 3 no monitor answers there;
4 not allowed; 5 no such breaker
"""
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_SHORTEST, _LONGEST = 0.1, 3_600.0
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except CommandError as error:
        lines = [f"breaker-asgi: {error.message}", error.remedy or NOT_THERE]
        print(*lines, sep="\n", file=sys.stderr)  # noqa: T201
        return error.code
    except KeyboardInterrupt:
        return Exit.DONE if options.command == "top" else _INTERRUPTED
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    return code


def _run(options: argparse.Namespace) -> Exit:
    top = _table() if options.command == "top" else None
    with closing(Client(options.url, dict(options.header))) as client:
        if top is not None:
            return top(client, options)
        if options.command == "status":
            return _status(client, options.name)
        return _change(client, options)


def _table() -> Callable[[Client, argparse.Namespace], Exit]:
    try:
        from breaker_asgi.cli.top import top  # noqa: PLC0415 (an extra)
    except ImportError as error:
        if error.name != "rich":  # rich itself is broken
            raise
        raise CommandError(Exit.USAGE, str(error), "The other commands work without it.") from error
    return top


def _status(client: Client, name: str) -> Exit:
    breaker = client.breaker(name)
    line = f"{printable(name)}: {breaker.state.words} ({printable(breaker.reason)})"
    if breaker.state == OPEN and breaker.retry_after is not None:
        due = countdown(breaker.retry_after)
        line += f", next probe in {due}" if breaker.retry_after else ", next call is a probe"
    if breaker.admitted_share is not None:
        line += f", {percent(breaker.admitted_share)} admitted"
    if breaker.state == FORCED_OPEN and breaker.retry_after:
        line += f", closes in {countdown(breaker.retry_after)}"
    if slow := breaker.slow_calls_under_way:
        line += f", {breaker.calls_under_way:,} calls under way, {slow:,} of them slow"
    print(line)  # noqa: T201
    return Exit.OPEN if breaker.state in (OPEN, FORCED_OPEN) else Exit.DONE


def _change(client: Client, options: argparse.Namespace) -> Exit:
    form = {"why": options.why, "for": options.for_}
    before = client.breaker(options.name)
    fields = {field: value for field, value in form.items() if value is not None}
    after = client.change(options.name, options.command, fields)
    effect, name = _effect(before, after), printable(options.name)
    if (store := before.store) is not None and not store.works:
        why = f" ({printable(store.problem)})" if store.problem else ""
        warning = f"breaker-asgi: {name} is {effect}{why}"
        remedy = "The others follow once it works, if this worker is alive then."
        print(warning, remedy, sep="\n", file=sys.stderr)  # noqa: T201
    print(f"{name}: {effect}")  # noqa: T201
    return Exit.DONE


def _effect(before: Breaker, after: Breaker) -> str:
    """Return the effect of an action on a breaker, and where it holds."""
    listed, changed = (breaker.worker and breaker.worker.pid for breaker in (before, after))
    if before.store is not None and not before.store.works:
        return f"{after.state.words} in worker {changed} only: the store does not work"
    if before.store is None and listed and changed and listed != changed:
        elsewhere = f"worker {listed} has it {before.state.words}"
        return f"{after.state.words} in worker {changed}; {elsewhere}"
    return f"{before.state.words} -> {after.state.words}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="breaker-asgi",
        description="Show and control an application's circuit breakers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    top = _command(commands, "top", "a live table of all breakers; q ends it")
    top.add_argument(
        "--interval", type=_interval, default=1.0, metavar="SECONDS", help="between two looks: 1"
    )
    top.add_argument("--once", action="store_true", help="print the table once, and end")
    top.add_argument(
        "--state", type=_state, action="append", default=[], help="only breakers in this state"
    )
    top.add_argument("--name", metavar="PATTERN", help="only breakers so named, such as 'pay*'")
    status = _command(commands, "status", "print a breaker's state; exit code 1 if it is open")
    status.add_argument("name", type=_name, metavar="NAME")
    for action, help_text in ACTIONS.items():
        command = _command(commands, action, help_text)
        command.add_argument("name", type=_name, metavar="NAME")
        command.add_argument("--why", metavar="TEXT", help="goes into the reason and the log")
        command.set_defaults(for_=None)
        if action in ENDING:
            command.add_argument(
                "--for", dest="for_", type=_time, metavar="SECONDS", help=ENDING[action]
            )
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=help_text, description=f"{help_text}.", allow_abbrev=False
    )
    command.add_argument("url", type=_url, metavar="URL", help="the monitor's address")
    command.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with each request",
    )
    return command


def _url(text: str) -> SplitResult:
    try:
        return address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{printable(text)!r}: {error}") from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and _TOKEN.fullmatch(name) and value.isprintable() and value.isascii()):
        raise argparse.ArgumentTypeError("a header looks like 'Authorization: Bearer x'")
    return name, value.strip()


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and _SHORTEST <= seconds <= _LONGEST):
        raise argparse.ArgumentTypeError(f"{printable(text)!r}: {_SHORTEST:g} to {_LONGEST:g} s")
    return seconds


def _time(text: str) -> str:
    """Return the duration as text; the monitor checks its upper limit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        message = f"{printable(text)!r}: seconds above 0, such as 600"
        raise argparse.ArgumentTypeError(message)
    return f"{seconds:.15g}"


def _state(text: str) -> str:
    values = [state.value for state in CircuitBreakerState]
    if (state := text.replace("-", "_")) not in values:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is none of {', '.join(values)}")
    return state


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("a breaker's name is not empty")
    return text
