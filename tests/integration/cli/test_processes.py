"""The console script as a process of its own, in a pipe and in a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.listings import breaker
from tests.integration.cli.stub import Answer, Monitor

ROOT = Path(__file__).parent.parent.parent.parent
COMMAND = [sys.executable, "-m", "breaker_asgi.cli"]
DEADLINE = 120.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
TAKE_OVER = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def run(*arguments: str, command: list[str] = COMMAND) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # finds the package in its working directory
        [*command, *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@pytest.fixture
def shop() -> Iterator[Monitor]:
    with Monitor(breaker("payments"), breaker("refunds", "open", retry_after=30.0)) as monitor:
        yield monitor


def test_status_exits_by_the_state_after_an_action(shop: Monitor) -> None:
    assert run("status", shop.url, "payments").returncode == 0
    done = run("force-open", shop.url, "payments")
    assert (done.returncode, done.stdout) == (0, "payments: closed -> forced open\n")
    status = run("status", shop.url, "payments")
    assert (status.returncode, status.stderr) == (1, "")
    assert status.stdout == "payments: forced open (force-open by hand)\n"


def test_errors_go_to_stderr(shop: Monitor) -> None:
    unknown = run("open", shop.url, "paymet")
    assert (unknown.returncode, unknown.stdout) == (5, "")
    assert unknown.stderr.endswith("Did you mean payments?\n")


def test_only_the_table_needs_rich(shop: Monitor) -> None:
    bare = [sys.executable, "-S", "-m", "breaker_asgi.cli"]  # without site-packages
    assert run("open", shop.url, "payments", command=bare).returncode == 0
    table = run("top", shop.url, command=bare)
    assert (table.returncode, table.stdout) == (2, "")
    assert table.stderr == (
        "breaker-asgi: breaker_asgi.cli.top needs rich, which is not installed. "
        'Install it with: pip install "breaker-asgi[cli]"\n'
        "The other commands work without it.\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_no_error(unbuffered: str) -> None:
    with Monitor(*(breaker(f"b{number:04}") for number in range(1000))) as monitor:
        table = subprocess.Popen(
            [*COMMAND, "top", monitor.url],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert table.stdout
        assert table.stderr
        with table, table.stdout:
            table.stdout.read(10)
            table.stdout.close()
            assert table.stderr.read() == b""
    assert table.returncode == 0


class Terminal:
    """`breaker-asgi top` in a pseudo terminal."""

    def __init__(self, *arguments: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(24, 120)
        self.settings = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER, *COMMAND, "top", *arguments],
            cwd=ROOT,
            env={name: os.environ[name] for name in os.environ.keys() - {"COLUMNS", "LINES"}}
            | {"TERM": "xterm-256color"},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )
        self.written = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def shows(self, text: str) -> None:
        """Wait until `text` appears, after the texts of earlier calls."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.written:
            assert time.monotonic() < deadline, f"no {text!r} in {self.written!r}"
            self._read()
        self.written = self.written.partition(text)[2]

    def ends(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it has not ended: {self.written!r}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bool:
        ready, _, _ = select.select([self.ours], [], [], 0.1)
        if ready:
            self.written += os.read(self.ours, 65536).decode()
        return bool(ready)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(shop: Monitor) -> Iterator[Terminal]:
    terminal = Terminal(shop.url, "--interval", "0.1")
    yield terminal
    terminal.close()


LEAVES, SHOWS_CURSOR = "\x1b[?1049l", "\x1b[?25h"


def restored(terminal: Terminal) -> Any:
    assert LEAVES in terminal.written
    assert SHOWS_CURSOR in terminal.written
    assert "Traceback" not in terminal.written
    return termios.tcgetattr(terminal.theirs) == terminal.settings


def test_the_table_follows_changes_and_ends_on_q(terminal: Terminal, shop: Monitor) -> None:
    terminal.shows("\x1b[?1049h")
    terminal.shows("1 open")
    terminal.shows("refunds")
    shop.breakers["payments"] |= {"state": "forced_open", "reason": "forced open by hand"}
    terminal.shows("1 forced open")
    terminal.shows("forced open by")
    terminal.press(b"q")
    assert terminal.ends() == 0
    assert restored(terminal)


def test_the_table_ends_on_ctrl_c_with_0(terminal: Terminal) -> None:
    terminal.shows("refunds")
    terminal.press(b"\x03")
    assert terminal.ends() == 0
    assert restored(terminal)


def test_the_table_ends_on_q_while_the_monitor_hangs(terminal: Terminal, shop: Monitor) -> None:
    terminal.shows("refunds")
    shop.answers.clear()
    count = len(shop.requests)
    while len(shop.requests) == count:
        terminal.shows("refunds")
    terminal.press(b"q")
    assert terminal.ends() == 0
    assert restored(terminal)


def test_the_table_restores_the_terminal_on_sigterm(terminal: Terminal) -> None:
    terminal.shows("refunds")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ends() == 128 + signal.SIGTERM
    assert restored(terminal)


def test_a_resize_changes_the_table(terminal: Terminal) -> None:
    terminal.shows("Calls/s")
    terminal.resize(24, 60)
    terminal.shows("Why")
    terminal.resize(24, 160)
    terminal.shows("p50 ms")


def test_the_search_and_the_order_change_the_rows(terminal: Terminal) -> None:
    terminal.shows("payments")
    terminal.press(b"/refu")
    terminal.shows("/refu")
    terminal.press(b"\r")
    terminal.shows("q quits")
    assert "payments" not in terminal.written
    terminal.press(b"q")
    assert terminal.ends() == 0


def test_enter_shows_the_details_and_esc_the_table(terminal: Terminal, shop: Monitor) -> None:
    shop.breakers["refunds"] |= {"settings": {"fail_max": 5}, "owner": "team-pay"}
    terminal.shows("refunds")
    terminal.press(b"\r")
    terminal.shows("team-pay")
    terminal.shows("fail_max")
    terminal.press(b"\x1b")
    terminal.shows("payments")


def test_a_control_asks_why_and_for_how_long(terminal: Terminal, shop: Monitor) -> None:
    terminal.shows("payments")
    terminal.press(b"\x1b[Bf")  # the second row
    terminal.shows("force-open payments. Why")
    terminal.press(b"release 7\r")
    terminal.shows("For how long")
    terminal.press(b"10m\r")
    terminal.shows("payments is forced open")
    assert shop.forms[-1] == "why=release+7&for=600"


def test_figures_go_stale_while_the_monitor_is_away(terminal: Terminal, shop: Monitor) -> None:
    terminal.shows("refunds")
    shop.answer = Answer(503)
    terminal.shows("No answer: ")
    shop.answer = None
    shop.breakers["refunds"]["state"] = "half_open"
    terminal.shows("1 half-open")
