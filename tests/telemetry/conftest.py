"""Breakers with hostile names, and multiprocess mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from breaker_asgi.telemetry import prometheus_multiprocess
from tests.telemetry.scraping import hostile

__all__ = ["folder", "hostile"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set multiprocess mode, without metrics of earlier tests."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(prometheus_multiprocess, "_all", [])
