"""The last minute of each breaker, second by second, and the hints from it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor, TimeWindow
from breaker_asgi.monitor.bars import percentile
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.traffic import as_rows
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit

START = 1_000_000.0


class Wall(FakeClock):
    """A clock for the time of day and for breakers."""


@pytest.fixture
def wall() -> Wall:
    return Wall(START)


@pytest.fixture
def history(registry: BreakerRegistry, wall: Wall) -> History:
    return History(registry, wall)


@pytest.fixture
def payments(registry: BreakerRegistry, wall: Wall) -> CircuitBreaker:
    """A breaker that never trips by itself; calls of more than a second are slow."""
    return registry.get(
        "payments",
        slow_call_rate=1,
        slow_call_duration=1,
        minimum_calls=1_000,
        window=TimeWindow(30),
        timeout_duration=5,
        clock=wall,
    )


def succeed(breaker: CircuitBreaker, wall: Wall, seconds: float = 0.0) -> None:
    with breaker:
        wall.advance(seconds)


def reject(breaker: CircuitBreaker) -> None:
    with pytest.raises(Exception, match="by hand"):
        breaker.acquire()


def pass_a_second(history: History, wall: Wall) -> None:
    wall.now = int(wall.now) + 1.01
    history.tick()


def test_each_outcome_is_counted_in_the_second_in_which_the_call_ended(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(3):
        succeed(payments, wall)
    succeed(payments, wall, 1.5)
    payments.acquire().failure()
    payments.acquire().ignore()
    payments.force_open()
    reject(payments)
    reject(payments)
    pass_a_second(history, wall)
    assert as_rows(history.seconds(payments)) == [[START + 1, 3, 1, 1, 2]]
    assert history.seconds(payments)[0].ignored == 1


def test_a_slow_call_is_one_of_the_second_in_which_it_ends(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    hanging = [payments.acquire() for _ in range(3)]
    wall.advance(1.5)
    succeed(payments, wall)
    assert payments.slow_calls == 3, "they count as slow already"
    pass_a_second(history, wall)
    hanging.pop().success()
    hanging.pop().failure()
    hanging.pop().ignore()
    pass_a_second(history, wall)
    assert as_rows(history.seconds(payments)) == [[START + 1, 1, 0, 0, 0], [START + 2, 0, 1, 1, 0]]


def test_the_slow_calls_of_a_second_are_no_more_than_its_successes(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    hanging = [payments.acquire() for _ in range(9)]
    for _ in range(9):
        wall.advance(1.5)
        succeed(payments, wall)
        hanging.pop().success()
        pass_a_second(history, wall)
    seconds = history.seconds(payments)
    assert [(second.ok, second.slow) for second in seconds] == [(1, 1)] * 9


def test_only_seconds_with_calls_are_kept(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    assert history.seconds(payments) == []
    succeed(payments, wall)
    for _ in range(3):
        pass_a_second(history, wall)
    succeed(payments, wall)
    pass_a_second(history, wall)
    assert [second.at - START for second in history.seconds(payments)] == [0, 3]


def test_a_minute_is_kept(history: History, payments: CircuitBreaker, wall: Wall) -> None:
    history.tick()
    for _ in range(100):
        succeed(payments, wall)
        pass_a_second(history, wall)
    seconds = [second.at - START for second in history.seconds(payments)]
    assert seconds == list(range(40, 100))
    for _ in range(61):
        pass_a_second(history, wall)
    assert history.seconds(payments) == []
    assert not history._tracks[payments].seconds


def test_a_breaker_made_later_is_counted_from_its_first_call(
    history: History, registry: BreakerRegistry, wall: Wall
) -> None:
    history.tick()
    late = registry.get("late")
    succeed(late, wall)
    pass_a_second(history, wall)
    assert as_rows(history.seconds(late)) == [[START, 1, 0, 0, 0]]


async def test_calls_before_the_start_are_not_counted(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    succeed(payments, wall)
    history.start()
    pass_a_second(history, wall)
    assert history.seconds(payments) == []


def test_two_ticks_in_one_second_make_one_entry(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(2):
        succeed(payments, wall)
        history.tick()
    assert as_rows(history.seconds(payments)) == [[START - 1, 2, 0, 0, 0]]


def test_a_clock_that_is_set_back_leaves_no_seconds_of_the_future(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall)
    pass_a_second(history, wall)
    wall.now = START - 3_600
    assert history.seconds(payments) == []
    succeed(payments, wall)
    pass_a_second(history, wall)
    assert [second.at for second in history.seconds(payments)] == [START - 3_600]


def test_calls_per_second_are_those_of_the_last_ten(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(5):
        succeed(payments, wall)
    payments.force_open()
    reject(payments)
    pass_a_second(history, wall)
    assert history.figures(payments)["calls_per_second"] == 0.6
    for _ in range(9):
        pass_a_second(history, wall)
    assert history.figures(payments)["calls_per_second"] == 0.6
    pass_a_second(history, wall)
    assert history.figures(payments)["calls_per_second"] == 0


def test_some_calls_of_each_second_are_timed(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    assert history.figures(payments)["p50"] is None
    for seconds in (0.25, 0.5, 0.125):
        succeed(payments, wall, seconds)
    pass_a_second(history, wall)
    figures = history.figures(payments)
    assert (figures["p50"], figures["p95"]) == (0.25, 0.5)


def test_a_percentile_is_one_of_the_values() -> None:
    times = [float(number) for number in range(1, 101)]
    assert [percentile(times, share) for share in (0.5, 0.95)] == [50, 95]
    assert percentile([7.0], 0.95) == 7
    assert percentile([], 0.5) is None


def test_rejections_are_one_event_a_second(
    history: History, registry: BreakerRegistry, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    payments.force_open()
    for _ in range(2):
        reject(payments)
        reject(payments)
        pass_a_second(history, wall)
    events = EventLog.of(registry).latest(2)
    assert [(event["kind"], event["count"]) for event in events] == [("rejections", 2)] * 2


async def test_the_detail_contains_the_last_minute(
    monitor: CircuitBreakerMonitor,
    history: History,
    payments: CircuitBreaker,
    wall: Wall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor._listing, "_history", history)
    history.tick()
    succeed(payments, wall)
    pass_a_second(history, wall)
    detail = (await visit(monitor, "/payments")).json
    assert detail["history"] == [[START, 1, 0, 0, 0]]
    assert detail["calls_per_second"] == 0.1
    assert detail["p50"] == 0


# Timer


def test_a_history_keeps_neither_breaker_nor_registry_alive() -> None:
    registry = BreakerRegistry()
    history = History.of(registry)
    breaker = registry.get("payments")
    history.tick()
    references = [weakref.ref(owner) for owner in (registry, breaker, history)]
    del registry, breaker, history
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_a_registry_has_one_history(registry: BreakerRegistry) -> None:
    assert History.of(registry) is History.of(registry)


class Loop:
    """A stand-in for an event loop that collects scheduled callbacks."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.closed = False

    def call_later(self, delay: float, callback: Any, *args: Any) -> None:
        self.later.append((delay, callback, args))

    def is_running(self) -> bool:
        return not self.closed

    def run(self) -> None:
        _, callback, args = self.later.pop()
        callback(*args)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("breaker_asgi.monitor.history.asyncio.get_running_loop", lambda: loop)
    return loop


def test_a_history_ticks_just_after_each_whole_second(
    history: History, loop: Loop, wall: Wall
) -> None:
    wall.now = START + 0.75
    history.start()
    history.start()
    assert [delay for delay, *_ in loop.later] == [pytest.approx(0.26)]
    wall.now = START + 1.01
    loop.run()
    assert history.ticks == 1
    assert [delay for delay, *_ in loop.later] == [pytest.approx(1.0)]


def test_a_history_restarts_on_another_loop_once_the_first_is_closed(
    history: History, loop: Loop, wall: Wall, payments: CircuitBreaker
) -> None:
    history.start()
    loop.closed = True
    succeed(payments, wall)
    history.start()
    assert len(loop.later) == 2
    pass_a_second(history, wall)
    assert history.seconds(payments) == []


def test_a_loop_does_not_keep_a_history_alive(
    registry: BreakerRegistry, loop: Loop, wall: Wall
) -> None:
    history = History(registry, wall)
    history.start()
    gone = weakref.ref(history)
    del history
    gc.collect()
    assert gone() is None
    loop.run()
    assert loop.later == []


def test_a_history_does_not_start_without_a_loop(history: History) -> None:
    history.start()
    assert history._loop is None


async def test_a_request_to_the_monitor_starts_the_history(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    await visit(monitor)
    assert History.of(registry)._loop is asyncio.get_running_loop()


# Hints


def hinted(breaker: CircuitBreaker, registry: BreakerRegistry, history: History) -> list[str]:
    entries = hints(breaker, EventLog.of(registry), history)
    assert all(set(entry) == {"setting", "hint", "remedy"} for entry in entries)
    return [entry["setting"] for entry in entries]


async def test_the_detail_contains_the_hints(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    breaker = registry.get("payments")
    for _ in range(10):
        breaker.acquire().ignore()
    (hint,) = (await visit(full, "/payments")).json["hints"]
    assert hint["setting"] == "ignore"


def test_a_new_breaker_has_no_hints(
    payments: CircuitBreaker, registry: BreakerRegistry, history: History
) -> None:
    assert hinted(payments, registry, history) == []


def test_never_enough_calls_to_judge(
    payments: CircuitBreaker, registry: BreakerRegistry, history: History, wall: Wall
) -> None:
    for _ in range(60):
        assert hinted(payments, registry, history) == []
        succeed(payments, wall)
        pass_a_second(history, wall)
    (hint,) = hints(payments, EventLog.of(registry), history)
    assert hint["setting"] == "minimum_calls"
    assert hint["hint"].startswith("About 30 calls come in 30 s, the window, and no rate")


def test_enough_calls_to_judge(registry: BreakerRegistry, history: History, wall: Wall) -> None:
    busy = registry.get("busy", failure_rate=0.5, window=TimeWindow(30), minimum_calls=20)
    streak = registry.get("streak", fail_max=3)
    for _ in range(61):
        succeed(busy, wall)
        succeed(streak, wall)
        pass_a_second(history, wall)
    assert hinted(busy, registry, history) == []
    assert hinted(streak, registry, history) == []


def test_every_exception_excluded(registry: BreakerRegistry, history: History) -> None:
    breaker = registry.get("payments", exclude=[LookupError])
    for _ in range(10):
        assert hinted(breaker, registry, history) == []
        breaker._settle(None, breaker.outcome_of(KeyError()), KeyError())
    assert hinted(breaker, registry, history) == ["exclude"]
    breaker.acquire().failure()
    assert hinted(breaker, registry, history) == []


def test_every_call_ignored(registry: BreakerRegistry, history: History) -> None:
    breaker = registry.get("payments")
    for _ in range(10):
        breaker.acquire().ignore()
    assert hinted(breaker, registry, history) == ["ignore"]


def test_opened_and_closed_again_and_again(
    payments: CircuitBreaker, registry: BreakerRegistry, history: History
) -> None:
    for _ in range(3):
        assert hinted(payments, registry, history) == []
        payments.open()
        payments.close()
    assert hinted(payments, registry, history) == ["half_open_calls"]


def test_an_open_time_shorter_than_a_call(
    payments: CircuitBreaker, registry: BreakerRegistry, history: History, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall, 5.0)
    pass_a_second(history, wall)
    assert hinted(payments, registry, history) == []
    succeed(payments, wall, 6.0)
    succeed(payments, wall, 6.0)
    pass_a_second(history, wall)
    assert hinted(payments, registry, history) == ["timeout_duration"]
