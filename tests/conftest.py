"""Fixtures and hooks of all tests."""

import gc
import os
import signal
import sys
from collections.abc import Generator

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from breaker_asgi import BreakerConfig, BreakerRegistry, default_registry
from breaker_asgi.monitor.event_log import _event_logs
from breaker_asgi.monitor.history import _histories
from breaker_asgi.telemetry.durations import clockwork
from breaker_asgi.testing import FakeClock

pytest_plugins = ["pytester", "tests.limits"]
collect_ignore = ["test_lazy_annotations.py"] if sys.version_info < (3, 14) else []

settings.register_profile("tests", deadline=None)  # tests/limits.py has the limit of time
settings.load_profile("tests")


def pytest_configure() -> None:
    """Let Ctrl-C end the processes of tests: background jobs of a shell ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Do the slow work of the first tests, and freeze the collected objects.

    Hypothesis makes tables of characters once in a folder, which takes a second; and `gc.collect()`
    should visit a test's own objects, not thousands of tests.
    """
    find(st.text(min_size=1), bool)
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail skipped tests if NOTHING_SKIPPED is set."""
    report = yield
    if report.skipped and os.environ.get("NOTHING_SKIPPED"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail skipped modules if NOTHING_SKIPPED is set."""
    report = yield
    if report.skipped and os.environ.get("NOTHING_SKIPPED"):
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def _unwatched_default_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detach the monitors of other tests from the default registry."""
    monkeypatch.setattr(default_registry, "_listeners", ())
    _event_logs.pop(default_registry, None)
    _histories.pop(default_registry, None)


@pytest.fixture(autouse=True)
def _still_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of telemetry: tests tick it themselves."""
    monkeypatch.setattr(clockwork, "_start", lambda: None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.fixture
def config(clock: FakeClock) -> BreakerConfig:
    """Two failures in a row open for ten seconds."""
    return BreakerConfig(fail_max=2, timeout_duration=10, clock=clock)
