"""The arguments of the command line, and their defaults in the environment."""

from __future__ import annotations

import argparse
import math
import os
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi.cli.client import EXAMPLE, address
from breaker_asgi.cli.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

URL, TOKEN = "BREAKER_ASGI_URL", "BREAKER_ASGI_TOKEN"
"""Environment variables: the monitor's address, and a bearer token."""

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
EPILOG = f"""\
environment: {URL} is the address where none is given, {TOKEN} a bearer token
exit codes: 0 done; 1 (status) open or forced open; 2 wrong usage; 3 no monitor answers there;
4 not allowed; 5 no such breaker
"""
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_SHORTEST, _LONGEST = 0.1, 3_600.0
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_TIME = re.compile(r"(?:\d+(?:\.\d+)?(?:s|min|m|h|d))+")
_WORDS = {"top": "[URL]", "list": "[URL]", "status": "[URL] NAME"}
_SEVERAL = "[URL] NAME"
"""The words of a control: any number of names."""


def parse(
    arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """Parse the arguments; the options have the address as `url`, and the `names`."""
    parser = _parser()
    options, more = parser.parse_known_args(arguments)
    if unknown := [word for word in more if word.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(map(printable, unknown))}")
    command: argparse.ArgumentParser = options.parser
    try:
        _settle(options, [*options.words, *more], environment)
        options.header += _credentials(options.header, environment)
    except ValueError as error:
        command.error(str(error))
    return options


def _settle(options: argparse.Namespace, words: list[str], environment: Mapping[str, str]) -> None:
    """Tell the address from the names. Without an address in the environment it comes first."""
    named = options.command not in {"top", "list"}
    most = {"top": 1, "list": 1, "status": 2}.get(options.command, math.inf)
    default = environment.get(URL)
    alone = len(words) <= named or (most == math.inf and "://" not in words[0])
    url = default if default and alone else words.pop(0) if words else None
    if url is None:
        raise ValueError(f"an address is required, such as {EXAMPLE}, or {URL} in the environment")
    if len(words) < named:
        raise ValueError("the name of a breaker is required")
    if len(words) > most - 1:
        raise ValueError(f"one word too many: {printable(words[-1])!r}")
    if "" in words:
        raise ValueError("a breaker's name is not empty")
    try:
        options.url = address(url)
    except ValueError as error:
        raise ValueError(f"{printable(url)!r}: {error}") from error
    options.names = words


def _credentials(
    headers: list[tuple[str, str]], environment: Mapping[str, str]
) -> list[tuple[str, str]]:
    token = environment.get(TOKEN)
    if not token or any(name.lower() == "authorization" for name, _ in headers):
        return []
    if not (token.isprintable() and token.isascii()):
        raise ValueError(f"{TOKEN} has characters that no header can have")
    return [("Authorization", f"Bearer {token}")]


class _Version(argparse.Action):
    """The option that prints the version, which only an installed package has."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"breaker-asgi {version('breaker_asgi')}")  # noqa: T201
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="breaker-asgi",
        description="Show and control an application's circuit breakers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    top = _command(commands, "top", "a live table of all breakers; q ends it")
    top.add_argument(
        "--interval", type=_interval, default=1.0, metavar="SECONDS", help="between two looks: 1"
    )
    top.add_argument("--once", action="store_true", help="print the table once, and end")
    listing = _command(commands, "list", "print a line for each breaker")
    for command in (top, listing):
        command.add_argument(
            "--state", type=_state, action="append", default=[], help="only breakers in this state"
        )
        command.add_argument(
            "--name", metavar="PATTERN", help="only breakers so named, such as 'pay*'"
        )
    status = _command(commands, "status", "print a breaker's state; exit code 1 if it is open")
    controls = {
        action: _command(commands, action, help_text) for action, help_text in ACTIONS.items()
    }
    for command in (listing, status, *controls.values()):
        command.add_argument("--json", action="store_true", help="print JSON, for programs")
    for action, command in controls.items():
        command.add_argument("--why", metavar="TEXT", help="goes into the reason and the log")
        command.set_defaults(for_=None)
        if action in ENDING:
            command.add_argument(
                "--for",
                dest="for_",
                type=_time,
                metavar="TIME",
                help=f"seconds, or such as 10m, 1h30m: {ENDING[action]}",
            )
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=help_text, description=f"{help_text}.", allow_abbrev=False
    )
    words = {"top": "the monitor's address", "list": "the monitor's address"}
    command.add_argument(
        "words",
        nargs="*",
        metavar=_WORDS.get(name, _SEVERAL),
        help=words.get(name, "the monitor's address, and the breaker"),
    )
    command.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with each request",
    )
    command.set_defaults(parser=command)
    return command


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


def seconds_of(text: str) -> str:
    """Return a time as text in seconds; the monitor checks its upper limit.

    Raise ValueError with the reason if it is wrong.
    """
    if _TIME.fullmatch(text):
        parts = re.findall(r"([\d.]+)([a-z]+)", text)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{printable(text)!r}: a time above 0, such as 600, 10m or 1h30m")
    return f"{seconds:.15g}"


def _time(text: str) -> str:
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _state(text: str) -> str:
    values = [state.value for state in CircuitBreakerState]
    if (state := text.replace("-", "_")) not in values:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is none of {', '.join(values)}")
    return state
