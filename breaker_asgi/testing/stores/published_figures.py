"""Tests of the figures that workers publish."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from breaker_asgi.testing.stores.fixtures import ODD_NAMES, Base, opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class PublishedFiguresTests(Base):
    """Texts that expire."""

    def test_figures_are_visible_to_all_workers(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        assert one.published() == {}
        one.publish("w", "10 calls", 60)
        other.publish("v", "", 60)
        assert one.published() == other.published() == {"w": "10 calls", "v": ""}

    def test_latest_figures_of_a_worker_are_kept(self, store: Store) -> None:
        store.publish("w", "10 calls", 60)
        store.publish("w", "11 calls", 60)
        assert store.published() == {"w": "11 calls"}

    def test_figures_expire(self, store: Store) -> None:
        store.publish("silent", "1", 1)
        store.publish("shorter", "2", 60)
        store.publish("shorter", "2", 1)
        store.publish("lives", "3", 60)
        store.publish("again", "4", 1)
        self.advance(0.6)
        store.publish("again", "4", 1)
        self.advance(0.5)
        assert store.published() == {"lives": "3", "again": "4"}
        store.publish("silent", "5", 60)
        assert store.published()["silent"] == "5"

    def test_publishing_is_no_change(self, stores: Callable[[], Store]) -> None:
        one, other = stores(), stores()
        one.change(opening())
        point, _ = one.changes(0)
        started = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            wait = thread.submit(other.wait, point, 0.5)
            one.publish("w", "1", 60)
            wait.result(20)
        assert time.monotonic() - started > 0.45
        assert one.changes(point) == (point, [])
        assert one.changes(0)[1] == ["payments"]

    def test_any_text_may_be_published_by_any_worker(self, store: Store) -> None:
        figures = {name: f"{name} \n{name}" for name in ODD_NAMES} | {"much": "7" * 500_000}
        for worker, text in figures.items():
            store.publish(worker, text, 60)
        assert store.published() == figures

    def test_many_workers_may_publish_much_at_once(self, stores: Callable[[], Store]) -> None:
        def publish(store: Store, worker: int) -> None:
            for number in range(20):
                store.publish(f"{worker}-{number}", f"{number}" * 20_000, 60)

        self.at_once(stores, 4, publish)
        figures = stores().published()
        assert len(figures) == 80
        assert figures["3-7"] == "7" * 20_000
