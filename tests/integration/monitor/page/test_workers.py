"""The page of two workers without a store: it shows one of them, and names it.

A request may reach either worker. A test chooses one by stopping the other meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.monitor.page.browsing import (
    Monitor,
    Server,
    Visit,
    control,
    pids_of_two,
    row,
    stopped,
)
from tests.integration.monitor.page.looking import expect


@pytest.fixture(scope="module")
def workers() -> Iterator[Server]:
    server = Server(workers=2, breakers=("payments", "stock"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shared(workers: Server) -> Monitor:
    return Monitor(workers)


@pytest.fixture
def pids(shared: Monitor) -> tuple[int, int]:
    """Return the process ids of both workers; a test's page shows the first one."""
    one, other = pids_of_two(shared)
    for pid in (one, other):
        with stopped(other if pid == one else one):
            shared.steer("reset")
    return one, other


def test_the_page_names_its_worker(shared: Monitor, visit: Visit, pids: tuple[int, int]) -> None:
    one, other = pids
    with stopped(other):
        page = visit(shared.url)
    expect(page.locator("footer")).to_contain_text(f"Worker {one}, started")
    expect(page.locator("footer")).to_contain_text("each worker counts for itself")


def test_the_worker_of_the_stream_is_the_one_that_is_named(
    shared: Monitor, visit: Visit, pids: tuple[int, int]
) -> None:
    one, other = pids
    page = visit("about:blank", live=False)
    with stopped(other):
        page.route("**/stream", lambda route: route.abort())
        page.goto(shared.url)
        expect(page.locator("#worker")).to_contain_text(f"{one}, started")
        expect(page.locator("#status")).to_have_text("reconnecting…")
    with stopped(one):
        page.unroute("**/stream")
        shared.change("stock", "force-open")
        expect(page.locator("#status")).to_have_text("live")
        expect(page.locator("#worker")).to_contain_text(f"{other}, started")
        expect(row(page, "stock")).to_contain_text("Forced open")


def test_a_control_that_reaches_another_worker_says_so(
    shared: Monitor, visit: Visit, pids: tuple[int, int]
) -> None:
    one, other = pids
    with stopped(other):
        page = visit(shared.url_of("payments"))
        expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
        control(page, "force-open").click()
    with stopped(one):
        page.get_by_role("button", name="Force open now").click()
        expect(page.locator("#ask-outcome")).to_have_text(
            f"Worker {other} was reached, and there payments is forced open now. "
            f"This page shows worker {one}, where nothing has changed: "
            "each worker counts for itself."
        )
    expect(page.locator("#detail .state")).to_contain_text("Closed")
    with stopped(other):
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#ask-outcome")).to_contain_text("Done: payments is forced open now")
    expect(page.locator("#detail .state")).to_contain_text("Forced open")


def test_a_form_that_reaches_another_worker_says_so(
    shared: Monitor, visit: Visit, pids: tuple[int, int]
) -> None:
    one, other = pids
    with stopped(other):
        page = visit(shared.url_of("payments"), live=False, java_script_enabled=False)
        control(page, "disable").click()
        page.get_by_role("button", name="Disable now").click()
        expect(page.locator("#rows tr").first).to_contain_text("Disabled")
    with stopped(one):
        page.reload()
    expect(page.locator(".note")).to_have_text(
        f"The change was made in worker {one}. This is worker {other}, where nothing has changed: "
        "each worker counts for itself."
    )


def test_details_of_another_worker_are_attributed_to_it(
    shared: Monitor, visit: Visit, pids: tuple[int, int]
) -> None:
    one, other = pids
    with stopped(other):
        shared.change("stock", "open")
        page = visit(shared.url)
    with stopped(one):
        shared.calls("stock", failed=3)
        shared.change("stock", "half-open")
        page.get_by_role("link", name="stock").first.click()
        detail = page.locator("#detail")
        expect(detail.locator("[data-part=note]")).to_contain_text(
            f"The hints and the failures by type are those of worker {other}, "
            f"all else is of worker {one}"
        )
        expect(detail.locator("[data-part=failure_types]")).to_contain_text("TimeoutError3")
    expect(detail.locator(".state")).to_contain_text("Open")
    expect(detail.locator(".events li").first).to_contain_text("open for")
    expect(detail.locator(".events li")).not_to_contain_text(["half-open"])
