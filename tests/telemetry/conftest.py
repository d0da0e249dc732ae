"""Breakers that are hard to tell of, and metrics of several workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from breaker_asgi.telemetry import prometheus_multiprocess
from tests.telemetry.scraping import hostile

__all__ = ["folder", "hostile"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiprocess mode, with nothing that is kept already."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(prometheus_multiprocess, "_all", [])
