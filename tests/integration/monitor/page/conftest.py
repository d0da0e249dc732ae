"""A browser, and a monitor that a test can steer."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.monitor.page.browsing import Monitor, Server, Visit
from tests.integration.monitor.page.charting import LOADED, NOW, SHOWN, Call, Show


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def monitor(server: Server) -> Monitor:
    server.start()
    monitor = Monitor(server)
    monitor.steer("begin")
    return monitor


@pytest.fixture(scope="module")  # its loop runs in this thread, and must end before other modules
def browser() -> Iterator[Any]:
    looking = importlib.import_module("tests.integration.monitor.page.looking")
    with looking.sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=looking.CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Open pages, and check that none reports an error, not even of its policy."""
    visit = Visit(browser)
    yield visit
    for context in visit.contexts:
        context.close()
    assert visit.errors == []


@pytest.fixture
def show(monitor: Monitor, visit: Visit) -> Show:
    """Show a chart of made-up data on the page, and return the place where it is."""

    def show(kind: str, data: object, **settings: Any) -> Any:
        page = visit(monitor.url, **{"timezone_id": "UTC", **settings})
        page.evaluate(SHOWN, {"kind": kind, "data": data, "now": NOW})
        return page.locator("#stage")

    return show


@pytest.fixture
def call(monitor: Monitor, visit: Visit) -> Call:
    """Call a function of a module of the page."""
    page = visit(monitor.url, timezone_id="UTC")
    return lambda *arguments: page.evaluate(LOADED, arguments)
