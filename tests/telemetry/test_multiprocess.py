"""Collectors for several workers, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breaker_asgi import BreakerConfigError, BreakerRegistry
from breaker_asgi.telemetry import prometheus_multiprocess
from breaker_asgi.telemetry.prometheus import BreakerCollector


@pytest.mark.usefixtures("folder")
def test_another_registry_with_the_same_labels_is_refused(registry: BreakerRegistry) -> None:
    BreakerCollector(registry)
    second = BreakerRegistry()
    with pytest.raises(BreakerConfigError, match="two registries of breakers with the same labels"):
        BreakerCollector(second)
    BreakerCollector(second, labels={"registry": "other"})


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("settings", [{"limit": 5}, {"buckets": (1, 2)}])
def test_other_settings_for_the_same_registry_are_refused(
    registry: BreakerRegistry, settings: dict[str, Any]
) -> None:
    BreakerCollector(registry)
    BreakerCollector(registry)
    with pytest.raises(BreakerConfigError, match="has a collector with limit=500"):
        BreakerCollector(registry, **settings)


def test_a_missing_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: BreakerRegistry
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(BreakerConfigError, match=r"nowhere.* is not allowed: give a directory"):
        BreakerCollector(registry)


def test_on_windows_no_worker_is_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, _: signalled.append(pid))
    monkeypatch.setattr("sys.platform", "win32")
    assert prometheus_multiprocess._lives(5)
    assert signalled == []
