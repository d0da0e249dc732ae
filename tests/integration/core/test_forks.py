"""Forks: a child process does not wait for a lock that a thread of its parent held."""

from __future__ import annotations

import os
import threading

import pytest

from breaker_asgi import CircuitBreaker


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
