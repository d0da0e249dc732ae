"""A browser, and a monitor that a test can steer."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.monitor.page.browsing import Monitor, Server, Visit


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
