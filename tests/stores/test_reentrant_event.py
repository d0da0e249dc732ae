"""The event that wakes the fleet's thread."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread

import pytest

from breaker_asgi._fleet.threads import ReentrantEvent


@pytest.fixture
def alarm() -> ReentrantEvent:
    return ReentrantEvent()


def test_set_wakes_the_waiting_thread(alarm: ReentrantEvent) -> None:
    woken: SimpleQueue[str] = SimpleQueue()

    def sleep() -> None:
        alarm.wait(30)
        woken.put("woken")

    Thread(target=sleep, daemon=True).start()
    alarm.set()
    assert woken.get(timeout=10) == "woken"


def test_event_stays_set_until_cleared(alarm: ReentrantEvent) -> None:
    for _ in range(3):
        alarm.set()
    alarm.wait(30)
    assert alarm.is_set()
    alarm.clear()
    assert not alarm.is_set()
    alarm.wait(0)
    assert not alarm.is_set()
