"""`breaker-asgi top`: its requests, its output and its end."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from breaker_asgi.cli.client import Client, address
from breaker_asgi.cli.top import MonitorPoller
from tests.cli.conftest import Run
from tests.cli.listings import breaker, listing
from tests.integration.cli.stub import Answer, Monitor


@pytest.fixture
def client(monitor: Monitor) -> Iterator[Client]:
    with closing(Client(address(monitor.url), {})) as client:
        yield client


def names(run: Run, *arguments: str) -> list[str]:
    result = run("top", *arguments)
    assert result.code == 0
    return [line.split("  ")[0] for line in result.out.splitlines()[3:]]


def test_without_a_terminal_the_table_is_printed_once(monitor: Monitor, run: Run) -> None:
    assert names(run, monitor.url) == ["refunds", "a/b c?d#e%f", "payments"]
    assert monitor.requests == ["GET /breakers"]


def test_filters_are_applied_by_the_monitor(monitor: Monitor, run: Run) -> None:
    filters = ["--state", "open", "--state", "half-open", "--name", "re*"]
    assert names(run, monitor.url, *filters) == ["refunds"]
    assert monitor.requests == ["GET /breakers?state=open&state=half_open&name=re%2A"]


def test_the_table_printed_once_has_all_rows(run: Run) -> None:
    with Monitor(*(breaker(f"b{number:03}") for number in range(300))) as monitor:
        assert len(names(run, monitor.url)) == 300


def test_all_pages_are_followed(run: Run) -> None:
    with Monitor(*(breaker(f"b&{number:03}") for number in range(25))) as monitor:
        monitor.page_size = 10
        assert names(run, monitor.url) == [f"b&{number:03}" for number in range(25)]
    assert monitor.requests[1] == "GET /breakers?after=b%26009"


def test_an_unchanged_page_is_not_sent_again(monitor: Monitor, client: Client) -> None:
    monitor.page_size = 2
    first = client.listing()
    second = client.listing()
    assert monitor.statuses == [200, 200, 304, 304]
    assert second == first
    monitor.breakers["refunds"]["state"] = "half_open"
    assert {row.state for row in client.listing().breakers} == {"closed", "half_open"}


def test_one_connection_is_kept_so_that_one_worker_is_watched(
    monitor: Monitor, client: Client
) -> None:
    for _ in range(3):
        client.listing()
    assert len(monitor.connections) == 1


def test_a_connection_that_the_server_has_closed_is_replaced(
    monitor: Monitor, client: Client
) -> None:
    monitor.answer = Answer(body=json.dumps(listing()).encode(), headers={"Connection": "close"})
    client.listing()
    assert client.listing().breakers == ()
    assert len(monitor.connections) == 2


def test_a_wrong_address_is_reported_before_the_table_begins(monitor: Monitor, run: Run) -> None:
    result = run("top", f"{monitor.url}/nowhere")
    assert (result.code, result.out) == (3, "")
    assert "404 (There is no such page.)" in result.err


class TestMonitorPoller:
    """The poller behind the table."""

    @pytest.fixture
    def options(self) -> argparse.Namespace:
        return argparse.Namespace(state=[], name=None, once=False, interval=0.001)

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline

    def test_polling_continues_while_the_monitor_does_not_answer(
        self, monitor: Monitor, client: Client, options: argparse.Namespace
    ) -> None:
        poller = MonitorPoller(client, options)
        before = poller.view()
        monitor.answer = Answer(503)
        thread = poller.start()
        self.until(lambda: poller.view().trouble)
        assert "503" in poller.view().trouble
        assert poller.view().listing == before.listing
        monitor.answer = None
        monitor.breakers["payments"]["state"] = "open"
        self.until(lambda: not poller.view().trouble)
        assert poller.view().listing.breakers[1].state == "open"
        poller.end()
        thread.join()

    def test_a_defect_in_the_poller_is_raised(
        self, client: Client, options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poller = MonitorPoller(client, options)
        monkeypatch.setattr(client, "listing", None)
        poller.start()
        with pytest.raises(TypeError):
            self.until(lambda: poller.view().trouble)
