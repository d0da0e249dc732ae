"""The command line: it runs a command, and returns its exit code."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from io import TextIOWrapper
from typing import TYPE_CHECKING

from breaker_asgi.cli.arguments import parse
from breaker_asgi.cli.client import NOT_THERE, Client
from breaker_asgi.cli.commands import change, listing, status
from breaker_asgi.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parse(arguments)
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
    commands = {"list": listing, "status": status}
    command = _table() if options.command == "top" else commands.get(options.command, change)
    with closing(Client(options.url, dict(options.header))) as client:
        return command(client, options)


def _table() -> Callable[[Client, argparse.Namespace], Exit]:
    try:
        from breaker_asgi.cli.top import top  # noqa: PLC0415 (an extra)
    except ImportError as error:
        if error.name != "rich":  # rich itself is broken
            raise
        raise CommandError(Exit.USAGE, str(error), "The other commands work without it.") from error
    return top
