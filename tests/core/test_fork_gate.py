"""Forks and the work that they wait for: in turns, without a deadlock."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread, get_ident

import pytest

from breaker_asgi._core import fork_gate
from breaker_asgi._core.fork_gate import ForkGate
from breaker_asgi.testing import FakeClock


@pytest.fixture
def gate() -> ForkGate:
    return ForkGate()


def elsewhere(act: Callable[[], object]) -> None:
    """Run a function in another thread, and wait for it."""
    thread = Thread(target=act)
    thread.start()
    thread.join()


def each_pause(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[float]:
    """Run a function at each pause; return the list of pauses."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        act()

    monkeypatch.setattr(fork_gate, "sleep", pause)
    return pauses


@pytest.fixture
def worker(gate: ForkGate) -> int:
    """A thread that is at work: its identity."""
    elsewhere(gate.__enter__)
    return gate._at_work[0]


def test_a_fork_waits_for_the_work_of_another_thread(
    gate: ForkGate, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = each_pause(monkeypatch, lambda: gate._at_work.remove(worker))
    gate.before()
    assert len(pauses) == 1


def test_a_fork_does_not_wait_for_work_that_hangs(
    gate: ForkGate, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(fork_gate, "monotonic", clock)
    pauses = each_pause(monkeypatch, lambda: clock.advance(0.4))
    gate.before()
    assert len(pauses) == 3


def test_a_fork_does_not_wait_for_its_own_work(
    gate: ForkGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = each_pause(monkeypatch, gate._at_work.clear)
    with gate:
        gate.before()
        with gate:
            pass
        gate.in_parent()
    assert pauses == []


def test_work_waits_for_the_fork_of_another_thread(
    gate: ForkGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(gate.before)
    pauses = each_pause(monkeypatch, gate._forking.clear)
    with gate:
        assert len(pauses) == 1


def test_work_within_work_does_not_wait_for_the_fork_that_waits_for_it(
    gate: ForkGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = each_pause(monkeypatch, gate._forking.clear)
    with gate:
        gate._forking.add(get_ident() + 1)
        with gate:
            assert pauses == []


def test_work_goes_on_after_a_fork(gate: ForkGate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> None:
        gate.before()
        gate.in_parent()

    pauses = each_pause(monkeypatch, gate._forking.clear)
    elsewhere(fork)
    with gate:
        assert pauses == []


def test_a_child_has_only_the_work_of_the_thread_that_forked(gate: ForkGate, worker: int) -> None:
    with gate:
        gate.in_child()
        assert gate._at_work == [get_ident()]
    assert worker not in gate._at_work


def test_work_goes_on_in_a_child(gate: ForkGate, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = each_pause(monkeypatch, gate._forking.clear)
    elsewhere(gate.before)
    gate.in_child()
    with gate:
        assert pauses == []
