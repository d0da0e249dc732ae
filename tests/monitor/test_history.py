"""The last minute of each breaker, second by second, and the hints from it."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import weakref
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor, TimeWindow
from breaker_asgi.monitor.bars import Bar, Bars, percentile
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
    events = EventLog.of(registry).newest_first()[:2]
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


# Rates and percentiles


def test_rates_and_shares_are_those_of_ten_whole_seconds(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(3):
        succeed(payments, wall)
    payments.acquire().failure()
    payments.force_open()
    for _ in range(6):
        reject(payments)
    pass_a_second(history, wall)
    figures = history.figures(payments)
    assert figures["rejected_per_second"] == 0.6
    assert (figures["failing_share"], figures["rejected_share"]) == (0.25, 0.6)


def test_there_is_no_share_of_no_calls(history: History, payments: CircuitBreaker) -> None:
    figures = history.figures(payments)
    assert (figures["failing_share"], figures["rejected_share"]) == (None, None)
    assert figures["rejected_per_second"] == 0


def test_nothing_fails_where_all_calls_are_rejected(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    payments.force_open()
    reject(payments)
    pass_a_second(history, wall)
    figures = history.figures(payments)
    assert (figures["failing_share"], figures["rejected_share"]) == (None, 1.0)


def test_each_second_has_its_percentiles(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for seconds in (0.25, 0.5, 0.125):
        succeed(payments, wall, seconds)
    pass_a_second(history, wall)
    payments.acquire().ignore()
    pass_a_second(history, wall)
    assert history.percentiles(payments) == [(START, 0.25, 0.5, 0.5)]


# Bars


def test_a_bar_has_the_calls_of_ten_seconds(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for number in range(12):
        succeed(payments, wall, number / 100)
        pass_a_second(history, wall)
    first, second = history.bars(payments)
    assert first == (START, 10, 0, 0, 0, 0.04, 0.09, 0.09)
    assert second[:2] == (START + 10, 2)


def test_the_bar_that_has_not_ended_is_there_as_well(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall)
    assert history.bars(payments) == []
    pass_a_second(history, wall)
    assert history.bars(payments) == [(START, 1, 0, 0, 0, 0, 0, 0)]


def test_a_bar_without_timed_calls_has_no_percentiles(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    payments.force_open()
    reject(payments)
    for _ in range(11):
        pass_a_second(history, wall)
    assert history.bars(payments) == [(START, 0, 0, 0, 1, None, None, None)]


def test_fifteen_minutes_are_kept_in_bars(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(1_000):
        succeed(payments, wall)
        pass_a_second(history, wall)
    bars = history.bars(payments)
    assert len(bars) == 89, "the bar of this moment has no calls so far"
    assert (bars[0].at, bars[-1].at) == (START + 110, START + 1_000 - 10)
    assert sum(bar.ok for bar in bars) == 890


def test_a_busy_breaker_keeps_three_kilobytes_of_bars_and_an_idle_one_nothing(
    history: History, registry: BreakerRegistry, payments: CircuitBreaker, wall: Wall
) -> None:
    idle = registry.get("idle")
    history.tick()
    for _ in range(1_000):
        succeed(payments, wall)
        pass_a_second(history, wall)
    bars = history._tracks[payments].bars
    assert bars is not None
    assert sys.getsizeof(bars) + sys.getsizeof(bars._packed) < 3_500
    assert history._tracks[idle].bars is None


def test_bars_are_forgotten_when_the_calls_have_ended(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall)
    pass_a_second(history, wall)
    wall.now = START + 890
    history.tick()
    assert len(history.bars(payments)) == 1
    wall.now = START + 900
    assert history.bars(payments) == []
    history.tick()
    assert history._tracks[payments].bars is None


def test_a_late_tick_of_a_bar_that_is_complete_is_added_to_it(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall)
    wall.now = START + 10
    history.tick()
    succeed(payments, wall)
    history.tick()
    assert [bar[:2] for bar in history.bars(payments)] == [(START, 2)]


def test_a_clock_that_is_set_back_leaves_no_bars_of_the_future(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    for _ in range(20):
        succeed(payments, wall)
        pass_a_second(history, wall)
    wall.now = START - 3_600
    assert history.bars(payments) == []
    succeed(payments, wall)
    pass_a_second(history, wall)
    assert [bar.at for bar in history.bars(payments)] == [START - 3_600]


@pytest.mark.parametrize("time", [0.0, 0.0005123, 0.1, 1 / 3, 59.9, 86_400.0])
def test_bars_keep_six_digits_of_a_duration(time: float) -> None:
    bars = Bars()
    bars.put(Bar(10, 1, 0, 0, 0, time, time, time))
    (bar,) = bars
    assert bar.p50 == pytest.approx(time, rel=1e-6)


# All breakers together


def test_all_breakers_are_summed_up_those_that_are_gone_too(
    history: History, registry: BreakerRegistry, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    gone = registry._lend("gone", payments.config, {})
    for breaker in (payments, payments, gone):
        succeed(breaker, wall)
    pass_a_second(history, wall)
    del gone, breaker
    gc.collect()
    payments.acquire().failure()
    pass_a_second(history, wall)
    assert "gone" not in registry
    assert as_rows(history.all_seconds()) == [[START, 3, 0, 0, 0], [START + 1, 0, 1, 0, 0]]
    assert history.all_bars() == [(START, 3, 1, 0, 0, None, None, None)]


def test_more_breakers_than_a_slice_are_summed_up_once(
    history: History, registry: BreakerRegistry, wall: Wall, loop: Loop
) -> None:
    breakers = [registry.get(f"{number}", clock=wall) for number in range(250)]
    history.start()
    for breaker in breakers:
        succeed(breaker, wall)
    wall.now = START + 1.01
    loop.run()
    assert as_rows(history.all_seconds()) == [[START, 250, 0, 0, 0]]


# Other workers


def test_calls_of_another_worker_are_spread_over_its_seconds(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    wall.now = START + 3
    history.elsewhere("payments", int(START), int(START) + 3, (4, 0, 0, 3))
    seconds = as_rows(history.seconds(payments, fleet=True))
    assert seconds == [[START, 1, 0, 0, 1], [START + 1, 1, 0, 0, 1], [START + 2, 2, 0, 0, 1]]
    assert history.seconds(payments) == []


def test_the_fleets_figures_are_the_sums_of_all_workers(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.tick()
    succeed(payments, wall)
    pass_a_second(history, wall)
    history.elsewhere("payments", int(START), int(START) + 1, (2, 1, 0, 6))
    assert as_rows(history.seconds(payments, fleet=True)) == [[START, 3, 1, 0, 6]]
    assert [bar[:5] for bar in history.bars(payments, fleet=True)] == [(START, 3, 1, 0, 6)]
    assert as_rows(history.all_seconds(fleet=True)) == [[START, 3, 1, 0, 6]]
    assert [bar[:5] for bar in history.all_bars(fleet=True)] == [(START, 3, 1, 0, 6)]
    assert history.figures(payments, fleet=True)["calls_per_second"] == 1.0
    assert history.figures(payments)["calls_per_second"] == 0.1


def test_figures_of_another_worker_that_come_late_are_put_in_their_place(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    wall.now = START + 60
    for at in (30, 10, 20):
        history.elsewhere("payments", int(START) + at, int(START) + at + 1, (at, 0, 0, 0))
    bars = history.bars(payments, fleet=True)
    assert [(bar.at - START, bar.ok) for bar in bars] == [(10, 10), (20, 20), (30, 30)]


def test_calls_of_other_workers_are_forgotten(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    history.elsewhere("payments", int(START), int(START) + 1, (1, 0, 0, 0))
    wall.now = START + 900
    history.tick()
    assert history._elsewhere == {}
    assert history.all_bars(fleet=True) == []


def test_counts_of_another_worker_that_cannot_be_are_bounded(
    history: History, payments: CircuitBreaker, wall: Wall
) -> None:
    wall.now = START + 1
    history.elsewhere("payments", int(START), int(START), (-5, 2**70, 0, 0))
    assert [bar[:3] for bar in history.bars(payments, fleet=True)] == [(START, 0, 2**32 - 1)]


# The detail and the traffic


async def test_the_detail_contains_fifteen_minutes(
    monitor: CircuitBreakerMonitor,
    history: History,
    payments: CircuitBreaker,
    wall: Wall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor._listing, "_history", history)
    history.tick()
    succeed(payments, wall, 0.25)
    pass_a_second(history, wall)
    detail = (await visit(monitor, "/payments")).json
    assert detail["bars"] == [[START, 1, 0, 0, 0, 0.25, 0.25, 0.25]]
    assert detail["percentiles"] == [[START, 0.25, 0.25, 0.25]]


async def test_the_traffic_is_that_of_all_breakers_or_of_one(
    monitor: CircuitBreakerMonitor,
    history: History,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    wall: Wall,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor._log, "_history", history)
    bank = registry.get("bank", clock=wall)
    history.tick()
    for breaker in (payments, bank):
        succeed(breaker, wall, 0.25)
    pass_a_second(history, wall)
    every = (await visit(monitor, "/-/traffic")).json
    one = (await visit(monitor, "/-/traffic?name=bank")).json
    assert every["seconds"] == [[START, 2, 0, 0, 0]]
    assert every["bars"] == [[START, 2, 0, 0, 0, None, None, None]]
    assert one["seconds"] == [[START, 1, 0, 0, 0]]
    assert one["bars"] == [[START, 1, 0, 0, 0, 0.25, 0.25, 0.25]]


async def test_changes_of_state_are_marked_on_the_traffic_but_not_probes(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    wall: Wall,
) -> None:
    payments.open()
    wall.advance(6)
    payments.acquire().failure()
    wall.advance(20)
    payments.acquire().success()
    payments.close()
    registry.get("bank").disable()
    marks = (await visit(monitor, "/-/traffic")).json["marks"]
    assert [(mark["breaker"], mark["from"], mark["to"]) for mark in marks] == [
        ("payments", "closed", "open"),
        ("payments", "half_open", "closed"),
        ("bank", "closed", "disabled"),
    ]
    assert abs(marks[0]["at"] - time.time()) < 60
    (mark,) = (await visit(monitor, "/-/traffic?name=bank")).json["marks"]
    assert mark["breaker"] == "bank"


async def test_the_traffic_of_an_unknown_breaker_is_not_found(
    monitor: CircuitBreakerMonitor,
) -> None:
    assert (await visit(monitor, "/-/traffic?name=nobody")).status == 404


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

    def call_soon(self, callback: Any, *args: Any) -> None:
        callback(*args)

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
