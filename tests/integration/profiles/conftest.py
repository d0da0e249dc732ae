"""A real PostgreSQL, and a real Redis."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sdks.postgres import Postgres
from tests.integration.stores.conftest import Server, common, server

__all__ = ["common", "server"]


def made_in(folder: str) -> Iterator[Postgres]:
    postgres = Postgres(Path(folder))
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def common_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that no test harms."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        yield from made_in(folder)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that tests stop and start."""
    with tempfile.TemporaryDirectory() as folder:
        yield from made_in(folder)


@pytest.fixture
def replica(common: Server, tmp_path: Path) -> Iterator[Server]:
    """A Redis that can't reach the one that it copies."""
    copy = Server(tmp_path / "replica")
    copy.start()
    yield copy
    copy.kill()
