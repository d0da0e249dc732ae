"""Forks: a child process does not wait for a lock that a thread of its parent held."""

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


def test_a_child_forgets_the_calls_of_its_parent() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(slow_call_rate=1, slow_call_duration=1, clock=clock)
    hanging = breaker.acquire()
    pid = os.fork()
    if pid == 0:
        inherited = breaker.snapshot().calls_under_way
        clock.advance(2)
        breaker.acquire().success()
        os._exit((inherited, breaker.slow_calls, breaker.snapshot().calls) != (0, 0, 1))
    clock.advance(2)
    breaker.acquire().success()
    assert (breaker.slow_calls, breaker.snapshot().calls_under_way) == (1, 1)
    hanging.success()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
