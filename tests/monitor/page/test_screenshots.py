"""The pictures in docs/images, made where SCREENSHOTS is set: `make screenshots`."""

from __future__ import annotations

import argparse
import io
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from breaker_asgi.cli.client import Client, address
from breaker_asgi.cli.table import picture
from breaker_asgi.cli.top import Watch
from tests.monitor.page.browsing import PHONE, ROOT, Monitor, Visit, expect

pytestmark = pytest.mark.slow

IMAGES = ROOT / "docs" / "images"
FORCED_AT, TAKEN_AT = 19, 62
LARGEST = 300_000
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 1000}}
TERMINAL = 152
"""Characters in a line of the terminal: enough for all columns."""


def test_the_pictures_are_taken(monitor: Monitor, visit: Visit) -> None:
    IMAGES.mkdir(exist_ok=True)
    monitor.steer("open_the_shop")
    client = Client(address(monitor.url), {})
    watch = Watch(client, argparse.Namespace(state=[], name=None, once=False, interval=1.0))
    watch.start()
    let_pass(FORCED_AT)
    monitor.control("sms gateway", "force-open")
    let_pass(TAKEN_AT - FORCED_AT)
    in_the_terminal(watch)
    take(visit, "light", monitor.url, color_scheme="light", **WIDE)
    take(visit, "dark", monitor.url, color_scheme="dark", **WIDE)
    take(visit, "detail", monitor.url_of("payments"), color_scheme="light", **WIDE)
    take(visit, "phone", monitor.url, color_scheme="light", **PHONE)


def let_pass(seconds: float) -> None:
    """For the shop to be called; it is no use to wait for anything that happens."""
    threading.Event().wait(seconds)


def take(visit: Visit, name: str, url: str, **settings: Any) -> None:
    path = IMAGES / f"monitor-{name}.png"
    page = visit(url, device_scale_factor=2, reduced_motion="reduce", **settings)
    if name == "detail":
        expect(page.locator("[data-part=failure_types] dl")).to_be_visible()
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path)
    assert path.stat().st_size < LARGEST, path


def in_the_terminal(watch: Watch) -> None:
    watch.end()
    console = Console(record=True, width=TERMINAL, file=io.StringIO(), force_terminal=True)
    console.print(picture(watch.view(), time.monotonic(), TERMINAL))
    svg = console.export_svg(title="breaker-asgi top")
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    Path(IMAGES / "top.svg").write_text(without_fonts)
