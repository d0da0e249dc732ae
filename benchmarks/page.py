"""The cost of the monitor's page in Chromium, while all breakers are busy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import httpx

from benchmarks.tables import Table, mark, number

SIZES = (10, 100, 1_000)
MOST_A_TICK, MOST_RECEIVED, LARGEST_PAGE = 50.0, 50.0, 200.0
_PATIENCE = 30.0
_WARM = 65
"""Seconds after which the last minute of each breaker is full."""
_MEGABYTE = 1_000_000
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Cost(NamedTuple):
    """The cost of a page for its reader."""

    document: float
    """The first document, in kB."""
    main_thread: float
    """Milliseconds of the main thread in a second: scripts, styles, layout and painting."""
    received: float
    """kB a second over the network."""
    heap: tuple[float, float]
    """MB of the heap after a collection of garbage, at the begin and at the end."""


def tables(rounds: int) -> Iterator[Table]:
    """Measure each size for as many seconds as there are rounds."""
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        print("The page is not measured: that takes chromium on the PATH.")
        return
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        costs = {size: _measured(browser, size, rounds) for size in SIZES}
        browser.close()
    cost = costs[SIZES[-1]]
    yield Table(
        f"The page, all breakers busy, {rounds} s each",
        ("breakers", "document, kB", "main thread, ms/s", "kB/s", "heap, MB"),
        [
            (
                f"{size:,}",
                number(cost.document),
                number(cost.main_thread),
                number(cost.received),
                " to ".join(map(number, cost.heap)),
            )
            for size, cost in costs.items()
        ],
        footnotes=(
            f"below {MOST_A_TICK:g} ms a second: {mark(met=cost.main_thread < MOST_A_TICK)}",
            f"below {MOST_RECEIVED:g} kB/s: {mark(met=cost.received < MOST_RECEIVED)}",
            f"document below {LARGEST_PAGE:g} kB: {mark(met=cost.document < LARGEST_PAGE)}",
        ),
    )


def _measured(browser: Any, size: int, seconds: int) -> Cost:
    with _serving(size) as url:
        document = len(httpx.get(url, headers={"accept": "text/html"}).content) / 1_000
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        received = 0

        def receive(data: dict[str, Any]) -> None:
            nonlocal received
            received += data["encodedDataLength"]

        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        session.send("Network.enable")
        page.goto(f"{url}?all=yes")
        page.wait_for_selector("[data-link=live]")
        page.wait_for_timeout(_WARM * 1_000)
        heap, busy = _heap(session), _busy(session)
        session.on("Network.dataReceived", receive)
        start = time.monotonic()
        page.wait_for_timeout(seconds * 1_000)
        took = time.monotonic() - start
        main_thread = (_busy(session) - busy) * 1_000 / took
        kilobytes = received / 1_000 / took
        cost = Cost(
            document,
            main_thread,
            kilobytes,
            (heap, _heap(session)),
        )
        page.close()
    return cost


def _busy(session: Any) -> float:
    """Return the seconds that the main thread has worked so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def _heap(session: Any) -> float:
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / _MEGABYTE


@contextmanager
def _serving(size: int) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"-m uvicorn --port {port} --log-level error benchmarks.page_app:app"
    process = subprocess.Popen(
        [sys.executable, *words.split()],
        env=os.environ | {"BREAKERS": f"{size}"},
    )
    url = f"http://127.0.0.1:{port}/breakers"
    try:
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            httpx.get(url).raise_for_status()
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
