"""Tests of the figures that workers publish, for a store that is a board, too."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi.testing.stores.fixtures import (
    ODD_NAMES,
    Base,
    changes,
    opening,
    send,
    shows_figures,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.stores.protocol import Board, Store


class PublishedFiguresTests(Base):
    """Texts that expire."""

    @pytest.fixture
    def boards(self, stores: Callable[[], Store]) -> Callable[[], Any]:
        """Open stores that show figures."""
        if not shows_figures(stores()):
            pytest.skip("the store has no publish and published")
        return stores

    @pytest.fixture
    def board(self, boards: Callable[[], Any]) -> Board:
        """Return an unused store that shows figures."""
        board: Board = boards()
        return board

    def test_figures_are_visible_to_all_workers(self, boards: Callable[[], Board]) -> None:
        one, other = boards(), boards()
        assert one.published() == {}
        one.publish("w", "10 calls", 60)
        other.publish("v", "", 60)
        assert one.published() == other.published() == {"w": "10 calls", "v": ""}

    def test_latest_figures_of_a_worker_are_kept(self, board: Board) -> None:
        board.publish("w", "10 calls", 60)
        board.publish("w", "11 calls", 60)
        assert board.published() == {"w": "11 calls"}

    def test_figures_expire(self, board: Board) -> None:
        board.publish("silent", "1", 1)
        board.publish("shorter", "2", 60)
        board.publish("shorter", "2", 1)
        board.publish("lives", "3", 60)
        board.publish("again", "4", 1)
        self.advance(0.6)
        board.publish("again", "4", 1)
        self.advance(0.5)
        assert board.published() == {"lives": "3", "again": "4"}
        board.publish("silent", "5", 60)
        assert board.published()["silent"] == "5"

    def test_publishing_is_no_change(self, boards: Callable[[], Any]) -> None:
        one, other = boards(), boards()
        send(one, opening())
        point, _ = changes(one)
        started = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            wait = thread.submit(other.wait, point, 0.5)
            one.publish("w", "1", 60)
            wait.result(20)
        assert time.monotonic() - started > 0.45
        assert changes(one, point) == (point, [])
        assert changes(one)[1] == ["payments"]

    def test_any_text_may_be_published_by_any_worker(self, board: Board) -> None:
        figures = {name: f"{name} \n{name}" for name in ODD_NAMES} | {"much": "7" * 500_000}
        for worker, text in figures.items():
            board.publish(worker, text, 60)
        assert board.published() == figures

    def test_many_workers_may_publish_much_at_once(self, boards: Callable[[], Any]) -> None:
        def publish(board: Board, worker: int) -> None:
            for number in range(20):
                board.publish(f"{worker}-{number}", f"{number}" * 20_000, 60)

        self.at_once(boards, 4, publish)
        figures = boards().published()
        assert len(figures) == 80
        assert figures["3-7"] == "7" * 20_000
