"""A browser, and a monitor for it to look at that a test can steer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.monitor.page.stub import BASE

CHROMIUM = Path("/usr/bin/chromium")


class Monitor:
    """Where the monitor is, and what can be done behind its back: all that a test needs of it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.url = origin + BASE + "/"

    def url_of(self, name: str) -> str:
        return self.url + quote(name, safe="")

    def add(self, *names: str) -> None:
        self._do("add", names=names)

    def remove(self, name: str) -> None:
        self._do("remove", name=name)

    def change(
        self, name: str, state: str, reason: str = "by a test", who: str | None = None
    ) -> None:
        self._do("change", name=name, state=state, reason=reason, who=who)

    def trip(self, name: str) -> None:
        self.change(name, "open", "failure rate 52% of 100 calls, limit 50%")

    def calls(self, name: str, **how_many: int) -> None:
        """So many `ok`, `failed`, `slow` and `rejected` calls, in this second."""
        self._do("calls", name=name, **how_many)

    def streak(self, name: str, failures: int, most: int) -> None:
        self._do("streak", name=name, failures=failures, most=most)

    def rights(self, *, control: bool, detail: bool) -> None:
        self._do("rights", control=control, detail=detail)

    def refuse(self, status: int | None) -> None:
        """Answer each control with this status, though the page was told that it may."""
        self._do("refuse", status=status)

    def lose(self) -> None:
        """End the streams, and answer nothing but errors."""
        self._do("lose")

    def regain(self) -> None:
        self._do("regain")

    def start_anew(self) -> None:
        self._do("reset")

    def _do(self, what: str, **how: Any) -> None:
        body = json.dumps([{"do": what, **how}]).encode()
        request = urllib.request.Request(self.origin + "/_steer", body, method="POST")
        with urllib.request.urlopen(request) as response:
            response.read()


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    number = listener.fileno()
    script = (
        "import uvicorn; from tests.monitor.page.stub import app; "
        f"uvicorn.run(app, fd={number}, log_level='warning', timeout_graceful_shutdown=1)"
    )
    server = subprocess.Popen([sys.executable, "-c", script], pass_fds=[number])
    host, port = listener.getsockname()
    yield f"http://{host}:{port}"
    server.terminate()
    server.wait()
    listener.close()


@pytest.fixture
def monitor(served: str) -> Monitor:
    found = Monitor(served)
    found.start_anew()
    return found


@pytest.fixture(scope="module")  # its loop runs in this thread: gone before another's tests
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM} to show the page in")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """Opens pages, and keeps what they did wrong and whom they asked."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.contexts: list[Any] = []
        self.wrongs: list[str] = []
        self.asked: set[str] = set()

    def __call__(self, url: str, *, live: bool = True, **settings: Any) -> Any:
        context = self.browser.new_context(
            **({"viewport": {"width": 1440, "height": 900}} | settings)
        )
        self.contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrongs.append(str(error)))
        page.on("console", self._said)
        page.on("request", lambda request: self.asked.add(request.url))
        page.goto(url)
        if live:
            page.wait_for_selector("[data-link=live]")
        return page

    def _said(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrongs.append(message.text)


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Open a page. That it reports no error, not even of its policy, holds for every test."""
    visit = Visit(browser)
    yield visit
    for context in visit.contexts:
        context.close()
    assert visit.wrongs == []
