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

from breaker_asgi.testing.stores.base import opening, report, to, win
from breaker_asgi.testing.stores.changes import Changes
from breaker_asgi.testing.stores.evidence import Evidence
from breaker_asgi.testing.stores.figures import Figures
from breaker_asgi.testing.stores.probes import Probes
from breaker_asgi.testing.stores.use import Use

__all__ = ["StoreContract", "opening", "report", "to", "win"]


class StoreContract(Changes, Evidence, Probes, Figures, Use):
    """Tests that every store has to pass. A subclass says how its store is opened."""
