"""The page of two workers that share their states through a file.

A request may reach either worker. A test chooses one by stopping the other meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

HOST = socket.gethostname()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "breakers.db"


@pytest.fixture(scope="module")
def workers(file: Path) -> Iterator[Server]:
    server = Server(2, ("payments", "stock", "tax"), STORE=f"sqlite:///{file}")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shared(workers: Server) -> Iterator[Monitor]:
    monitor = Monitor(workers)
    yield monitor
    for name in ("payments", "stock", "tax"):
        monitor.control(name, "close")


@pytest.fixture
def cautious(tmp_path: Path) -> Iterator[Monitor]:
    """A monitor of two workers with a quorum of two."""
    server = Server(2, ("payments",), STORE=f"sqlite:///{tmp_path}/breakers.db", QUORUM="2")
    server.start()
    yield Monitor(server)
    server.stop()


def workers_in(page: Any) -> Any:
    return page.locator("#detail [data-part=workers] tbody tr")


def test_a_breaker_that_opens_in_one_worker_is_shown_open_by_the_other(
    shared: Monitor, visit: Visit
) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url)
    with stopped(one):
        shared.trip("payments")
    expect(row(page, "payments").locator(".state")).to_have_text("Open")
    expect(row(page, "payments")).not_to_contain_text("only")
    expect(page.locator("#log li").first).to_contain_text("payments open for")


def test_the_footer_names_the_store(shared: Monitor, visit: Visit, file: Path) -> None:
    page = visit(shared.url)
    foot = f"states and figures are shared by 2 workers through sqlite:{file}."
    expect(page.locator("#sharing")).to_have_text(foot)
    expect(page.locator("#alarm")).to_be_hidden()
    still = visit(shared.url, live=False, java_script_enabled=False)
    expect(still.locator("#sharing")).to_contain_text(f"through sqlite:{file}")


def test_the_details_show_every_worker(shared: Monitor, visit: Visit) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url_of("stock"))
    with stopped(one):
        shared.calls("stock", ok=30, slow=1, failed=4)
    expect(workers_in(page)).to_have_count(2)
    here, there = (workers_in(page).filter(has_text=f"{HOST} {pid}") for pid in (one, other))
    expect(page.locator("#detail [data-part=workers] tr", has_text="this one")).to_have_count(1)
    expect(here.locator("th")).to_have_text(f"{HOST} {one}, this one")
    expect(here.locator("td")).to_have_text(["Closed", "0", "0", "0", "0", "0"])
    expect(there.locator("td").nth(2)).to_have_text("31")
    expect(there.locator("td").nth(3)).to_have_text("4")
    expect(there.locator("td").nth(4)).to_have_text("1")


def test_the_calls_that_hang_in_another_worker_are_shown(shared: Monitor, visit: Visit) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url_of("stock"))
    with stopped(one):
        shared.hang("stock", 3)
        shared.wait(1.5)
    there = workers_in(page).filter(has_text=f"{HOST} {other}")
    expect(there.locator("td").first).to_have_text("Closed, 3 slow running")
    with stopped(one):
        shared.answer()
    expect(there.locator("td").first).to_have_text("Closed")


def test_without_javascript_the_details_show_every_worker(shared: Monitor, visit: Visit) -> None:
    live = visit(shared.url_of("tax"))
    expect(workers_in(live)).to_have_count(2)
    one, other = pids_of_two(shared)
    for stays in (one, other):
        with stopped(other if stays == one else one):
            page = visit(shared.url_of("tax"), live=False, java_script_enabled=False)
            expect(workers_in(page).filter(has_text=f"{HOST} {stays}")).to_have_count(1)
    heads = "#detail [data-part=workers] thead"
    assert page.locator(heads).inner_text() == live.locator(heads).inner_text()


def test_a_control_that_reaches_another_worker_comes_back_through_the_store(
    shared: Monitor, visit: Visit
) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url_of("tax"))
        expect(page.locator("#detail [data-part=settings]")).to_contain_text("window")
        control(page, "force-open").click()
    with stopped(one):
        page.get_by_role("button", name="Force open now").click()
        expect(page.locator("#ask-outcome")).to_have_text(
            "Done: tax is forced open now: until changed by hand."
        )
    expect(page.locator("#detail .state")).to_contain_text("Forced open")


def test_a_form_that_reaches_another_worker_is_followed(shared: Monitor, visit: Visit) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url_of("tax"), live=False, java_script_enabled=False)
        control(page, "disable").click()
        page.get_by_role("button", name="Disable now").click()
        expect(page.locator("#rows tr").first).to_contain_text("Disabled")
    with stopped(one):  # and anew: the browser may have connected to it in advance
        page = visit(page.url, live=False, java_script_enabled=False)
    expect(page.locator(".note")).to_contain_text(f"This is worker {other}, which follows")


def test_a_breaker_that_only_another_worker_has_is_shown_and_changed(
    shared: Monitor, visit: Visit
) -> None:
    one, other = pids_of_two(shared)
    with stopped(one):
        shared.add("mail")
    with stopped(other):
        page = visit(shared.url)
    with stopped(one):
        shared.trip("mail")
    expect(row(page, "mail").locator(".state")).to_have_text("Open")
    with stopped(other):
        row(page, "mail").get_by_role("link").click()
        expect(workers_in(page)).to_have_count(1)
        control(page, "force-open").click()
        page.get_by_role("button", name="Force open now").click()
        expect(page.locator("#ask-outcome")).to_have_text(
            "Done: mail is forced open now: until changed by hand."
        )
        page.keyboard.press("Escape")
        expect(row(page, "mail").locator(".state")).to_have_text("Forced open")
    with stopped(one):
        still = visit(shared.url_of("mail"), live=False, java_script_enabled=False)
        expect(still.locator("#detail .state").first).to_contain_text("Forced open")


@contextmanager
def broken(file: Path) -> Iterator[None]:
    """Replace the store's file by one that is no database meanwhile."""
    for path in file.parent.iterdir():
        path.unlink()
    file.write_bytes(b"# not a database\n" * 100)
    try:
        yield
    finally:
        file.unlink()


def test_a_broken_store_is_reported(shared: Monitor, visit: Visit, file: Path) -> None:
    page = visit(shared.url)
    expect(page.locator("#sharing")).to_contain_text("figures are shared")
    with broken(file):
        warning = f"The store sqlite:{file} does not work: each worker decides alone."
        expect(page.locator("#alarm")).to_contain_text(warning)
        expect(page.locator("#alarm")).to_contain_text("it is no database")
        expect(page.locator("#sharing")).to_have_text(f"the store sqlite:{file} does not work.")
        still = visit(shared.url, live=False, java_script_enabled=False)
        expect(still.locator("#alarm")).to_contain_text(warning)
    expect(page.locator("#alarm")).to_be_hidden()
    expect(page.locator("#sharing")).to_contain_text("figures are shared")


def test_a_control_warns_that_a_broken_store_keeps_it_local(
    shared: Monitor, visit: Visit, file: Path
) -> None:
    page = visit(shared.url_of("payments"))
    heading = page.locator("#detail [data-part=workers] h3")
    expect(heading).to_have_text("In each worker")
    with broken(file):
        expect(page.locator("#alarm")).to_be_visible()
        control(page, "force-open").click()
        only = "In one worker only: the store does not work."
        expect(page.get_by_role("dialog")).to_contain_text(only)
        page.keyboard.press("Escape")
        expect(heading).to_have_text("In the workers, as last heard")
    expect(page.locator("#alarm")).to_be_hidden()
    control(page, "force-open").click()
    expect(page.get_by_role("dialog")).not_to_contain_text("only")


def test_the_table_of_workers_ends_with_their_total(shared: Monitor, visit: Visit) -> None:
    one, other = pids_of_two(shared)
    with stopped(other):
        page = visit(shared.url_of("stock"))
    before = _total_failed(page)
    with stopped(one):
        shared.calls("stock", failed=3)
    expect(page.locator("#detail tfoot th")).to_have_text("All 2 workers")
    expect(page.locator("#detail tfoot td").nth(3)).to_have_text(str(before + 3))
    expect(page.locator("#detail [data-part=note]")).to_have_text("")
    expect(page.locator("#detail dd[data-f=failures]")).to_be_hidden()


def test_the_reader_chooses_the_figures_of_one_worker(shared: Monitor, visit: Visit) -> None:
    _, other = pids_of_two(shared)
    page = visit(shared.url)
    choice = page.get_by_label("Figures of")
    expect(choice.locator("option")).to_have_count(3)
    expect(page.locator("#now [data-f=all_workers]")).to_have_text("2")
    with page.expect_navigation():
        choice.select_option(label=f"{HOST} {other}")
    expect(page.locator("#now [data-f=all_workers]")).to_have_text("1")
    expect(page.get_by_label("Figures of").locator(":checked")).to_have_text(f"{HOST} {other}")
    with page.expect_navigation():
        page.get_by_label("Figures of").select_option(label="all 2 workers")
    expect(page.locator("#now [data-f=all_workers]")).to_have_text("2")


def _total_failed(page: Any) -> int:
    expect(workers_in(page)).to_have_count(2)
    return int(page.locator("#detail tfoot td").nth(3).inner_text())


def test_no_column_of_the_workers_is_cut_off(shared: Monitor, visit: Visit) -> None:
    _, other = pids_of_two(shared)
    with stopped(other):
        shared.calls("stock", ok=9_000)
        shared.hang("stock", 3)
        shared.wait(1.5)
    shared.control("stock", "force-open")
    page = visit(shared.url_of("stock"))
    expect(workers_in(page)).to_have_count(2)
    expect(page.locator("#detail [data-part=workers]")).to_contain_text("3 slow running")
    cut = []
    for width in (360, 390, 700, 1100, 1200, 1400, 1920, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        table = page.locator("#detail .wide")
        inside, needed = table.evaluate("each => [each.clientWidth, each.scrollWidth]")
        cut += [width] if needed > inside else []
    with stopped(other):
        shared.answer()
    assert cut == []


def test_a_breaker_open_in_one_worker_only_is_marked(cautious: Monitor, visit: Visit) -> None:
    one, other = pids_of_two(cautious)
    with stopped(other):
        page = visit(cautious.url_of("payments"))
        cautious.trip("payments")
    expect(page.locator("#rows")).to_contain_text("open in 1 of 2 workers")
    expect(page.locator("#detail header")).to_contain_text("open in 1 of 2 workers")
    here, there = (workers_in(page).filter(has_text=f"{HOST} {pid}") for pid in (one, other))
    expect(here.locator("td").first).to_have_text("Open, here only")
    expect(there.locator("td").first).to_have_text("Closed")
    with stopped(one):
        page = visit(cautious.url)
    expect(row(page, "payments").locator(".state")).to_have_text("Open")
    expect(page.locator("#rows")).to_contain_text("open in 1 of 2 workers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(cautious: Monitor, visit: Visit, scheme: str, tmp_path: Path) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page = visit(cautious.url_of("payments"), color_scheme=scheme, reduced_motion="reduce")
    cautious.trip("payments")
    expect(workers_in(page)).to_have_count(2)
    expect(page.locator("#detail [data-part=workers]")).to_contain_text("here only")
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "breakers.db").write_bytes(b"# not a database\n" * 100)
    expect(page.locator("#alarm")).to_be_visible()
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
