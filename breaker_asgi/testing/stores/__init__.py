"""The contract of a store, as tests: a store's own tests subclass `StoreContract`.

    class TestShelf(StoreContract):
        @pytest.fixture(autouse=True)
        def shelf(self, tmp_path):
            self.path = tmp_path / "shelf"

        def open(self):
            return ShelfStore(self.path)

Needs pytest, and hypothesis for one of the tests. Failures say more after
`pytest.register_assert_rewrite("breaker_asgi.testing.stores")`.
"""

from __future__ import annotations

from breaker_asgi.testing.stores.batches import BatchesTests
from breaker_asgi.testing.stores.counts import CountsTests
from breaker_asgi.testing.stores.fixtures import (
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    settle,
    sync,
    to,
    win,
)
from breaker_asgi.testing.stores.lifecycle import LifecycleTests
from breaker_asgi.testing.stores.outages import OutagesTests
from breaker_asgi.testing.stores.probes import ProbesTests
from breaker_asgi.testing.stores.published_figures import PublishedFiguresTests
from breaker_asgi.testing.stores.transitions import ChangesTests
from breaker_asgi.testing.stores.waits import WaitsTests

__all__ = [
    "StoreContract",
    "ask",
    "changes",
    "claim",
    "opening",
    "report",
    "send",
    "settle",
    "sync",
    "to",
    "win",
]


class StoreContract(
    BatchesTests,
    ChangesTests,
    CountsTests,
    ProbesTests,
    OutagesTests,
    WaitsTests,
    PublishedFiguresTests,
    LifecycleTests,
):
    """Tests that every store has to pass. A subclass defines `open`."""
