"""Nothing ticks but what a test has tick."""

from __future__ import annotations

import pytest

from breaker_asgi.telemetry.durations import clockwork


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "tick_for", lambda ticked: None)
