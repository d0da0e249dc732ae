"""`breaker-asgi top`: the table, live."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "rich"):
    from rich.console import Console
    from rich.live import Live

from breaker_asgi.cli.errors import CommandError, Exit
from breaker_asgi.cli.keyboard import keyboard
from breaker_asgi.cli.sparkline import Minute
from breaker_asgi.cli.table import View, picture

if TYPE_CHECKING:
    import argparse

    from breaker_asgi.cli.client import Client

_TICK = 0.25
_WIDE = 200
_TERMINATED = 128 + signal.SIGTERM


class MonitorPoller:
    """A thread that fetches the listing periodically, so that a slow monitor blocks no key."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._minute = Minute()
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._view = self._fetch()

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def end(self) -> None:
        """Stop fetching. A request under way may go on: the thread is a daemon."""
        self._ended.set()

    def view(self) -> View:
        """Return the latest view. Raise the defect that ended the thread, if any."""
        if self._failure:
            raise self._failure
        return self._view

    def _fetch(self) -> View:
        options = self._options
        listing = self._client.listing(options.state, options.name)
        now = time.monotonic()
        self._minute.add(listing, now)
        return View(
            url=self._client.shown,
            listing=listing,
            answered_at=now,
            filtered=bool(options.state or options.name),
            minute=None if options.once else self._minute,
        )

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._options.interval):
                try:
                    self._view = self._fetch()
                except CommandError as error:
                    self._view = replace(self._view, trouble=error.message)
        except Exception as error:  # noqa: BLE001 # raised again by view()
            self._failure = error


class _Console(Console):
    """A console that leaves it to the command how it ends when nobody reads on."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def top(client: Client, options: argparse.Namespace) -> Exit:
    """Draw the live table; or the table once, by option or without a terminal."""
    console = _Console(highlight=False)
    options.once |= not console.is_terminal or console.is_dumb_terminal
    poller = MonitorPoller(client, options)
    if options.once:
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _WIDE
        console.print(picture(poller.view(), time.monotonic(), console.width))
        return Exit.DONE
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        _show(poller, console)
    finally:
        poller.end()
        signal.signal(signal.SIGTERM, previous)
    return Exit.DONE


def _show(poller: MonitorPoller, console: Console) -> None:
    poller.start()
    with keyboard() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        keys = ""
        while "q" not in keys.lower():
            size = console.size
            drawn = picture(poller.view(), time.monotonic(), size.width, size.height)
            live.update(drawn, refresh=True)
            keys = pressed(_TICK)
