"""The open time: how long a breaker rejects calls before it probes."""

from __future__ import annotations

import random

import pytest

from breaker_asgi import BreakerConfig, CircuitBreaker, CircuitBreakerError
from breaker_asgi._core import rules
from breaker_asgi.testing import FakeClock


class Drawn:
    """A generator of random numbers that always draws the same one."""

    number = 0.0

    def random(self) -> float:
        return self.number


class NothingToDraw:
    """A generator of random numbers that none may be drawn from."""

    def random(self) -> float:
        raise AssertionError("a random number was drawn")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    drawn = Drawn()
    monkeypatch.setattr(rules, "_random", drawn)
    return drawn


def fail(breaker: CircuitBreaker) -> None:
    breaker.acquire().failure(OSError())


def openings(breaker: CircuitBreaker, clock: FakeClock, number: int) -> list[float | None]:
    """Return how long each of several openings in a row lasts."""
    lasted = []
    for _ in range(number):
        fail(breaker)
        lasted.append(breaker.snapshot().retry_after)
        clock.advance(3600)
    return lasted


# Without a setting


def test_the_open_time_is_a_second_and_doubles_up_to_a_minute(
    clock: FakeClock, drawn: Drawn
) -> None:
    breaker = CircuitBreaker(fail_max=1, clock=clock)
    assert openings(breaker, clock, 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_open_time_is_up_to_a_tenth_shorter(clock: FakeClock, drawn: Drawn) -> None:
    drawn.number = 0.5
    breaker = CircuitBreaker(fail_max=1, clock=clock)
    assert openings(breaker, clock, 2) == [pytest.approx(0.95), pytest.approx(1.9)]


def test_the_open_time_is_a_second_again_once_the_breaker_has_closed(
    clock: FakeClock, drawn: Drawn
) -> None:
    breaker = CircuitBreaker(fail_max=1, clock=clock)
    openings(breaker, clock, 5)
    breaker.acquire().success()
    assert openings(breaker, clock, 2) == [1, 2]


def test_an_opening_by_hand_lasts_as_long_as_one_by_failures(
    clock: FakeClock, drawn: Drawn
) -> None:
    breaker = CircuitBreaker(clock=clock)
    breaker.open()
    assert breaker.snapshot().retry_after == 1


@pytest.mark.parametrize(
    ("settings", "lasted"),
    [
        ({"backoff": 1}, [1, 1, 1]),
        ({"backoff": 10}, [1, 10, 60]),
        ({"max_timeout_duration": 3}, [1, 2, 3]),
        ({"max_timeout_duration": 1}, [1, 1, 1]),
    ],
)
def test_backoff_and_its_limit_may_be_given_alone(
    settings: dict[str, float], lasted: list[float], clock: FakeClock, drawn: Drawn
) -> None:
    breaker = CircuitBreaker(fail_max=1, clock=clock, **settings)  # type: ignore[arg-type]
    assert openings(breaker, clock, 3) == lasted


def test_jitter_may_be_turned_off_alone(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_random", NothingToDraw())
    breaker = CircuitBreaker(fail_max=1, jitter=0, clock=clock)
    assert openings(breaker, clock, 3) == [1, 2, 4]


def test_a_breaker_that_is_forced_open_asks_callers_to_come_back_in_a_minute(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(clock=clock)
    breaker.force_open()
    with pytest.raises(CircuitBreakerError) as rejected:
        breaker.acquire()
    assert rejected.value.retry_after == 60


# By a timeout_duration


def test_a_given_open_time_is_the_same_each_time(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_random", NothingToDraw())
    breaker = CircuitBreaker(fail_max=1, timeout_duration=1, clock=clock)
    assert openings(breaker, clock, 4) == [1, 1, 1, 1]


def test_a_given_open_time_grows_by_a_given_backoff(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_random", NothingToDraw())
    breaker = CircuitBreaker(fail_max=1, timeout_duration=5, backoff=3, clock=clock)
    assert openings(breaker, clock, 6) == [5, 15, 45, 135, 405, 600]


@pytest.mark.parametrize(("number", "lasts"), [(0.0, 100), (0.5, 90), (1.0, 80)])
def test_jitter_only_ever_shortens_the_open_time(
    number: float, lasts: float, clock: FakeClock, drawn: Drawn
) -> None:
    drawn.number = number
    breaker = CircuitBreaker(fail_max=1, timeout_duration=100, jitter=0.2, clock=clock)
    assert openings(breaker, clock, 2) == [pytest.approx(lasts)] * 2


def test_a_breaker_that_is_forced_open_asks_callers_to_come_back_after_a_given_time(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(timeout_duration=5, backoff=2, clock=clock)
    breaker.force_open()
    with pytest.raises(CircuitBreakerError) as rejected:
        breaker.acquire()
    assert rejected.value.retry_after == 5


# The settings


@pytest.mark.parametrize(
    ("settings", "effective"),
    [
        ({}, (1, 2, 60, 0.1)),
        ({"timeout_duration": 1}, (1, 1, 600, 0)),
        ({"timeout_duration": 5, "backoff": 2, "jitter": 0.2}, (5, 2, 600, 0.2)),
        ({"timeout_duration": 1000}, (1000, 1, 1000, 0)),
        ({"backoff": 1, "jitter": 0}, (1, 1, 60, 0)),
        ({"max_timeout_duration": 120}, (1, 2, 120, 0.1)),
    ],
)
def test_the_defaults_hang_on_whether_an_open_time_is_given(
    settings: dict[str, float], effective: tuple[float, ...]
) -> None:
    config = BreakerConfig(**settings)  # type: ignore[arg-type]
    assert effective == (
        config.timeout,
        config.effective_backoff,
        config.longest_timeout,
        config.effective_jitter,
    )


def test_an_open_time_that_is_set_later_is_a_given_one(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=1, clock=clock)
    breaker.timeout_duration = 7
    assert openings(breaker, clock, 3) == [7, 7, 7]


# The random numbers


def test_an_application_that_has_seeded_its_random_numbers_gets_the_same_ones() -> None:
    breaker = CircuitBreaker(fail_max=1)
    before = random.getstate()
    fail(breaker)
    assert breaker.state == "open"
    assert random.getstate() == before


def test_the_children_of_a_fork_draw_different_numbers() -> None:
    assert isinstance(rules._random, random.SystemRandom)
