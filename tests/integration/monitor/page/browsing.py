"""A server that a test can kill, and a browser that opens its pages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[4]
DEADLINE = 120.0
OPTIONS = (
    "--header connection:close --timeout-worker-healthcheck 60 --no-access-log "
    "tests.integration.monitor.page.app:app"
)
"""Each request has its own connection, and so may reach another worker."""
BASE = "/shop/breakers"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
MARKUP = "<script>alert(1)</script>"
ODD_NAMES = [
    MARKUP,
    "a/b c?d#e%20f",
    "GET /orders/{id}",
    "naïve \"quoted\" & 'more'",
    "../up",
    "💳",
]


class Server:
    """uvicorn with the application, on the same port after each restart."""

    def __init__(
        self, workers: int = 1, breakers: tuple[str, ...] = (), **environment: str
    ) -> None:
        self._environment = environment
        self._workers = workers
        self._breakers = breakers
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server unless it runs, and wait until it serves."""
        if self._process is not None and self._process.poll() is None:
            return
        words = f"-m uvicorn --port {self.port} --workers {self._workers} {OPTIONS}"
        self._process = subprocess.Popen(
            [sys.executable, *words.split()],
            cwd=ROOT,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "BREAKERS": json.dumps(self._breakers)}
            | self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        awaited = ["running on", *["startup complete"] * self._workers]
        for line in self._process.stderr:
            for text in {*awaited}:
                if text in line:
                    awaited.remove(text)
            if not awaited:
                self._wait_until_it_listens()
                return
        raise AssertionError("the server did not start")

    def _wait_until_it_listens(self) -> None:
        """Wait for a worker to listen, which it does only after it has logged its start."""
        deadline = time.monotonic() + DEADLINE
        while True:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()


class Monitor:
    """The monitor's URLs, and the actions of a test on its breakers."""

    def __init__(self, server: Server, base: str = BASE) -> None:
        self.server = server
        self.origin = server.origin
        self.url = f"{self.origin}{base}/"
        self.mounted = f"{self.origin}/mounted/"

    def url_of(self, name: str) -> str:
        return self.url + quote(name, safe="")

    def add(self, *names: str, **settings: Any) -> None:
        self.steer("add", names=names, **settings)

    def remove(self, name: str) -> None:
        self.steer("remove", name=name)

    def change(self, name: str, action: str) -> None:
        """Change a state from within the application."""
        self.steer("change", name=name, action=action)

    def control(self, name: str, action: str) -> None:
        """Change a state by hand, as a script would."""
        self._post(f"{self.url_of(name)}/{action}")

    def trip(self, name: str) -> None:
        """Make ten calls that fail."""
        self.calls(name, failed=10)

    def calls(self, name: str, **calls: Any) -> None:
        """Make calls that are `ok`, `slow`, `failed`, `rejected` and `ignored`, in this order."""
        self.steer("calls", name=name, **calls)

    def attempt(self, name: str, *, fails: bool) -> None:
        """Make a call, which the breaker may reject."""
        self.steer("attempt", name=name, fails=fails)

    def close_gently(self, name: str) -> None:
        """Add a breaker that has begun to close."""
        self.add(name, ramp=3_600)
        self.change(name, "half-open")
        self.calls(name, ok=1)

    def wait(self, seconds: float) -> None:
        """Advance the clocks of all breakers."""
        self.steer("wait", seconds=seconds)

    def hang(self, name: str, calls: int) -> None:
        """Begin calls that do not end until `answer`."""
        self.steer("hang", name=name, calls=calls)

    def answer(self) -> None:
        """End the calls that hang."""
        self.steer("answer")

    def look(self) -> None:
        """Wait for the second to end, so that the figures contain its calls."""
        self.steer("look")

    def hold(self) -> None:
        """Keep the figures of the last seconds from now on, however slow the browser is."""
        self.steer("hold")

    def rights(self, **rights: Any) -> None:
        """Set the rights to `read` and to `control`, and the operator's name, `who`."""
        self.steer("rights", **rights)

    def pid(self) -> int:
        with urllib.request.urlopen(self.url) as response:
            pid: int = json.load(response)["worker"]["pid"]
        return pid

    def steer(self, method: str, **arguments: Any) -> None:
        self._post(f"{self.origin}/steer", {"do": method, **arguments})

    def _post(self, url: str, content: object = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        request = urllib.request.Request(url, body, method="POST")
        with urllib.request.urlopen(request) as response:
            response.read()


_VIEW = "try { localStorage['breaker-asgi-view'] = '%s' } catch { /* about:blank has none */ }"


class Visit:
    """A browser session that opens pages, and records their errors and requested URLs."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.errors: list[str] = []
        self.urls: set[str] = set()

    def __call__(self, url: str, *, live: bool = True, cards: bool = False, **settings: Any) -> Any:
        """Open a page, with the table of the breakers unless `cards` are wanted."""
        context = self.browser.new_context(
            **({"viewport": {"width": 1440, "height": 900}} | settings)
        )
        self.contexts.append(context)
        context.set_default_timeout(30_000)
        context.add_init_script(_VIEW % ("cards" if cards else "table"))
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        page.on("request", lambda request: self.urls.add(request.url))
        page.goto(url)
        if live:
            page.wait_for_selector("[data-link=live]")
        return page

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a worker meanwhile, so that the other one accepts every new connection."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pids_of_two(monitor: Monitor) -> tuple[int, int]:
    """Return the process ids of the two workers behind a monitor."""
    one = monitor.pid()
    with stopped(one):
        return one, monitor.pid()


def names(page: Any) -> list[str]:
    texts: list[str] = page.locator("#rows tr:visible .c-name a").all_text_contents()
    return texts


def row(page: Any, name: str) -> Any:
    return page.locator("#rows tr").filter(has=page.get_by_role("link", name=name, exact=True))


def control(page: Any, action: str) -> Any:
    """Return the control of an action among the details."""
    return page.locator(f"#detail [data-action={action}] summary")


def confirm(page: Any, action: str, outcome: str = "Done") -> None:
    """Do an action of the details without a reason or a time, and wait for its outcome."""
    control(page, action).click()
    page.locator("#ask-yes").click()
    page.locator("#ask-outcome", has_text=outcome).wait_for()
    page.keyboard.press("Escape")


def icon(page: Any) -> str:
    return str(page.locator("link[rel=icon]").get_attribute("href"))
