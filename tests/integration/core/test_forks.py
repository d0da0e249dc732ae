"""Forks: a child process waits for no lock of its parent, and runs none of its calls."""

from __future__ import annotations

import os
import threading

import pytest

from breaker_asgi import CircuitBreaker
from breaker_asgi.testing import FakeClock


@pytest.mark.parametrize("name", [None, "bank"], ids=["unnamed", "named"])
def test_a_child_uses_a_breaker_whose_lock_was_held(name: str | None) -> None:
    breaker = CircuitBreaker(name=name)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with breaker._lock:
            held.set()
            go.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    pid = os.fork()
    if pid == 0:
        breaker.open()
        os._exit(breaker.state != "open")
    go.set()
    thread.join()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_calls_under_way_remain_with_the_parent_of_a_fork() -> None:
    clock = FakeClock()
    bank = CircuitBreaker(slow_call_rate=1, slow_call_duration=1, clock=clock)
    held = [bank.acquire() for _ in range(3)]
    clock.advance(2)
    bank.acquire().success()
    held.append(bank.acquire())
    pid = os.fork()
    if pid == 0:
        counts = [_under_way(bank)]
        clock.advance(1)
        own = bank.acquire()
        counts.append(_under_way(bank))
        for permit in held:  # the child's copies
            permit.success()
        counts.append(_under_way(bank))
        own.success()
        os._exit(counts != [(0, 0), (1, 0), (1, 0)] or bank.slow_calls != 3)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert _under_way(bank) == (4, 3)


def _under_way(breaker: CircuitBreaker) -> tuple[int | None, int | None]:
    snapshot = breaker.snapshot()
    return snapshot.calls_under_way, snapshot.slow_calls_under_way
