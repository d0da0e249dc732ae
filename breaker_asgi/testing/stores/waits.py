"""Tests of the wait for a change."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.state import CLOSED
from breaker_asgi.testing.stores.fixtures import (
    Base,
    changes,
    claim,
    opening,
    report,
    send,
    settle,
    shows_figures,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Store


class WaitsTests(Base):
    """Waits, which end with a change."""

    def test_wait_ends_with_a_change_of_another_worker(self, stores: Callable[[], Store]) -> None:
        waiting, other = stores(), stores()
        point, _ = changes(waiting)
        for generation in range(3):
            with ThreadPoolExecutor(1) as thread:
                wait = thread.submit(waiting.wait, point, 20)
                time.sleep(0.1)
                assert not wait.done()
                send(other, opening(generation=generation))
                latest = wait.result(5)
            before, (point, names) = point, changes(waiting, point)
            assert names == ["payments"]
            assert before < latest <= point

    def test_wait_does_not_block_other_operations_of_the_store(self, store: Any) -> None:
        send(store, opening())
        point, _ = changes(store)
        with ThreadPoolExecutor(1) as thread:
            wait = thread.submit(store.wait, point, 6)
            time.sleep(0.2)
            started = time.monotonic()
            send(store, report(generation=1))
            claim(store)
            settle(store, "no lease", None)
            if shows_figures(store):
                store.publish("w", "1", 60)
                assert store.published() == {"w": "1"}
            assert changes(store, point) == (point, [])
            send(store, to(CLOSED, generation=1))
            assert time.monotonic() - started < 4
            wait.result(30)

    def test_wait_ends_at_once_after_a_change(self, store: Store) -> None:
        point, _ = changes(store)
        store.wait(point, 0)
        send(store, opening())
        started = time.monotonic()
        assert store.wait(point, 20) == changes(store)[0]
        assert time.monotonic() - started < 5

    def test_wait_ends_after_its_timeout(self, store: Store) -> None:
        send(store, opening())
        point, _ = changes(store)
        for seconds in (0, 0.2, 0.2):
            started = time.monotonic()
            assert store.wait(point, seconds) == point
            assert seconds * 0.9 <= time.monotonic() - started < seconds + 5
