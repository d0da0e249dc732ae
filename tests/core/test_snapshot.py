"""`breaker.snapshot()`: its fields, and the secrets it leaves out."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breaker_asgi import (
    BreakerSnapshot,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
    CountWindow,
    TimeWindow,
)
from breaker_asgi._core.counters import words_for
from breaker_asgi.testing import FakeClock


class DownError(Exception):
    """The dependency failed."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def rated(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(
        failure_rate=0.5,
        slow_call_rate=1,
        slow_call_duration=2,
        window=CountWindow(10),
        minimum_calls=4,
        name="search",
        clock=clock,
    )


def fails(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failure(DownError("secret"))


def succeeds(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().success()


def ago(moment: datetime | None) -> float:
    """Return the age of a moment, in whole seconds."""
    assert moment is not None
    assert moment.tzinfo is UTC
    return round((datetime.now(UTC) - moment).total_seconds())


def test_a_new_breaker_has_an_empty_snapshot(clock: FakeClock) -> None:
    snapshot = CircuitBreaker(name="bank", clock=clock).snapshot()
    assert dataclasses.replace(snapshot, changed_at=datetime.min) == BreakerSnapshot(  # noqa: DTZ901
        name="bank",
        state=CircuitBreakerState.CLOSED,
        reason="new",
        changed_at=datetime.min,  # noqa: DTZ901
        generation=0,
        admitted_share=None,
        retry_after=0.0,
        outage=None,
        calls=0,
        failure_rate=None,
        slow_call_rate=None,
        consecutive_failures=0,
        successes=0,
        failures=0,
        ignored=0,
        rejected=0,
        excluded=0,
        slow_calls=0,
        calls_under_way=None,
        slow_calls_under_way=None,
        last_failure_type=None,
        last_failure_at=None,
        last_failure_message=None,
    )


def test_a_snapshot_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CircuitBreaker().snapshot().calls = 5  # type: ignore[misc]


def test_a_snapshot_stays_as_it_was(rated: CircuitBreaker) -> None:
    snapshot = rated.snapshot()
    fails(rated, 4)
    assert (snapshot.calls, snapshot.state.value) == (0, "closed")


def test_a_snapshot_becomes_json(rated: CircuitBreaker) -> None:
    fails(rated, 4)
    text = json.dumps(dataclasses.asdict(rated.snapshot()), default=datetime.isoformat)
    loaded = json.loads(text)
    assert loaded["state"] == "open"
    assert loaded["failure_rate"] == 1
    assert datetime.fromisoformat(loaded["changed_at"]).tzinfo == UTC
    assert set(loaded) == {field.name for field in dataclasses.fields(BreakerSnapshot)}


# The window


def test_rates_are_none_below_the_minimum_of_calls(rated: CircuitBreaker) -> None:
    fails(rated, 3)
    snapshot = rated.snapshot()
    assert (snapshot.failure_rate, snapshot.slow_call_rate, snapshot.calls) == (None, None, 3)


def test_rates_are_none_until_all_probes_have_answered(clock: FakeClock) -> None:
    rates: list[float | None] = []

    class Rates:
        def success(self, breaker: CircuitBreaker) -> None:
            rates.append(breaker.snapshot().failure_rate)

    breaker = CircuitBreaker(
        failure_rate=0.5, minimum_calls=9, half_open_calls=2, listeners=[Rates()], clock=clock
    )
    breaker.half_open()
    succeeds(breaker, 2)
    assert rates == [None, 0]


def test_rates_are_those_of_the_window(rated: CircuitBreaker, clock: FakeClock) -> None:
    fails(rated)
    succeeds(rated, 2)
    slow = rated.acquire()
    clock.advance(3)
    slow.success()
    snapshot = rated.snapshot()
    assert (snapshot.failure_rate, snapshot.slow_call_rate, snapshot.calls) == (0.25, 0.25, 4)


def test_a_count_window_holds_no_more_than_its_calls(rated: CircuitBreaker) -> None:
    fails(rated)
    succeeds(rated, 10)
    snapshot = rated.snapshot()
    assert (snapshot.failure_rate, snapshot.calls, snapshot.successes) == (0, 10, 10)


def test_a_time_window_forgets_without_calls(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_rate=1, window=TimeWindow(10), clock=clock)
    fails(breaker, 5)
    assert breaker.snapshot().calls == 5
    clock.advance(10)
    assert breaker.snapshot().calls == 0


def test_the_slow_call_rate_is_none_where_calls_are_not_timed() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=CountWindow(1))
    succeeds(breaker)
    assert (breaker.snapshot().failure_rate, breaker.snapshot().slow_call_rate) == (0, None)


def test_the_failure_rate_is_none_where_no_failure_rate_is_set(clock: FakeClock) -> None:
    """Follow the reference: None if no rate is set."""
    breaker = CircuitBreaker(fail_max=3)
    succeeds(breaker, 20)
    assert breaker.snapshot().failure_rate is None


@pytest.mark.parametrize(
    "settings", [{}, {"failure_rate": 0.9}, {"failure_rate": 0.9, "window": TimeWindow(60)}]
)
def test_consecutive_failures_are_those_since_the_last_success(
    settings: dict[str, Any],
) -> None:
    breaker = CircuitBreaker(fail_max=9, **settings)
    fails(breaker, 3)
    assert breaker.snapshot().consecutive_failures == 3
    succeeds(breaker)
    assert breaker.snapshot().consecutive_failures == 0
    fails(breaker, 2)
    assert breaker.snapshot().consecutive_failures == 2


def test_an_open_breaker_shows_the_window_that_opened_it(
    rated: CircuitBreaker, clock: FakeClock
) -> None:
    succeeds(rated)
    fails(rated, 3)
    clock.advance(30)
    snapshot = rated.snapshot()
    assert snapshot.state is CircuitBreakerState.OPEN
    assert (snapshot.calls, snapshot.failure_rate) == (4, 0.75)
    assert snapshot.consecutive_failures == 3
    assert snapshot.reason == "failure rate 75% of 4 calls, limit 50%: DownError"


def test_a_breaker_reopened_by_hand_still_shows_the_window_that_opened_it(
    rated: CircuitBreaker,
) -> None:
    fails(rated, 4)
    rated.open()
    rated.force_open()
    assert rated.snapshot().calls == 4


def test_a_half_open_breaker_shows_its_probes(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_rate=0.5, half_open_calls=3, clock=clock)
    breaker.half_open()
    succeeds(breaker, 2)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failure_rate) == (2, None)


# Totals


def test_totals_count_calls_by_their_outcome(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=2, exclude=[KeyError], clock=clock)
    succeeds(breaker, 3)
    breaker.acquire().raised(KeyError())
    breaker.acquire().ignore()
    fails(breaker, 2)
    for _ in range(4):
        with pytest.raises(CircuitBreakerError):
            breaker.acquire()
    snapshot = breaker.snapshot()
    assert (snapshot.successes, snapshot.failures, snapshot.ignored) == (4, 2, 1)
    assert (snapshot.rejected, snapshot.excluded) == (4, 1)


def test_totals_survive_a_reset(rated: CircuitBreaker) -> None:
    fails(rated, 4)
    rated.reset()
    snapshot = rated.snapshot()
    assert (snapshot.failures, snapshot.calls) == (4, 0)


# Calls under way


def test_a_call_that_has_run_for_too_long_is_a_slow_one_under_way(
    rated: CircuitBreaker, clock: FakeClock
) -> None:
    calls = [rated.acquire() for _ in range(2)]
    clock.advance(3)
    calls.append(rated.acquire())
    snapshot = rated.snapshot()
    assert (snapshot.calls_under_way, snapshot.slow_calls_under_way) == (3, 2)
    for call in calls:
        call.success()
    snapshot = rated.snapshot()
    assert (snapshot.calls_under_way, snapshot.slow_calls_under_way) == (0, 0)


def test_probes_are_under_way_too(rated: CircuitBreaker) -> None:
    rated.half_open()
    probe = rated.acquire()
    assert rated.snapshot().calls_under_way == 1
    probe.success()
    assert rated.snapshot().calls_under_way == 0


def test_calls_under_way_are_none_where_calls_are_not_timed() -> None:
    breaker = CircuitBreaker()
    permit = breaker.acquire()
    snapshot = breaker.snapshot()
    permit.success()
    assert (snapshot.calls_under_way, snapshot.slow_calls_under_way) == (None, None)


# The last failure


def test_the_last_failure_has_its_type_and_time(rated: CircuitBreaker, clock: FakeClock) -> None:
    rated.acquire().failure(ConnectionError())
    rated.acquire().failure(DownError())
    clock.advance(90)
    succeeds(rated)
    snapshot = rated.snapshot()
    assert snapshot.last_failure_type == f"{__name__}.DownError"
    assert ago(snapshot.last_failure_at) == 90


def test_a_builtin_type_is_shown_without_its_module() -> None:
    breaker = CircuitBreaker()
    breaker.acquire().failure(ConnectionError())
    assert breaker.snapshot().last_failure_type == "ConnectionError"


def test_a_failure_without_an_exception_has_a_time_and_no_type(clock: FakeClock) -> None:
    breaker = CircuitBreaker(clock=clock)
    fails(breaker)
    clock.advance(5)
    breaker.acquire().failure()
    snapshot = breaker.snapshot()
    assert snapshot.last_failure_type is None
    assert ago(snapshot.last_failure_at) == 0


@pytest.mark.parametrize("outcome", ["excluded", "ignored"])
def test_an_ignored_exception_is_not_the_last_failure(outcome: str) -> None:
    breaker = CircuitBreaker(exclude=[KeyError], ignore=[DownError])
    breaker.acquire().raised(KeyError() if outcome == "excluded" else DownError())
    assert breaker.snapshot().last_failure_type is None
    assert breaker.snapshot().last_failure_at is None


@pytest.mark.parametrize(
    ("kept", "requested", "message"),
    [
        (False, False, None),
        (False, True, None),
        (True, False, None),
        (True, True, "secret"),
    ],
)
def test_the_last_failures_text_is_shown_if_it_is_kept_and_asked_for(
    *, kept: bool, requested: bool, message: str | None
) -> None:
    breaker = CircuitBreaker(keep_messages=kept)
    fails(breaker)
    assert breaker.snapshot(messages=requested).last_failure_message == message


def test_no_field_holds_the_last_failures_text_unasked() -> None:
    breaker = CircuitBreaker(fail_max=1, keep_messages=True)
    fails(breaker)
    assert "secret" not in repr(breaker.snapshot())


def test_the_text_is_that_of_the_last_failure() -> None:
    breaker = CircuitBreaker(keep_messages=True)
    fails(breaker)
    breaker.acquire().failure()
    assert breaker.snapshot(messages=True).last_failure_message is None


class TextlessError(Exception):
    """The dependency failed so badly that the error has no text."""

    def __str__(self) -> str:
        raise RuntimeError


def test_an_exception_whose_text_can_not_be_made_does_not_hurt_the_call() -> None:
    breaker = CircuitBreaker(fail_max=1, keep_messages=True)
    with pytest.raises(TextlessError), breaker:
        raise TextlessError
    assert breaker.state is CircuitBreakerState.OPEN
    text = breaker.snapshot(messages=True).last_failure_message
    assert text == "<TextlessError without a text>"


@pytest.mark.parametrize(
    ("exception", "words"),
    [
        (DownError("no route"), "DownError: no route"),
        (TextlessError(), "TextlessError: <TextlessError without a text>"),
    ],
)
def test_an_exception_is_described_by_its_class_and_its_text(
    exception: Exception, words: str
) -> None:
    assert words_for(exception) == words


def test_a_failure_without_an_exception_is_named_by_its_text() -> None:
    breaker = CircuitBreaker(fail_max=1)
    breaker.acquire().failure(because="status 503")
    snapshot = breaker.snapshot()
    assert snapshot.last_failure_type == "status 503"
    assert snapshot.reason == "1 failures in a row: status 503"


# Changes


def test_a_snapshot_has_when_and_why_the_state_last_changed(
    rated: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(100)
    rated.open()
    clock.advance(20)
    snapshot = rated.snapshot()
    assert ago(snapshot.changed_at) == 20
    assert snapshot.reason == "opened by hand"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("open", "opened by hand"),
        ("half_open", "half-opened by hand"),
        ("close", "closed by hand"),
        ("force_open", "forced open by hand"),
        ("disable", "disabled by hand"),
        ("metrics_only", "set to metrics only by hand"),
        ("reset", "reset by hand"),
    ],
)
def test_the_reason_names_the_command(command: str, reason: str) -> None:
    breaker = CircuitBreaker()
    getattr(breaker, command)()
    assert breaker.snapshot().reason == reason


def test_the_reason_follows_a_recovery(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=2, timeout_duration=60, clock=clock)
    fails(breaker, 2)
    assert breaker.snapshot().reason == "2 failures in a row: DownError"
    clock.advance(61)
    probe = breaker.acquire()
    assert breaker.snapshot().reason == "the open time has passed"
    probe.success()
    assert breaker.snapshot().reason == "the probes succeeded"


def test_the_generation_counts_the_changes() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    breaker.half_open()
    breaker.reset()
    assert breaker.snapshot().generation == 3


def test_one_generation_more_for_a_reset_of_a_closed_breaker() -> None:
    breaker = CircuitBreaker()
    breaker.reset()
    assert breaker.snapshot().generation == 1


# Until it admits again


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        ("close", 0),
        ("open", 60),
        ("half_open", 0),
        ("force_open", None),
        ("disable", 0),
        ("metrics_only", 0),
    ],
)
def test_a_snapshot_has_the_seconds_until_a_call_is_admitted(
    command: str, seconds: float | None, clock: FakeClock
) -> None:
    breaker = CircuitBreaker(timeout_duration=timedelta(minutes=1), clock=clock)
    getattr(breaker, command)()
    assert breaker.snapshot().retry_after == seconds


def test_the_seconds_run_out(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.advance(45)
    assert breaker.snapshot().retry_after == 15
    clock.advance(45)
    assert breaker.snapshot().retry_after == 0


def test_a_snapshot_does_not_change_the_state(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.advance(61)
    assert breaker.snapshot().state is CircuitBreakerState.OPEN


def test_with_all_probes_lent_retry_after_is_the_time_until_one_is_taken_back(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(half_open_timeout=30, clock=clock)
    breaker.half_open()
    _probe = breaker.acquire()
    clock.advance(10)
    assert breaker.snapshot().retry_after == 20


def test_retry_after_is_zero_after_a_clock_was_set_back(
    clock: FakeClock,
) -> None:
    clock.now = 1000
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.now = 0
    assert breaker.snapshot().retry_after == 0
    breaker.acquire()
