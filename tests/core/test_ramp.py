"""The ramp: after the probes have succeeded, a growing share of the calls is admitted."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, CircuitBreaker, CircuitBreakerError, CountWindow
from breaker_asgi._core.ramp import Ramp
from breaker_asgi.testing import FakeClock

RAMP = 10


class DownError(Exception):
    """Failure of the dependency."""


def make(clock: FakeClock, **settings: Any) -> CircuitBreaker:
    defaults: dict[str, Any] = {"fail_max": 2, "timeout_duration": 5, "ramp": RAMP}
    return CircuitBreaker(name="bank", **(defaults | settings), clock=clock)


def close_gently(breaker: CircuitBreaker, clock: FakeClock) -> None:
    """Open the breaker by a failing dependency, and let a probe succeed."""
    while breaker.state == "closed":
        breaker.acquire().failure(DownError())
    clock.advance(breaker.config.longest_timeout + 1)
    breaker.acquire().success()


@pytest.fixture
def bank(clock: FakeClock) -> CircuitBreaker:
    """A breaker that has begun to close."""
    bank = make(clock)
    close_gently(bank, clock)
    return bank


def is_admitted(breaker: CircuitBreaker) -> bool:
    try:
        breaker.acquire().success()
    except CircuitBreakerError:
        return False
    return True


def admitted(breaker: CircuitBreaker, calls: int) -> int:
    return sum(is_admitted(breaker) for _ in range(calls))


def fail_once_admitted(breaker: CircuitBreaker, times: int = 1) -> None:
    """Call until as many calls were admitted, which fail."""
    for _ in range(times):
        permit = None
        while permit is None:
            try:
                permit = breaker.acquire()
            except CircuitBreakerError:
                continue
        permit.failure(DownError())


# The share


def test_a_breaker_is_closing_once_its_probes_have_succeeded(bank: CircuitBreaker) -> None:
    snapshot = bank.snapshot()
    assert (snapshot.state, snapshot.reason) == ("closing", "the probes succeeded")
    assert (snapshot.admitted_share, snapshot.retry_after) == (0.1, 0)


def test_without_a_ramp_a_breaker_closes_at_once(clock: FakeClock) -> None:
    breaker = make(clock, ramp=None)
    close_gently(breaker, clock)
    assert (breaker.state, breaker.snapshot().admitted_share) == ("closed", None)


@pytest.mark.parametrize(
    ("elapsed", "share"), [(0, 1), (0.5, 1), (1, 1), (2, 2), (5, 5), (7.5, 7), (9, 9)]
)
def test_the_share_grows_with_time_from_a_tenth(
    elapsed: float, share: int, bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(elapsed)
    assert bank.snapshot().admitted_share == pytest.approx(max(0.1, elapsed / RAMP))
    assert admitted(bank, 10) == share


@pytest.mark.parametrize(
    ("aggression", "shares"),
    [
        (None, [0.1, 0.25, 0.5, 1]),
        (2, [0.1, 0.5, 0.5**0.5, 1]),
        (0.5, [0.1, 0.1, 0.25, 1]),
    ],
)
def test_aggression_shapes_the_ramp(aggression: float | None, shares: list[float]) -> None:
    ramp = Ramp(BreakerConfig(ramp=RAMP, ramp_aggression=aggression))
    at = (0, 0.25 * RAMP, 0.5 * RAMP, RAMP)
    assert [ramp.share(elapsed) for elapsed in at] == pytest.approx(shares)


@pytest.mark.parametrize(("elapsed", "share"), [(-5, 0.1), (11, 1)])
def test_the_share_keeps_to_its_limits(elapsed: float, share: float) -> None:
    assert Ramp(BreakerConfig(ramp=RAMP)).share(elapsed) == share


def test_the_admitted_calls_are_spread_evenly(bank: CircuitBreaker, clock: FakeClock) -> None:
    clock.advance(2.5)
    assert [is_admitted(bank) for _ in range(8)] == [False, False, False, True] * 2


def test_of_very_many_calls_just_the_share_is_admitted(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(3)
    assert admitted(bank, 1000) == 300


def test_a_share_is_owed_from_one_moment_to_the_next(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    passed = []
    for _ in range(9):
        clock.advance(1)
        passed.append(is_admitted(bank))
    assert passed == [False, False, False, True, False, True, False, True, True]


# The others


def test_the_others_are_rejected_for_a_second(bank: CircuitBreaker) -> None:
    with pytest.raises(CircuitBreakerError) as rejected:
        bank.acquire()
    error = rejected.value
    assert (error.state, error.retry_after) == ("closing", 1)
    assert error.reason == "2 failures in a row: DownError"
    assert bank.rejected == 1


def test_the_others_get_the_fallback(clock: FakeClock) -> None:
    breaker = make(clock, fallback="cached")
    close_gently(breaker, clock)
    clock.advance(5)

    @breaker
    def answer() -> str:
        return "fresh"

    assert [answer() for _ in range(4)] == ["cached", "fresh"] * 2


async def test_guarded_functions_of_either_kind_are_admitted_by_share(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    @bank
    def ask() -> int:
        return 1

    @bank
    async def ask_async() -> int:
        return 1

    clock.advance(5)
    with pytest.raises(CircuitBreakerError):
        ask()
    assert await ask_async() == 1
    with pytest.raises(CircuitBreakerError):
        await ask_async()
    assert ask() == 1


def test_a_listener_is_notified_of_the_others(clock: FakeClock) -> None:
    class Counting:
        states: list[str]

        def rejected(self, breaker: object, error: CircuitBreakerError) -> None:
            self.states.append(error.state)

    listener = Counting()
    listener.states = []
    breaker = make(clock, listeners=[listener])
    close_gently(breaker, clock)
    admitted(breaker, 10)
    assert listener.states == ["closing"] * 9


# The end of the ramp


def test_all_calls_are_admitted_once_the_ramp_is_over(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(RAMP + 0.001)
    assert admitted(bank, 10) == 10
    snapshot = bank.snapshot()
    assert (snapshot.state, snapshot.reason) == ("closed", "the ramp is over")
    assert snapshot.admitted_share is None


def test_a_ramp_that_nobody_calls_in_ends_by_the_next_call(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(3600)
    assert bank.state == "closing"
    assert is_admitted(bank)
    assert bank.state == "closed"


def test_a_clock_that_is_set_back_ends_the_ramp(bank: CircuitBreaker, clock: FakeClock) -> None:
    clock.advance(-3600)
    assert is_admitted(bank)
    assert bank.state == "closed"


def test_listeners_are_notified_of_both_steps(clock: FakeClock) -> None:
    class Remembering:
        changes: list[tuple[str, str]]

        def state_change(self, breaker: object, old: str, new: str) -> None:
            self.changes.append((old, new))

    listener = Remembering()
    listener.changes = []
    breaker = make(clock, listeners=[listener])
    close_gently(breaker, clock)
    clock.advance(RAMP + 1)
    is_admitted(breaker)
    assert listener.changes == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closing"),
        ("closing", "closed"),
    ]


# Judging


def rated(clock: FakeClock) -> CircuitBreaker:
    breaker = make(clock, fail_max=None, failure_rate=0.5, window=CountWindow(20), minimum_calls=4)
    close_gently(breaker, clock)
    return breaker


def test_the_window_begins_with_the_ramp_and_holds_the_admitted_calls(clock: FakeClock) -> None:
    breaker = rated(clock)
    assert breaker.snapshot().calls == 0
    clock.advance(5)
    assert admitted(breaker, 6) == 3
    assert breaker.snapshot().calls == 3


def test_the_window_goes_on_when_the_ramp_is_over(clock: FakeClock) -> None:
    breaker = rated(clock)
    clock.advance(5)
    fail_once_admitted(breaker, 2)
    assert admitted(breaker, 2) == 1
    clock.advance(RAMP)
    breaker.acquire().failure(DownError())
    assert breaker.snapshot().reason == "failure rate 75% of 4 calls, limit 50%: DownError"


def test_the_streak_goes_on_when_the_ramp_is_over(bank: CircuitBreaker, clock: FakeClock) -> None:
    fail_once_admitted(bank)
    clock.advance(RAMP + 1)
    bank.acquire().failure(DownError())
    assert bank.state == "open"


def test_a_call_of_the_ramp_counts_when_it_ends_later(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    clock.advance(9.9)
    assert not is_admitted(bank)
    late = [bank.acquire(), bank.acquire()]
    clock.advance(1)
    assert is_admitted(bank)
    for permit in late:
        permit.failure(DownError())
    assert bank.state == "open"


def test_calls_that_hang_open_a_breaker_that_is_closing(clock: FakeClock) -> None:
    breaker = make(
        clock, slow_call_rate=0.5, slow_call_duration=1, window=CountWindow(9), minimum_calls=2
    )
    close_gently(breaker, clock)
    clock.advance(5)
    hanging = []
    for _ in range(2):
        assert not is_admitted(breaker)
        hanging.append(breaker.acquire())
    clock.advance(2)
    assert not is_admitted(breaker)
    assert not is_admitted(breaker)
    assert breaker.snapshot().reason == "slow-call rate 100% of 2 calls, limit 50%"
    assert not any(permit.settled for permit in hanging)


# A relapse


def test_a_relapse_opens_for_longer(clock: FakeClock) -> None:
    breaker = make(clock, fail_max=1, backoff=2)
    close_gently(breaker, clock)
    lasted = []
    for _ in range(3):
        fail_once_admitted(breaker)
        lasted.append(breaker.snapshot().retry_after)
        clock.advance(100)
        breaker.acquire().success()
    assert lasted == [10, 20, 40]


def test_the_row_of_openings_ends_with_the_ramp(clock: FakeClock) -> None:
    breaker = make(clock, fail_max=1, backoff=2)
    close_gently(breaker, clock)
    clock.advance(RAMP + 1)
    assert is_admitted(breaker)
    breaker.acquire().failure(DownError())
    assert breaker.snapshot().retry_after == 5


def test_a_relapse_ramps_from_the_beginning(bank: CircuitBreaker, clock: FakeClock) -> None:
    clock.advance(8)
    fail_once_admitted(bank, 2)
    assert bank.state == "open"
    clock.advance(6)
    bank.acquire().success()
    assert admitted(bank, 10) == 1


# By hand


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("close", "closed"),
        ("reset", "closed"),
        ("open", "open"),
        ("half_open", "half_open"),
        ("force_open", "forced_open"),
        ("disable", "disabled"),
        ("metrics_only", "metrics_only"),
    ],
)
def test_a_command_ends_the_ramp(command: str, state: str, bank: CircuitBreaker) -> None:
    getattr(bank, command)()
    assert (bank.state, bank.snapshot().admitted_share) == (state, None)


@pytest.mark.parametrize("command", ["close", "reset"])
def test_a_breaker_that_is_closed_by_hand_amid_a_ramp_is_as_new(
    command: str, clock: FakeClock
) -> None:
    breaker = make(clock, backoff=2)
    close_gently(breaker, clock)
    fail_once_admitted(breaker)
    getattr(breaker, command)()
    assert breaker.fail_counter == 0
    assert admitted(breaker, 10) == 10
    fail_once_admitted(breaker, 2)
    assert breaker.snapshot().retry_after == 5


def test_a_breaker_that_is_half_opened_by_hand_ramps_too(clock: FakeClock) -> None:
    breaker = make(clock)
    breaker.half_open()
    breaker.acquire().success()
    assert breaker.state == "closing"


def test_a_state_set_for_a_time_ends_without_a_ramp(clock: FakeClock) -> None:
    breaker = make(clock)
    breaker.force_open(for_=5)
    clock.advance(6)
    assert is_admitted(breaker)
    assert breaker.state == "closed"


# What others are shown


def test_a_closing_breaker_says_so(bank: CircuitBreaker) -> None:
    assert repr(bank) == "<CircuitBreaker 'bank', closing>"
    assert bank.current_state == "closing"
    assert bank.time_until_open is None
