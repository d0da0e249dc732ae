"""`breaker-asgi top`: the table, live."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "rich"):
    from rich.console import Console, Group
    from rich.live import Live

from breaker_asgi.cli.details import details
from breaker_asgi.cli.errors import CommandError, Exit
from breaker_asgi.cli.formatting import printable
from breaker_asgi.cli.keyboard import keyboard, keys_of
from breaker_asgi.cli.screen import Control, Screen
from breaker_asgi.cli.table import View, picture

if TYPE_CHECKING:
    import argparse

    from breaker_asgi.cli.client import Client

_TICK = 0.25
_WIDE = 200
_TERMINATED = 128 + signal.SIGTERM


class MonitorPoller:
    """A thread that makes all requests, so that a slow monitor blocks no key."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._wishes: queue.SimpleQueue[Control | str | None] = queue.SimpleQueue()
        self._opened: str | None = None
        self._failure: Exception | None = None
        self.messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Results of controls, for the operator."""
        self._view = self._fetch()

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def end(self) -> None:
        """Stop fetching. A request under way may go on: the thread is a daemon."""
        self._wishes.put(None)

    def view(self) -> View:
        """Return the latest view. Raise the defect that ended the thread, if any."""
        if self._failure:
            raise self._failure
        return self._view

    def ask(self, control: Control) -> None:
        """Apply a control, and fetch at once."""
        self._wishes.put(control)

    def open(self, name: str | None) -> None:
        """Fetch the details of a breaker, too, from now on; of none without a name."""
        if name != self._opened:
            self._opened = name
            self._wishes.put("")

    def _fetch(self) -> View:
        options, opened = self._options, self._opened
        listing = self._client.listing(options.state, options.name, history=not options.once)
        return View(
            url=self._client.shown,
            listing=listing,
            answered_at=time.monotonic(),
            filtered=bool(options.state or options.name),
            details=None if opened is None else self._client.details(opened),
        )

    def _run(self) -> None:
        try:
            while True:
                try:
                    wish = self._wishes.get(timeout=self._options.interval)
                except queue.Empty:
                    wish = ""
                if wish is None:
                    return
                if isinstance(wish, Control):
                    self.messages.put(self._apply(wish))
                try:
                    self._view = self._fetch()
                except CommandError as error:
                    self._view = replace(self._view, trouble=error.message)
        except Exception as error:  # noqa: BLE001 # raised again by view()
            self._failure = error

    def _apply(self, control: Control) -> str:
        try:
            after = self._client.change(control.name, control.action, control.form)
        except CommandError as error:
            return f"{control.action} {printable(control.name)}: {error.message}"
        return f"{printable(control.name)} is {after.state.words}"


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
    screen = Screen()
    with keyboard() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while not screen.ended:
            if not poller.messages.empty():
                screen.message = poller.messages.get()
            live.update(_draw(poller.view(), screen, console), refresh=True)
            for key in keys_of(pressed(_TICK)):
                listing = poller.view().listing
                control = screen.press(key, listing.breakers, controls=listing.controls)
                if control is not None:
                    poller.ask(control)
            poller.open(screen.opened)


def _draw(view: View, screen: Screen, console: Console) -> Group:
    now, size = time.monotonic(), console.size
    if screen.opened is None:
        return picture(view, now, size.width, size.height, screen)
    return details(view, now, size.width, size.height, screen)
