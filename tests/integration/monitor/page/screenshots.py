"""The pictures in docs/images: `make screenshots`. No suite collects this file."""

from __future__ import annotations

import argparse
import io
import re
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from PIL import Image
from rich.console import Console

from breaker_asgi.cli.client import Client, address
from breaker_asgi.cli.table import View, picture
from breaker_asgi.cli.top import MonitorPoller
from tests.integration.monitor.page.browsing import PHONE, ROOT, Monitor, Server, Visit
from tests.integration.monitor.page.looking import expect

IMAGES = ROOT / "docs" / "images"
FORCED_AT, TAKEN_AT = 19, 59
LARGEST = 300_000
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 1010}}
HIGH: dict[str, Any] = {"viewport": {"width": 1440, "height": 1270}}
SMALL = PHONE | {"device_scale_factor": 2}
TRAFFIC: dict[str, dict[str, int]] = {
    "payments": {"ok": 4, "failed": 1},
    "stock": {"ok": 7, "slow": 1},
    "tax": {"ok": 4, "failed": 1},
    "sms gateway": {"ok": 2},
}
FILM: dict[str, Any] = {"viewport": {"width": 1100, "height": 760}}
FILMED: dict[str, Any] = {
    "failure_rate": 0.5,
    "minimum_calls": 10,
    "timeout_duration": 2,
    "backoff": 1.5,
    "half_open_calls": 2,
}
FILMED_FOR, BREAKS_AT, MENDED_AT = 34, 6, 20
LARGEST_FILM = 1_500_000
MOMENTS = 100
WORKERS = 4
TERMINAL = 152
"""Characters in a line of the terminal: enough for all columns."""


def test_the_pictures_are_taken(monitor: Monitor, visit: Visit) -> None:
    IMAGES.mkdir(exist_ok=True)
    monitor.steer("open_the_shop")
    with closing(Client(address(monitor.url), {})) as client:
        poller = MonitorPoller(
            client, argparse.Namespace(state=[], name=None, once=False, interval=1.0)
        )
        asking = poller.start()
        let_pass(FORCED_AT)
        monitor.control("sms gateway", "force-open")
        let_pass(TAKEN_AT - FORCED_AT)
        poller.end()
        asking.join()
    in_the_terminal(poller.view())
    take(visit, "light", monitor.url, color_scheme="light", **WIDE)
    take(visit, "dark", monitor.url, color_scheme="dark", **WIDE)
    take(visit, "detail", monitor.url_of("payments"), color_scheme="light", **HIGH)
    take(visit, "phone", monitor.url, color_scheme="light", **SMALL)


def test_the_picture_of_a_fleet_is_taken(visit: Visit) -> None:
    file = Path(tempfile.gettempdir(), "shop.db")
    server = Server(WORKERS, tuple(TRAFFIC), STORE=f"sqlite:///{file}")
    server.start()
    try:
        monitor = Monitor(server)
        for _ in range(MOMENTS):
            for name, calls in TRAFFIC.items():
                monitor.calls(name, **calls)
            let_pass(0.2)
        monitor.control("sms gateway", "force-open")
        with suppress(HTTPError):  # the breaker opens before all calls have failed
            monitor.calls("payments", failed=90)
        let_pass(6)
        take(visit, "fleet", monitor.url_of("payments"), color_scheme="light", **HIGH)
    finally:
        server.stop()
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()


def test_an_outage_is_filmed_from_its_trip_to_its_recovery(monitor: Monitor, visit: Visit) -> None:
    """Film a second a picture, and show a second in less than half of one."""
    monitor.add("payments", owner="team-pay", **FILMED)
    monitor.add("accounts", "mail", **FILMED)
    page = visit(monitor.url, cards=True, color_scheme="light", reduced_motion="reduce", **FILM)
    pictures = []
    for second in range(FILMED_FOR):
        sick = BREAKS_AT <= second < MENDED_AT
        for _ in range(8):
            monitor.attempt("payments", fails=sick)
            monitor.calls("accounts", ok=2)
            monitor.calls("mail", ok=1)
        let_pass(1 - time.time() % 1)
        pictures.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    first, *others = pictures
    path = IMAGES / "outage.webp"
    first.save(
        path, save_all=True, append_images=others, duration=400, loop=0, quality=70, method=6
    )
    assert path.stat().st_size < LARGEST_FILM, path


def let_pass(seconds: float) -> None:
    """Wait while the shop is called; there is no event to wait for."""
    threading.Event().wait(seconds)


def take(visit: Visit, name: str, url: str, **settings: Any) -> None:
    path = IMAGES / f"monitor-{name}.png"
    page = visit(url, reduced_motion="reduce", **settings)
    if name == "detail":
        expect(page.locator("[data-part=failure_types] dl")).to_be_visible()
    if name == "fleet":
        expect(page.locator("#detail [data-part=workers] tbody tr")).to_have_count(WORKERS)
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
