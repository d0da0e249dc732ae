"""Windows against naive models that keep every call and count anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breaker_asgi._core.windows import (
    FAILED,
    OK,
    SLOW,
    CountRecord,
    CountWindow,
    Streak,
    TimeRecord,
    TimeWindow,
    WindowCounts,
    counts_of,
)

CALLS = st.sampled_from([OK, OK, OK, FAILED, SLOW, FAILED | SLOW])


def streak_of(calls: list[int]) -> int:
    streak = 0
    for call in calls:
        streak = streak + 1 if call & FAILED else 0
    return streak


def expected_counts(calls: list[int], everything: list[int]) -> WindowCounts:
    failures = sum(bool(call & FAILED) for call in calls)
    slow_calls = sum(bool(call & SLOW) for call in calls)
    return WindowCounts(len(calls), failures, slow_calls, streak_of(everything))


@given(st.integers(1, 12), st.lists(CALLS, max_size=60))
def test_a_count_window_holds_the_last_calls(size: int, calls: list[int]) -> None:
    record = CountRecord(size)
    for number, call in enumerate(calls, 1):
        record.add(call, 0.0)
        history = calls[:number]
        assert counts_of(record, 0.0) == expected_counts(history[-size:], history)


@given(st.integers(1, 12), st.lists(CALLS, max_size=60))
def test_a_success_does_not_change_a_settled_count_window(size: int, calls: list[int]) -> None:
    record = CountRecord(size)
    assert record.settled is False
    for number, call in enumerate(calls, 1):
        record.add(call, 0.0)
        assert record.settled is (number >= size and not any(calls[max(0, number - size) : number]))
        if record.settled:
            before = counts_of(record, 0.0)
            record.add(OK, 0.0)
            assert counts_of(record, 0.0) == before


STEPS = st.one_of(
    st.just(0.0),
    st.floats(0, 0.9),
    st.integers(1, 4).map(float),
    st.floats(5, 1000),
)


@given(st.integers(1, 8), st.floats(0, 1e6), st.lists(st.tuples(STEPS, CALLS), max_size=60))
def test_a_time_window_holds_the_calls_of_the_last_whole_seconds(
    seconds: int, start: float, calls: list[tuple[float, int]]
) -> None:
    record = TimeRecord(seconds)
    now, history = start, list[tuple[float, int]]()
    for step, call in calls:
        now += step
        record.add(call, now)
        history.append((now // 1, call))
        held = [entry for second, entry in history if second > now // 1 - seconds]
        assert counts_of(record, now) == expected_counts(held, [entry for _, entry in history])


@given(st.integers(1, 8), st.lists(st.tuples(STEPS, CALLS), max_size=60), STEPS)
def test_a_time_window_forgets_without_calls(
    seconds: int, calls: list[tuple[float, int]], pause: float
) -> None:
    record = TimeRecord(seconds)
    now, history = 0.0, list[tuple[float, int]]()
    for step, call in calls:
        now += step
        record.add(call, now)
        history.append((now // 1, call))
    now += pause
    held = [entry for second, entry in history if second > now // 1 - seconds]
    assert counts_of(record, now)[:3] == expected_counts(held, [])[:3]


@given(st.integers(1, 8), st.lists(st.tuples(STEPS, CALLS), max_size=60))
def test_until_it_is_settled_a_time_window_has_only_calls_to_count(
    seconds: int, calls: list[tuple[float, int]]
) -> None:
    """Record as a guarded function does on its fast path, without `add`."""
    short, full = TimeRecord(seconds), TimeRecord(seconds)
    now = 0.0
    for step, call in calls:
        now += step
        if call == OK and now < short.settled_until:
            short.calls += 1
        else:
            short.add(call, now)
        full.add(call, now)
        counts = counts_of(full, now)
        assert counts_of(short, now) == counts
        is_settled = call == OK and counts.failures == 0 == counts.slow_calls
        assert (now < full.settled_until) is (now < short.settled_until) is is_settled


@given(st.integers(1, 8), st.lists(st.tuples(st.floats(-50, 50), CALLS), max_size=60))
def test_a_time_window_recovers_from_a_clock_that_jumps(
    seconds: int, calls: list[tuple[float, int]]
) -> None:
    record, now = TimeRecord(seconds), 1000.0
    for step, call in calls:
        now += step
        record.add(call, now)
        held = counts_of(record, now)
        assert 0 <= held.failures <= held.calls <= len(calls)
        assert 0 <= held.slow_calls <= held.calls
    assert counts_of(record, 10_000.0)[:3] == (0, 0, 0)


@pytest.mark.parametrize(
    ("seconds", "back", "calls"),
    [(10, 0.5, 2), (10, 9.0, 2), (10, 9.9, 1), (10, 10.0, 1), (1, 0.5, 1), (1, 1.0, 1)],
)
def test_a_clock_that_is_set_back_by_less_than_a_time_window_forgets_nothing(
    seconds: int, back: float, calls: int
) -> None:
    record = TimeRecord(seconds)
    record.add(FAILED, 1000.0)
    record.add(OK, 1000.0 - back)
    assert counts_of(record, 1000.0 - back) == (calls, calls - 1, 0, 0)


@given(st.lists(CALLS, max_size=40))
def test_a_streak_counts_failures_in_a_row(calls: list[int]) -> None:
    record = Streak()
    assert (record.streak, record.settled) == (0, True)
    for number, call in enumerate(calls, 1):
        record.add(call, 0.0)
        assert record.streak == streak_of(calls[:number])
        assert record.settled is (record.streak == 0)


@pytest.mark.parametrize("size", [1, 10, 1_000, 100_000, 1_000_000])
def test_a_count_window_may_be_large(size: int) -> None:
    record = CountWindow(size).record()
    for _ in range(3):
        record.add(FAILED, 0.0)
    assert counts_of(record, 0.0) == (min(size, 3), min(size, 3), 0, 3)


def test_a_time_window_keeps_no_more_seconds_than_it_has() -> None:
    record = TimeWindow(10).record()
    for second in range(1000):
        record.add(FAILED, float(second))
        counts_of(record, second + 0.5)
    chain: Any = record
    kept, node = 0, chain._oldest
    while node is not None:
        kept, node = kept + 1, node.next
    assert kept <= 11
    assert counts_of(record, 999.0).calls == 10
