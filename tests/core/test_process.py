"""Forks of the process, as the core takes them; tests/integration/core has real ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerListener
from breaker_asgi._core import process
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import OPEN
from breaker_asgi.testing import FakeClock


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """Return the callbacks that the system gets, instead of giving them to it."""
    callbacks: dict[str, Callable[[], object]] = {}
    monkeypatch.setattr(os, "register_at_fork", callbacks.update, raising=False)
    return callbacks


def test_each_side_of_a_fork_has_its_callback(callbacks: dict[str, Any]) -> None:
    calls: list[str] = []
    process.at_fork(in_child=lambda: calls.append("child"))
    for side in ("before", "after_in_parent", "after_in_child"):
        callbacks[side]()
    assert calls == ["child"]


def test_a_system_without_forks_needs_no_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    calls: list[str] = []
    process.at_fork(before=lambda: calls.append("before"))
    assert calls == []


def test_a_breaker_has_a_new_lock_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("process", "offset", "lock"):
        monkeypatch.setattr(process, name, getattr(process, name))
    bank, before = CircuitBreaker(), process.process
    lock = bank._lock
    process._begin_in_child()
    assert process.process == before + 1
    assert bank._lock is not lock
    assert bank._lock is bank._lock
    assert process.offset == process.process << 64


def test_a_child_announces_no_change_that_its_parent_was_about_to_announce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("process", "offset", "lock"):
        monkeypatch.setattr(process, name, getattr(process, name))
    events: list[tuple[str, str]] = []

    class Listener(CircuitBreakerListener):
        def state_change(self, breaker: CircuitBreaker, old: str, new: str) -> None:
            events.append((old, new))

    bank = CircuitBreaker(listeners=[Listener()])
    bank._enter(Transition(OPEN, "down"), bank.config.clock())  # and is forked
    process._begin_in_child()
    bank._announce_changes()
    assert events == []
    bank.close()
    assert events == [("open", "closed")]


def test_a_child_has_no_call_under_way_that_its_parent_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()
    bank = CircuitBreaker(slow_call_rate=1, slow_call_duration=1, clock=clock)

    def figures() -> tuple[int | None, int | None]:
        snapshot = bank.snapshot()
        return snapshot.calls_under_way, snapshot.slow_calls_under_way

    inherited = bank.acquire()
    clock.advance(2)
    bank.acquire().success()
    assert figures() == (1, 1)
    monkeypatch.setattr(process, "process", process.process + 1)
    assert figures() == (0, 0)
    clock.advance(1)
    with bank:
        inherited.success()  # the child's copy
        assert figures() == (1, 0)


def test_a_callback_that_raises_at_the_shutdown_is_logged_once_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    error = OSError("the disk is full")

    def flush() -> None:
        raise error

    monkeypatch.setattr(process, "_at_shutdown", [])
    for callback in (flush, lambda: calls.append("the next one")):
        process.at_shutdown(callback)
    for _ in range(2):
        process.run_shutdown_callbacks()
    assert calls == ["the next one"] * 2
    [record] = caplog.records
    assert record.getMessage() == f"{flush.__qualname__} failed in the shutdown; not logged again"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
