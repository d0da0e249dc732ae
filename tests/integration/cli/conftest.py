"""A monitor, and the command line run against it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import run
from tests.cli.listings import breaker
from tests.integration.cli.stub import Monitor

__all__ = ["monitor", "run"]


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor(
        breaker("payments"),
        breaker("refunds", "open", reason="5 failures in a row", retry_after=12.0),
        breaker("a/b c?d#e%f"),
    ) as monitor:
        yield monitor
