"""What every store has to do, as tests: a store's own tests subclass `StoreContract`.

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

from breaker_asgi.testing.stores.changes import Changes
from breaker_asgi.testing.stores.counts import Evidence
from breaker_asgi.testing.stores.fixtures import opening, report, to, win
from breaker_asgi.testing.stores.lifecycle import Use
from breaker_asgi.testing.stores.probes import Probes
from breaker_asgi.testing.stores.published_figures import Figures

__all__ = ["StoreContract", "opening", "report", "to", "win"]


class StoreContract(Changes, Evidence, Probes, Figures, Use):
    """Tests that every store has to pass. A subclass says how its store is opened."""
