"""The pictures in docs/images, made where SCREENSHOTS is set: `make screenshots`."""

from __future__ import annotations

import argparse
import io
import re
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from breaker_asgi.cli.client import Client, address
from breaker_asgi.cli.table import View, picture
from breaker_asgi.cli.top import Watch
from tests.monitor.page.browsing import PHONE, ROOT, Monitor, Visit
from tests.monitor.page.looking import expect

pytestmark = pytest.mark.slow

IMAGES = ROOT / "docs" / "images"
FORCED_AT, TAKEN_AT = 19, 59
LARGEST = 300_000
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 1010}}
HIGH: dict[str, Any] = {"viewport": {"width": 1440, "height": 1270}}
SMALL = PHONE | {"device_scale_factor": 2}
TERMINAL = 152
"""Characters in a line of the terminal: enough for all columns."""


def test_the_pictures_are_taken(monitor: Monitor, visit: Visit) -> None:
    IMAGES.mkdir(exist_ok=True)
    monitor.steer("open_the_shop")
    with closing(Client(address(monitor.url), {})) as client:
        watch = Watch(client, argparse.Namespace(state=[], name=None, once=False, interval=1.0))
        asking = watch.start()
        let_pass(FORCED_AT)
        monitor.control("sms gateway", "force-open")
        let_pass(TAKEN_AT - FORCED_AT)
        watch.end()
        asking.join()
    in_the_terminal(watch.view())
    take(visit, "light", monitor.url, color_scheme="light", **WIDE)
    take(visit, "dark", monitor.url, color_scheme="dark", **WIDE)
    take(visit, "detail", monitor.url_of("payments"), color_scheme="light", **HIGH)
    take(visit, "phone", monitor.url, color_scheme="light", **SMALL)


def let_pass(seconds: float) -> None:
    """For the shop to be called; it is no use to wait for anything that happens."""
    threading.Event().wait(seconds)


def take(visit: Visit, name: str, url: str, **settings: Any) -> None:
    path = IMAGES / f"monitor-{name}.png"
    page = visit(url, reduced_motion="reduce", **settings)
    if name == "detail":
        expect(page.locator("[data-part=failure_types] dl")).to_be_visible()
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path)
    assert path.stat().st_size < LARGEST, path


def in_the_terminal(view: View) -> None:
    view = replace(view, url="http://localhost:8000/breakers")
    console = Console(record=True, width=TERMINAL, file=io.StringIO(), force_terminal=True)
    console.print(picture(view, view.answered_at, TERMINAL))
    svg = console.export_svg(title="breaker-asgi top")
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (IMAGES / "top.svg").write_text(without_fonts)
