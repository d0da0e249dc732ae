"""The histogram of durations, and the clockwork that collects them."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from breaker_asgi import BreakerConfigError
from breaker_asgi.telemetry import durations
from breaker_asgi.telemetry.durations import BUCKETS, Clockwork, Histogram, checked_buckets

# The histogram


def test_a_duration_counts_in_each_bucket_up_to_its_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        histogram.add(seconds)
    assert histogram.cumulative() == [2, 3, 4]
    assert histogram.sum == 3.65


def test_rising_bounds_are_accepted() -> None:
    assert checked_buckets(BUCKETS) == BUCKETS
    assert checked_buckets([1, 2.5]) == (1.0, 2.5)


@pytest.mark.parametrize(
    "wrong", [(), (0,), (-1, 1), (2, 1), (1, 1), (float("inf"),), (float("nan"),), ("1",), 5, "12"]
)
def test_bounds_that_do_not_rise_are_refused(wrong: Any) -> None:
    with pytest.raises(BreakerConfigError, match=r"buckets.* is not allowed: give "):
        checked_buckets(wrong)


# The clockwork


class Counting:
    """An object that records the thread of each tick."""

    def __init__(self, most: int = 1) -> None:
        self.threads: list[threading.Thread] = []
        self.done = threading.Event()
        self.begun_anew = 0
        self._most = most

    def tick(self) -> None:
        self.threads.append(threading.current_thread())
        if len(self.threads) >= self._most:
            self.done.set()

    def start_anew(self) -> None:
        self.begun_anew += 1


class Failing(Counting):
    def tick(self) -> None:
        super().tick()
        raise ValueError("no")


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(durations, "PAUSE", 0.001)
    clockwork = Clockwork()
    yield clockwork
    clockwork.end()


def test_the_clockwork_ticks_repeatedly_in_one_thread_of_its_own(clockwork: Clockwork) -> None:
    first, second = Counting(3), Counting(3)
    clockwork.tick_for(first)
    clockwork.tick_for(second)
    assert first.done.wait(20)
    assert second.done.wait(20)
    (thread,) = {*first.threads, *second.threads}
    assert thread.daemon
    assert thread is not threading.current_thread()


def test_the_clockwork_keeps_no_object_alive(clockwork: Clockwork) -> None:
    counting = Counting()
    clockwork.tick_for(counting)
    assert counting.done.wait(20)
    gone = weakref.ref(counting)
    with clockwork._lock:  # no tick is under way
        del counting
        gc.collect()
        assert gone() is None


def test_a_tick_that_raises_is_logged_once_and_blocks_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clockwork = Clockwork()
    failing, counting = Failing(), Counting()
    clockwork._ticked = (weakref.ref(failing), weakref.ref(counting))
    with caplog.at_level(logging.ERROR, "breaker_asgi"):
        clockwork.tick()
        clockwork.tick()
    assert len(counting.threads) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "Failing failed in its tick; not logged again"
    ]


def test_a_logger_that_raises_does_not_stop_the_thread(clockwork: Clockwork) -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError

    logger, broken = logging.getLogger("breaker_asgi"), Broken()
    failing, counting = Failing(), Counting(3)
    logger.addFilter(broken)
    try:
        clockwork.tick_for(failing)
        clockwork.tick_for(counting)
        assert counting.done.wait(20)
    finally:
        logger.removeFilter(broken)
    assert len(failing.threads) >= 3


def test_the_clockwork_ticks_a_last_time_when_the_process_ends() -> None:
    clockwork = Clockwork()
    counting = Counting()
    clockwork._ticked = (weakref.ref(counting),)
    clockwork.end()
    assert counting.threads == [threading.current_thread()]


def test_a_fork_waits_for_the_end_of_a_tick() -> None:
    clockwork = Clockwork()
    clockwork.before_fork()
    ticking = threading.Thread(target=clockwork.tick)
    counting = Counting()
    clockwork._ticked = (weakref.ref(counting),)
    ticking.start()
    assert counting.threads == []
    clockwork.after_fork()
    ticking.join(20)
    assert counting.threads == [ticking]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clockwork]:
    """A clockwork with a tick under way in another thread."""
    monkeypatch.setattr(durations, "_HUNG", 0.01)
    clockwork, begun, over = Clockwork(), threading.Event(), threading.Event()

    def hang() -> None:
        with clockwork._lock:
            begun.set()
            over.wait(20)

    thread = threading.Thread(target=hang)
    thread.start()
    begun.wait(20)
    yield clockwork
    over.set()
    thread.join(20)


def test_a_fork_does_not_wait_for_a_tick_that_hangs(hanging: Clockwork) -> None:
    hanging.before_fork()
    hanging.after_fork()


def test_the_end_of_the_process_does_not_wait_for_a_tick_that_hangs(hanging: Clockwork) -> None:
    counting = Counting()
    hanging._ticked = (weakref.ref(counting),)
    hanging.end()
    assert counting.threads == []


def test_the_clockwork_begins_anew_in_a_child_process(clockwork: Clockwork) -> None:
    counting = Counting()
    clockwork._ticked = (weakref.ref(counting),)
    clockwork.before_fork()
    clockwork.start_anew()
    assert counting.begun_anew == 1
    assert counting.done.wait(20)
