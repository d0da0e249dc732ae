"""A reader that applies the texts of the stream has what the list says."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breaker_asgi import (
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
)
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.listing import Listing
from breaker_asgi.monitor.query import Query, parameters
from breaker_asgi.monitor.rows import FIELDS, values_of
from breaker_asgi.monitor.traffic import as_rows
from breaker_asgi.testing import FakeClock
from tests.monitor.conftest import allow
from tests.monitor.readers import GZIP, MOVING, Reader, look, settle, streaming


@pytest.fixture(autouse=True)
def _quiet(no_looks: None) -> None:
    """Broadcast only when a test calls `look`."""


CALLS = ["call", "fail", "slow"]
CHANGES = ["open", "close", "force_open", "disable"]
deeds = st.sampled_from([*CALLS, *CHANGES, "add", "drop", "wait", "tick"])
FILTERS = ["", "name=a*", "state=open&state=half_open", "name=b*&state=closed"]


class Shop:
    """Breakers that come, go and are called, with a clock of their own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = BreakerRegistry()
        self.history = History.of(self.registry)
        self.now = 1_000_000.0
        self.history._clock = lambda: self.now
        self.monitor = CircuitBreakerMonitor(registry=self.registry)
        self.admin = CircuitBreakerMonitor(registry=self.registry, authorize=allow)
        for name in ("a", "b"):
            self.get(name)

    def get(self, name: str) -> CircuitBreaker:
        return self.registry.get(
            name,
            fail_max=2,
            timeout_duration=5,
            failure_rate=0.5,
            slow_call_rate=0.9,
            slow_call_duration=1,
            clock=self.clock,
        )

    def do(self, deed: str, name: str) -> None:
        if deed == "drop":
            self.registry._breakers.kept.pop(name, None)
        elif deed == "wait":
            self.clock.advance(3)
        elif deed == "tick":
            self.now += 1
            self.history.tick()
        elif deed in CHANGES:
            getattr(self.get(name), deed)()
        elif deed != "add":
            self._call(self.get(name), deed)

    def _call(self, breaker: CircuitBreaker, deed: str) -> None:
        with suppress(CircuitBreakerError):
            permit = breaker.acquire()
            self.clock.advance(2 if deed == "slow" else 0.0123)
            if deed == "fail":
                permit.failure(OSError())
            else:
                permit.success()

    def listed(self, query: str, *, details: bool) -> dict[str, dict[str, Any]]:
        """Return the rows that a filter selects, by name, as the list has them."""
        listing = Listing(self.registry, EventLog.of(self.registry), self.history)
        page = listing.page(Query.of(parameters(query.encode())), details=details, controls=False)
        rows = [dict(zip(FIELDS, values_of(breaker), strict=True)) for breaker in page["breakers"]]
        return {row["name"]: steady(row) for row in rows}

    def seconds(self, name: str) -> list[list[int]]:
        return as_rows(self.history.seconds(self.registry[name]))


def steady(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without moments, as the shop's clock does not go with the wall's."""
    kept = {field: value for field, value in row.items() if field not in MOVING}
    outage = kept["outage"] or {}
    kept["outage"] = {name: value for name, value in outage.items() if not name.endswith("_at")}
    return kept


async def play(story: list[tuple[str, str]]) -> None:
    """Play a story, and compare each reader with the list after each deed."""
    shop = Shop()
    async with AsyncExitStack() as stack:
        readers = []
        for query in FILTERS:
            for app in (shop.monitor, shop.admin):
                reader = Reader()
                await stack.enter_async_context(streaming(app, reader, GZIP, query=query))
                readers.append((reader, query, app is shop.admin))
        for deed, name in story:
            shop.do(deed, name)
            look(shop.registry)
            await settle()
            gc.collect()
            look(shop.registry)
            await settle()
            for reader, query, details in readers:
                rows = {name: steady(row) for name, row in reader.rows.items()}
                assert rows == shop.listed(query, details=details)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(deeds, st.sampled_from("abc")), max_size=12))
def test_a_reader_that_applies_all_texts_has_what_the_list_says(
    story: list[tuple[str, str]],
) -> None:
    asyncio.run(play(story))
